package mariadbnode

import (
	"context"
	"errors"

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
	h, err := n.here(ctx, n.db)
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
// It returns a *RepairError, or what Promise returns.
func (n *Node) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	if n.cfg.Rebuild == nil {
		return &RepairError{Node: n.cfg.ID, Reason: "Config.Rebuild is nil: copy " + string(from) + " with mariadb-backup, or undo the errant transactions with mariadb-binlog --flashback"}
	}
	addr, ok := n.cfg.Peers[from]
	if !ok {
		return &PeerError{Node: n.cfg.ID, Peer: from}
	}
	before, holds, err := n.lower(ctx, t)
	if err != nil {
		return err
	}
	if err := n.cfg.Rebuild(ctx, Rebuild{Node: n.cfg.ID, From: from, FromAddr: addr, Holds: holds}); err != nil {
		return &RepairError{Node: n.cfg.ID, Reason: "the rebuild failed, and the data may be half replaced", Err: err}
	}
	return n.pinned(ctx, func(s *session) error { return s.restore(ctx, before) })
}

// lower promises t and records the floor, before anything is discarded.
func (n *Node) lower(ctx context.Context, t leadership.Term) (record, State, error) {
	if err := t.Validate(); err != nil {
		return record{}, nil, err
	}
	s, err := n.turn(ctx, t)
	if err != nil {
		return record{}, nil, err
	}
	defer s.close()
	h, err := n.here(ctx, s.conn)
	if err != nil {
		return record{}, nil, err
	}
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
	if err := s.save(ctx, r); err != nil {
		return record{}, nil, err
	}
	return r, h.live.state, s.quiesce(ctx)
}

// restore writes the record after a rebuild.
func (s *session) restore(ctx context.Context, r record) error {
	var is bool
	if err := s.conn.QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&is); err != nil {
		return s.n.step("read read_only", err)
	}
	if !is {
		return &RepairError{Node: s.n.cfg.ID, Reason: "the server came back writable"}
	}
	fresh := s.n.fresh()
	r.Incarnation, r.Skipped = fresh.Incarnation, ""
	old, err := s.n.load(ctx, s.conn)
	var none *NotSetUpError
	switch {
	case errors.As(err, &none):
		return s.setUp(ctx, r)
	case err == nil && r.Promised.Less(old.Promised):
		return &leadership.StaleTermError{Node: s.n.cfg.ID, Asked: r.Promised, Promised: old.Promised}
	}
	if err := s.fence(ctx); err != nil {
		return err
	}
	if err := s.exec(ctx, "forget the source", "RESET SLAVE ALL"); err != nil {
		return err
	}
	return s.save(ctx, r)
}
