package mariadbnode

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// peer returns where this server reaches another node for replication.
func (n *Node) peer(id leadership.NodeID) (host, port string, ok bool) {
	addr, ok := n.cfg.Peers[id]
	if !ok {
		return "", "", false
	}
	h, p, err := splitAddr(addr)
	return h, strconv.Itoa(p), err == nil
}

// Follow implements establish.Follower. It promises t, has everything applied
// that was received, and points the server at the leader; it returns when the
// leader's marker is applied here, which it is on disk.
//
// A server acknowledges what it receives from the start when the newest marker
// in its log has it as a member. Another one only takes the leader's log, until
// it holds the marker of l and that marker has it as a member: a MariaDB leader
// counts the acknowledgement of any replica, member or not. With
// Config.Observer it never acknowledges.
//
// It returns what Promise returns; a *PeerError for a leader without an address,
// an *acceptor.TwoLeadersError for a second leader of one term, and a
// *ReplicationError when replication stops: with error 1236 this server holds
// transactions that the leader has not. A *SkippedError says that it did not get
// back transactions of its own.
func (n *Node) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	var acc leadership.Acceptance
	if err := t.Validate(); err != nil {
		return acc, err
	}
	if _, _, ok := n.peer(leader); !ok || leader == n.cfg.ID {
		return acc, &PeerError{Node: n.cfg.ID, Peer: leader}
	}
	l := leadership.Leadership{Leader: leader, Term: t}
	if err := n.pointAt(ctx, l); err != nil {
		return acc, err
	}
	m, err := n.awaitMarker(ctx, l)
	if err != nil {
		return acc, err
	}
	return n.acknowledge(ctx, l, m)
}

// member reports whether the node is to acknowledge, by the newest marker of its
// log.
func (n *Node) member(marks []mark) bool {
	return !n.cfg.Observer && len(marks) > 0 && marks[len(marks)-1].Ruleset.Has(n.cfg.ID)
}

// pointAt makes l the node's source.
func (n *Node) pointAt(ctx context.Context, l leadership.Leadership) error {
	s, err := n.turn(ctx, l.Term)
	if err != nil {
		return err
	}
	defer s.close()
	r, now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	next := r
	if err := next.support(l); err != nil {
		return err
	}
	if r.Source == l && now.readOnly && n.follows(l.Leader, now.slave) && now.slave.ioRuns() && now.slave.sqlRuns() {
		return nil // it was pointed at l before
	}
	// The promise, without the source: the server supports nobody while it is
	// on its way from one to the other.
	bare := r
	if err := bare.raise(l.Term); err != nil {
		return err
	}
	bare.Source = leadership.Leadership{}
	if bare.Promised != r.Promised || bare.Source != r.Source {
		if err := s.save(ctx, bare); err != nil {
			return err
		}
	}
	if err := s.quiesce(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	marks, _, err := n.markers(ctx, s.conn)
	if err != nil {
		return err
	}
	if err := s.semiSync(ctx, false, n.member(marks)); err != nil {
		return err
	}
	if err := s.save(ctx, next); err != nil {
		return err
	}
	return s.replicate(ctx, l.Leader, "")
}

// replicate starts replication from a node, up to some position or for good.
func (s *session) replicate(ctx context.Context, from leadership.NodeID, until string) error {
	host, port, ok := s.n.peer(from)
	if !ok {
		return &PeerError{Node: s.n.cfg.ID, Peer: from}
	}
	rep := s.n.cfg.Replication
	q := fmt.Sprintf("CHANGE MASTER TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USER=%s, MASTER_PASSWORD=%s, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=%.3f, MASTER_USE_GTID=slave_pos, MASTER_DEMOTE_TO_SLAVE=1",
		quote(host), port, quote(rep.User), quote(rep.Password), rep.Heartbeat.Seconds())
	if rep.TLS {
		q += fmt.Sprintf(", MASTER_SSL=1, MASTER_SSL_VERIFY_SERVER_CERT=%d, MASTER_SSL_CA=%s, MASTER_SSL_CERT=%s, MASTER_SSL_KEY=%s",
			bit(rep.VerifyCert), quote(rep.CA), quote(rep.Cert), quote(rep.Key))
	}
	start := "START SLAVE"
	if until != "" {
		start += " UNTIL master_gtid_pos = " + quote(until)
	}
	for _, st := range []struct{ step, q string }{
		{"stop replication", "STOP SLAVE"}, {"change the source", q}, {"start replication", start},
	} {
		if err := s.exec(ctx, st.step, st.q); err != nil {
			return err
		}
	}
	return nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// semiSync sets which side of semi-synchronous replication the server is. To
// switch the leader's side off answers commits that wait as if they were
// acknowledged, so that is done at a server without any.
func (s *session) semiSync(ctx context.Context, master, slave bool) error {
	if !master {
		ss, err := s.n.sessions(ctx, s.conn)
		if err != nil {
			return err
		}
		if w := waiting(ss); len(w) > 0 {
			return &BlockedError{Node: s.n.cfg.ID, Waiting: w, Err: fmt.Errorf("commits wait for their acknowledgement")}
		}
	}
	return s.exec(ctx, "set semi-synchronous replication", fmt.Sprintf("SET GLOBAL rpl_semi_sync_master_enabled=%d, GLOBAL rpl_semi_sync_slave_enabled=%d", bit(master), bit(slave)))
}

// awaitMarker waits until the marker of l is applied here.
func (n *Node) awaitMarker(ctx context.Context, l leadership.Leadership) (mark, error) {
	var m mark
	err := n.poll(ctx, func() (bool, error) {
		marks, _, err := n.markers(ctx, n.db)
		if err != nil {
			return false, err
		}
		for _, m = range marks {
			if m.Term == l.Term {
				return true, nil
			}
		}
		if _, err := n.at(ctx, l.Term); err != nil {
			return false, err
		}
		st, err := n.slave(ctx, n.db)
		switch {
		case err != nil:
			return false, err
		case st.ioErrno != 0 && !st.ioRuns():
			return false, &ReplicationError{Node: n.cfg.ID, Thread: "IO", Errno: st.ioErrno, Text: st.ioError}
		}
		return false, n.stopped(st)
	})
	if err == nil && m.Leader != l.Leader {
		err = &leadership.StaleTermError{Node: n.cfg.ID, Asked: l.Term, Promised: m.Term}
	}
	return m, err
}

// acknowledge makes a follower that holds the marker an acknowledging one, if
// it is a member, or one that is not, and accepts.
func (n *Node) acknowledge(ctx context.Context, l leadership.Leadership, m mark) (leadership.Acceptance, error) {
	var acc leadership.Acceptance
	s, err := n.turn(ctx, l.Term)
	if err != nil {
		return acc, err
	}
	defer s.close()
	r, now, err := s.begin(ctx)
	switch {
	case err != nil:
		return acc, err
	case l.Term.Less(r.Promised):
		return acc, &leadership.StaleTermError{Node: n.cfg.ID, Asked: l.Term, Promised: r.Promised}
	case r.Source != l || !n.follows(l.Leader, now.slave):
		return acc, &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it does not follow " + l.String() + " any more"}
	}
	if lacks := now.state.lacks(m.before); len(lacks) > 0 {
		// It holds the marker and not all that came before: remembered, for its
		// numbers do not show it any more once its server leads again.
		r.Skipped = lacks.String()
		if err := s.save(ctx, r); err != nil {
			return acc, err
		}
		return acc, &SkippedError{Node: n.cfg.ID, GTIDs: lacks}
	}
	want := n.member([]mark{m})
	is, err := s.acknowledges(ctx)
	if err != nil {
		return acc, err
	}
	if is != want {
		if err := s.exec(ctx, "stop the IO thread", "STOP SLAVE IO_THREAD"); err != nil {
			return acc, err
		}
		if err := s.semiSync(ctx, false, want); err != nil {
			return acc, err
		}
		if err := s.exec(ctx, "start the IO thread", "START SLAVE IO_THREAD"); err != nil {
			return acc, err
		}
	}
	marks, older, err := n.markers(ctx, s.conn)
	if err != nil {
		return acc, err
	}
	if !r.Floor.IsZero() && !below(position(now.state, marks, older), r.Floor) {
		r.Floor = leadership.Position{}
		if err := s.save(ctx, r); err != nil {
			return acc, err
		}
	}
	return leadership.Acceptance{
		Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, now.start), Term: l.Term, Leader: l.Leader,
		Position: position(now.state, marks, older),
	}, nil
}

// acknowledges reports whether the IO thread of this server acknowledges what
// it receives.
func (s *session) acknowledges(ctx context.Context) (bool, error) {
	var enabled bool
	if err := s.conn.QueryRowContext(ctx, "SELECT @@global.rpl_semi_sync_slave_enabled").Scan(&enabled); err != nil {
		return false, s.n.step("read rpl_semi_sync_slave_enabled", err)
	}
	return enabled, nil
}
