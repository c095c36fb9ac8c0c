package mariadbnode

import (
	"context"
	"errors"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// Errant compares what this server has logged with a leader's position, such as
// its Status tells, and returns the transactions that only this server has, nil
// for none.
func (n *Node) Errant(ctx context.Context, leader leadership.NodeID, pos leadership.Position) (*ErrantError, error) {
	p, ok := asPoint(pos.Point)
	if !ok {
		return nil, &leadership.TextError{What: "position", Text: clip(pos.String()), Reason: "it is of no MariaDB server"}
	}
	h, err := n.here(ctx, n.pool())
	if err != nil {
		return nil, err
	}
	if e := h.live.state.Errant(p.State); len(e) > 0 {
		return &ErrantError{Node: n.cfg.ID, Leader: leader, GTIDs: e}, nil
	}
	return nil, nil
}

// Repair implements establish.Repairer with Config.Rebuild. MariaDB cannot take
// transactions out of a binary log, so it is all or nothing: the node's
// position is recorded as its floor, the data is replaced, and the node's
// record, which a copy of the data overwrites with the donor's, is written
// anew, with the promise and a new incarnation of the storage. Until the node
// has followed to where it was, its log is no evidence.
//
// That from stands by t it sees before anything is touched where Config.PeerDSN has the
// way to it, and waits for that; a source that has promised more, or supports another
// leader in t, is an error. Elsewhere it is for Config.Rebuild to see. When the caller dies after Config.Rebuild and before Repair has
// returned, the server has the record of From, or none, and takes part in nothing:
// its promise is lost, and it comes back under another Config.ID, by dropping the
// table node and Setup, and a change of the ruleset admits that in place of the
// old one. Another incarnation under the old ID protects nothing.
//
// It returns a *RepairError, a *leadership.StaleTermError when the source has promised
// more, or what Promise returns.
func (n *Node) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	if n.cfg.Rebuild == nil {
		return &RepairError{Node: n.cfg.ID, Reason: "Config.Rebuild is nil: copy " + string(from) + " with mariadb-backup, or undo the errant transactions with mariadb-binlog --flashback"}
	}
	addr, ok := n.cfg.Peers[from]
	if !ok {
		return &PeerError{Node: n.cfg.ID, Peer: from}
	}
	if err := t.Validate(); err != nil {
		return err
	}
	if err := n.stands(ctx, leadership.Leadership{Leader: from, Term: t}); err != nil {
		return err
	}
	before, holds, err := n.lower(ctx, t)
	if err != nil {
		return err
	}
	if err := n.cfg.Rebuild(ctx, Rebuild{Node: n.cfg.ID, From: from, FromAddr: addr, Term: t, Holds: holds}); err != nil {
		return &RepairError{Node: n.cfg.ID, Reason: "the rebuild failed, and the data may be half replaced", Err: err}
	}
	return n.pinned(ctx, func(s *session) error {
		if err := s.take(ctx, t); err != nil {
			return err
		}
		if err := s.ask(ctx, s.note(t)...); err != nil && number(err) != errNoSuchTable && number(err) != errBadDB {
			return err
		}
		return s.restore(ctx, before)
	})
}

// stands waits until the leader of l has promised its term and is its own source, if
// there is a way to ask it. Whether it has its marker by then cannot be asked for: its
// commit may be waiting for the acknowledgement of the very node that is repaired.
func (n *Node) stands(ctx context.Context, l leadership.Leadership) error {
	text, ok := n.cfg.PeerDSN[l.Leader]
	if !ok {
		return nil
	}
	p, err := New(Config{ID: l.Leader, DSN: text, TLS: n.cfg.TLS, Schema: n.cfg.Schema, Limits: n.cfg.Limits})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	return n.poll(ctx, func() (bool, error) {
		r, err := p.load(ctx, p.pool())
		switch {
		case err != nil:
			return false, err
		case l.Term.Less(r.Promised):
			return false, &leadership.StaleTermError{Node: l.Leader, Asked: l.Term, Promised: r.Promised}
		case r.Promised == l.Term && !r.Source.IsZero() && r.Source != l:
			return false, &RepairError{Node: n.cfg.ID, Reason: "its source follows " + r.Source.String() + ", and does not lead " + l.String()}
		}
		return r.Source == l, nil
	})
}

// lower promises t and records the floor, before anything is discarded.
func (n *Node) lower(ctx context.Context, t leadership.Term) (record, State, error) {
	if err := t.Validate(); err != nil {
		return record{}, nil, err
	}
	s, err := n.begin(ctx, t)
	if err != nil {
		return record{}, nil, err
	}
	defer s.close()
	h := s.here()
	r := h.record
	if err := r.raise(t); err != nil {
		return record{}, nil, err
	}
	if r.Source.Leader == n.cfg.ID {
		return record{}, nil, &RepairError{Node: n.cfg.ID, Reason: "it leads under " + t.String()}
	}
	r.Source = leadership.Leadership{}
	if r.Floor.IsZero() || h.Position.Rank(r.Floor) == leadership.Ahead {
		r.Floor = h.Position
	}
	if err := s.save(r); err != nil {
		return record{}, nil, err
	}
	_, err = s.quiesce(ctx, h.live, s.processes)
	return r, h.live.state, err
}

// history gives a server that was filled from a backup the state of the log it is
// a copy of. A backup brings no binary log, and a position has one GTID per domain,
// so that all that earlier leaders wrote would seem to be missing. The newest
// marker in the copy says what came before it, and the position what came after.
// It comes last: a server that has its record can be repaired again.
func (s *session) history(ctx context.Context, h history, lacks error) error {
	if num := number(lacks); num == errNoSuchTable || num == errBadDB {
		return &RepairError{Node: s.n.cfg.ID, Reason: "the copy lacks the markers, which no replication brings back: copy the table marker of schema " + s.n.cfg.Schema, Err: lacks}
	}
	var state, at string
	if err := s.ask(ctx, s.n.row("read the position of the copy", "SELECT @@global.gtid_binlog_state, @@global.gtid_slave_pos", &state, &at)); err != nil {
		return err
	}
	if lacks != nil || state != "" || len(h.marks) == 0 {
		return lacks
	}
	pos, err := ParseState(at)
	if err != nil {
		return s.n.step("read the position of the copy", err)
	}
	before := h.last().before
	if !pos.reached(before) || before.reached(pos) {
		return &RepairError{Node: s.n.cfg.ID, Reason: "gtid_slave_pos is " + strconv.Quote(at) + " and the copy is of later: set it to the position of the backup"}
	}
	return s.exec(ctx, "restore the state of the log", "SET GLOBAL gtid_binlog_state = "+quote(before.Merge(pos).String()))
}

// restore writes the record after a rebuild.
func (s *session) restore(ctx context.Context, r record) error {
	var is bool
	if err := s.ask(ctx, s.n.row("read read_only", "SELECT @@global.read_only", &is)); err != nil {
		return err
	}
	if !is {
		return &RepairError{Node: s.n.cfg.ID, Reason: "the server came back writable"}
	}
	var h history
	lacks := s.ask(ctx, s.n.askMarkers(&h))
	fresh := s.n.fresh()
	r.Incarnation, r.Skipped = fresh.Incarnation, ""
	old, err := s.n.load(ctx, s)
	var none *NotSetUpError
	switch {
	case errors.As(err, &none):
		if err := s.setUp(ctx, r); err != nil {
			return err
		}
		return s.history(ctx, h, lacks)
	case err == nil && r.Promised.Less(old.Promised):
		return &leadership.StaleTermError{Node: s.n.cfg.ID, Asked: r.Promised, Promised: old.Promised}
	}
	// A copy may bring a source with it, and have acknowledged what it received since:
	// that goes with the relay log, unless it is applied.
	if err := s.stop(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.later("stop replication", "STOP SLAVE")
	s.later("forget the source", "RESET SLAVE ALL")
	if err := s.save(r); err != nil {
		return err
	}
	// Now: what was left for later goes with the session when history has an error.
	if err := s.ask(ctx); err != nil {
		return err
	}
	return s.history(ctx, h, lacks)
}
