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
	ok := false
	if err := n.pinned(ctx, func(s *session) (err error) {
		if err = s.awaitMarker(ctx, l); err == nil {
			acc, ok, err = s.accept(ctx, l)
		}
		return err
	}); err != nil || ok {
		return acc, err
	}
	return n.acknowledge(ctx, l)
}

// member reports whether the node is to acknowledge, by the newest marker of its
// log.
func (n *Node) member(m mark) bool { return !n.cfg.Observer && m.Ruleset.Has(n.cfg.ID) }

// pointAt makes l the node's source.
func (n *Node) pointAt(ctx context.Context, l leadership.Leadership) error {
	s, err := n.begin(ctx, l.Term)
	if err != nil {
		return err
	}
	defer s.close()
	r, now := s.record, s.live
	next := r
	if err := next.support(l); err != nil {
		return err
	}
	if r.Source == l && now.readOnly && n.follows(l.Leader, now.slave) && now.slave.ioRuns() && now.slave.sqlRuns() {
		return s.end(ctx) // it was pointed at l before
	}
	// The promise, without the source: the server supports nobody while it is
	// on its way from one to the other.
	bare := r
	if err := bare.raise(l.Term); err != nil {
		return err
	}
	bare.Source = leadership.Leadership{}
	if bare.Promised != r.Promised || bare.Source != r.Source {
		if err := s.save(bare); err != nil {
			return err
		}
	}
	if err := s.still(ctx); err != nil {
		return err
	}
	if err := s.semiSync(s.processes, n.member(s.history.last())); err != nil {
		return err
	}
	if err := s.save(next); err != nil {
		return err
	}
	if err := s.replicate(l.Leader, s.live, ""); err != nil {
		return err
	}
	return s.end(ctx)
}

// still brings a server to where it completes and acknowledges nothing, and has
// applied everything that it received. One that has promised the term of the call is
// so already: then that is what was read with the turn, and nothing is asked.
func (b *begun) still(ctx context.Context) error {
	if l := b.live; l.readOnly && !l.slave.ioRuns() && l.settled() && len(b.processes.waiting()) == 0 {
		return nil
	}
	if _, err := b.quiesce(ctx, b.live, b.processes); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	return b.ask(ctx, append(append(b.n.askProcesses(&b.processes), b.n.askMarkers(&b.history)), b.n.askLive(b, &b.live)...)...)
}

// replicate starts replication from a node, up to some position or for good, with
// the next message. now is how the server is: one that led, or lost gtid_slave_pos, gets
// it from the log. MASTER_DEMOTE_TO_SLAVE would take what this server wrote itself from
// there and nothing else, and it does so, which empties the table first, at a server
// that needs nothing as well.
func (s *session) replicate(from leadership.NodeID, now live, until string) error {
	host, port, ok := s.n.peer(from)
	if !ok {
		return &PeerError{Node: s.n.cfg.ID, Peer: from}
	}
	rep := s.n.cfg.Replication
	q := fmt.Sprintf("CHANGE MASTER TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USER=%s, MASTER_PASSWORD=%s, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=%.3f, MASTER_USE_GTID=slave_pos",
		quote(host), port, quote(rep.User), quote(rep.Password), rep.Heartbeat.Seconds())
	if rep.TLS {
		q += fmt.Sprintf(", MASTER_SSL=1, MASTER_SSL_VERIFY_SERVER_CERT=%d, MASTER_SSL_CA=%s, MASTER_SSL_CERT=%s, MASTER_SSL_KEY=%s",
			bit(rep.VerifyCert), quote(rep.CA), quote(rep.Cert), quote(rep.Key))
	}
	start := "START SLAVE"
	if until != "" {
		start += " UNTIL master_gtid_pos = " + quote(until)
	}
	s.later("stop replication", "STOP SLAVE")
	if at := now.applied(); !at.demoted() {
		s.later("set gtid_slave_pos", "SET GLOBAL gtid_slave_pos = "+quote(at.all.Positions().String()))
	}
	s.later("change the source", q)
	s.later("start replication", start)
	return nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// semiSync makes the server one that does not wait for acknowledgements, and says
// whether it gives them, with the next message. To switch the leader's side off
// answers commits that wait as if they were acknowledged, so that is done at a
// server without any.
func (s *session) semiSync(p processes, slave bool) error {
	if w := p.waiting(); len(w) > 0 {
		return &BlockedError{Node: s.n.cfg.ID, Waiting: w, Err: fmt.Errorf("commits wait for their acknowledgement")}
	}
	s.later("set semi-synchronous replication", fmt.Sprintf("SET GLOBAL rpl_semi_sync_master_enabled=0, GLOBAL rpl_semi_sync_slave_enabled=%d", bit(slave)))
	return nil
}

// around is how often, while it waits for a marker, a follower looks whether it may
// come at all: each so many times that it looks for the marker itself.
const around = 5

// awaitMarker waits until the marker of l is applied here.
func (s *session) awaitMarker(ctx context.Context, l leadership.Leadership) error {
	n := s.n
	var marks []mark
	var r record
	var st slave
	marker := n.askMarker(l.Term, &marks)
	tries := 0
	err := n.poll(ctx, func() (bool, error) {
		if tries++; tries%around != 0 {
			err := s.ask(ctx, marker)
			return err == nil && len(marks) > 0, err
		}
		if err := s.ask(ctx, n.askRecord(&r), n.askSlave(&st), marker); err != nil || len(marks) > 0 {
			return err == nil, err
		}
		if err := r.stands(l.Term); err != nil {
			return false, err
		}
		if st.ioErrno != 0 && !st.ioRuns() {
			return false, &ReplicationError{Node: n.cfg.ID, Thread: "IO", Errno: st.ioErrno, Text: st.ioError}
		}
		return false, n.stopped(st)
	})
	if err == nil && marks[0].Leader != l.Leader {
		err = &leadership.StaleTermError{Node: n.cfg.ID, Asked: l.Term, Promised: marks[0].Term}
	}
	return err
}

// accept returns the acceptance of a follower that holds the marker of l and is as it
// should be, without the turn, and false for any other. All of it is read in one
// message, the record last: the node has promised no more by then, so that whatever
// came before it was accepted before anything higher was promised.
func (s *session) accept(ctx context.Context, l leadership.Leadership) (acc leadership.Acceptance, ok bool, err error) {
	n := s.n
	var now live
	var h history
	var acks bool
	var r record
	if err := s.ask(ctx, append(n.askLive(s, &now), n.askMarkers(&h), n.askAcks(&acks), n.askRecord(&r))...); err != nil {
		return acc, false, err
	}
	m, ok := h.of(l.Term)
	if err := n.supports(r, l, now); err != nil || !ok || len(now.state.lacks(m.before)) > 0 || acks != n.member(m) || !r.Floor.IsZero() {
		return acc, false, err
	}
	return n.acceptance(r, l, now, h), true, nil
}

// supports returns nil for a server whose source is l by its record and in fact.
func (n *Node) supports(r record, l leadership.Leadership, now live) error {
	switch {
	case l.Term.Less(r.Promised):
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: l.Term, Promised: r.Promised}
	case r.Source != l || !n.follows(l.Leader, now.slave):
		return &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it does not follow " + l.String() + " any more"}
	}
	return nil
}

func (n *Node) acceptance(r record, l leadership.Leadership, now live, h history) leadership.Acceptance {
	return leadership.Acceptance{
		Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, now.start), Term: l.Term, Leader: l.Leader, Position: position(now.state, h),
	}
}

// acknowledge makes a follower that holds the marker an acknowledging one, if
// it is a member, or one that is not, and accepts.
func (n *Node) acknowledge(ctx context.Context, l leadership.Leadership) (leadership.Acceptance, error) {
	var none leadership.Acceptance
	var acks bool
	s, err := n.begin(ctx, l.Term, n.askAcks(&acks))
	if err != nil {
		return none, err
	}
	defer s.close()
	r, now := s.record, s.live
	if err := n.supports(r, l, now); err != nil {
		return none, err
	}
	m, ok := s.history.of(l.Term)
	if !ok {
		return none, &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it does not hold the marker of " + l.String() + " any more"}
	}
	if lacks := now.state.lacks(m.before); len(lacks) > 0 {
		// It holds the marker and not all that came before: remembered, for its
		// numbers do not show it any more once its server leads again.
		r.Skipped = lacks.String()
		if err := s.save(r); err != nil {
			return none, err
		}
		if err := s.end(ctx); err != nil {
			return none, err
		}
		return none, &SkippedError{Node: n.cfg.ID, GTIDs: lacks}
	}
	if want := n.member(m); acks != want {
		s.later("stop the IO thread", "STOP SLAVE IO_THREAD")
		var p processes
		if err := s.ask(ctx, n.askProcesses(&p)...); err != nil {
			return none, err
		}
		if err := s.semiSync(p, want); err != nil {
			return none, err
		}
		s.later("start the IO thread", "START SLAVE IO_THREAD")
	}
	acc := n.acceptance(r, l, now, s.history)
	if !r.Floor.IsZero() && !below(acc.Position, r.Floor) {
		r.Floor = leadership.Position{}
		if err := s.save(r); err != nil {
			return none, err
		}
	}
	if err := s.end(ctx); err != nil {
		return none, err
	}
	return acc, nil
}

// askAcks asks whether the IO thread of this server acknowledges what it receives.
func (n *Node) askAcks(is *bool) question {
	return n.row("read rpl_semi_sync_slave_enabled", "SELECT @@global.rpl_semi_sync_slave_enabled", is)
}
