package mariadbnode

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
)

// Promise implements revoke.Promiser. In this order: it takes the turn at the
// server, ending the call of any lower term that has it; it writes the promise,
// outside the binary log; it stops the IO thread; it makes the server
// read-only, if it was not; and it reads all of that back. Asked again at the
// same term it only reads, so that a late duplicate does not unseat the leader
// of its own term.
//
// The position is in the testimony when everything received is applied already,
// which Read waits for otherwise.
//
// It returns a *leadership.StaleTermError, a *BlockedError, a *PrivilegedError
// or a *KilledError at a server that takes writes, a *TurnError, a
// *NotSetUpError, or a *StepError. After any but the first the promise may be
// written; nothing is claimed.
func (n *Node) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.promise(ctx, t, leadership.Promised)
}

// StepDown implements revoke.StepDowner: Promise at the leader, in good order.
// Writers that run are waited for, within Limits.ReadOnly, and what they wrote
// is in the position. A transaction that is open, and idle, stays open and gets
// error 1290 at COMMIT: it is not done.
//
// It refuses a leader with writers that read_only does not stop before anything
// is touched, with a *PrivilegedError. A commit that waits for an
// acknowledgement which does not come makes it fail with a *BlockedError: it is
// never answered falsely to get it out of the way.
func (n *Node) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.promise(ctx, t, leadership.Demoted)
}

func (n *Node) promise(ctx context.Context, t leadership.Term, kind leadership.TestimonyKind) (leadership.Testimony, error) {
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	s, err := n.turn(ctx, t)
	if err != nil {
		return leadership.Testimony{}, err
	}
	defer s.close()
	r, l, err := s.begin(ctx)
	if err != nil {
		return leadership.Testimony{}, err
	}
	led := r.led(l.readOnly, l.start)
	before := r
	if err := r.raise(t); err != nil {
		return leadership.Testimony{}, err
	}
	// A server that was a leader stays armed until it follows somebody.
	writes := !l.readOnly || l.armed
	if writes && r.Source.Leader != n.cfg.ID {
		if err := s.privileged(ctx, !before.Promised.Less(t)); err != nil {
			return leadership.Testimony{}, err
		}
	}
	if before.Promised.Less(t) {
		// Before read_only is asked for: while that waits, this table cannot be
		// written either.
		if err := s.save(ctx, r); err != nil {
			return leadership.Testimony{}, err
		}
	}
	if before.Promised.Less(t) || !n.keeps(r, l) {
		if err := s.quiesce(ctx); err != nil {
			return leadership.Testimony{}, err
		}
		if writes {
			if err := s.privileged(ctx, true); err != nil {
				return leadership.Testimony{}, err
			}
		}
	}
	if kind == leadership.Demoted && (led.IsZero() || led == t) {
		kind = leadership.Promised
	}
	out := n.testimony(r, l, kind, led)
	if l, err = n.look(ctx, s.conn); err != nil {
		return leadership.Testimony{}, err
	}
	if out.Incarnation != incarnation(r.Incarnation, l.start) {
		return leadership.Testimony{}, &leadership.IncarnationError{Node: n.cfg.ID, Want: out.Incarnation, Got: incarnation(r.Incarnation, l.start)}
	}
	if l.slave.settled(l.slavePos) {
		if err := n.read(ctx, s.conn, r, l.state, &out); err != nil {
			return leadership.Testimony{}, err
		}
	}
	return out, nil
}

// begin reads what a call starts from. The caller has the turn.
func (s *session) begin(ctx context.Context) (record, live, error) {
	r, err := s.n.load(ctx, s.conn)
	if err != nil {
		return r, live{}, err
	}
	l, err := s.n.look(ctx, s.conn)
	return r, l, err
}

// keeps reports whether the server is as the record of this very term wants it:
// it leads, or it follows the source of that term, or does neither.
func (n *Node) keeps(r record, l live) bool {
	if r.Source.Leader == n.cfg.ID {
		// Writable without the grant of that term, it may complete what an earlier
		// one lets it complete.
		return !l.slave.ioRuns() && (l.readOnly || r.led(l.readOnly, l.start) == r.Promised)
	}
	return l.readOnly && (!l.slave.ioRuns() || n.follows(r.Source.Leader, l.slave))
}

// follows reports whether the server's source is that node.
func (n *Node) follows(id leadership.NodeID, s slave) bool {
	host, port, ok := n.peer(id)
	return ok && s.configured && s.host == host && s.port == port
}

// quiesce makes the server complete and acknowledge nothing.
func (s *session) quiesce(ctx context.Context) error {
	if err := s.fence(ctx); err != nil {
		return err
	}
	return s.readOnly(ctx)
}

func (n *Node) testimony(r record, l live, kind leadership.TestimonyKind, led leadership.Term) leadership.Testimony {
	return leadership.Testimony{
		Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, l.start), Term: r.Promised,
		Kind: kind, Held: kind != leadership.Statement && !n.cfg.RestartsFenced, Led: led, BelowFloor: !r.Floor.IsZero(),
	}
}

// read puts the position into a testimony.
func (n *Node) read(ctx context.Context, q querier, r record, st State, out *leadership.Testimony) error {
	marks, older, err := n.markers(ctx, q)
	if err != nil {
		return err
	}
	pos := position(st, marks, older)
	out.Read, out.Markers = &pos, sightings(marks)
	out.BelowFloor = below(pos, r.Floor) || !r.whole(st)
	return nil
}

// below reports whether a log at pos is not known to be back at floor.
func below(pos, floor leadership.Position) bool {
	if floor.IsZero() {
		return false
	}
	o := pos.Rank(floor)
	return o != leadership.Same && o != leadership.Ahead
}

// Read implements revoke.Reader: it waits until everything that was received is
// applied, rescuing the relay log of a server that was restarted with its
// source gone, and returns the position as of after the promise of t.
//
// It returns a *leadership.StaleTermError when more was promised, before or
// while reading, a *leadership.NotReadyError when t was not promised, a
// *ReplicationError when the SQL thread cannot go on, a *RelayLogError when it is
// not known what was received, or a *StepError.
func (n *Node) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	if n.closed.Load() {
		return leadership.Testimony{}, ErrClosed
	}
	if _, err := n.at(ctx, t); err != nil {
		return leadership.Testimony{}, err
	}
	if err := n.applied(ctx, t); err != nil {
		return leadership.Testimony{}, err
	}
	l, err := n.look(ctx, n.db)
	if err != nil {
		return leadership.Testimony{}, err
	}
	r, err := n.at(ctx, t)
	if err != nil {
		return leadership.Testimony{}, err
	}
	out := n.testimony(r, l, leadership.Statement, leadership.Term{})
	return out, n.read(ctx, n.db, r, l.state, &out)
}

// at returns the record while t is its promise.
func (n *Node) at(ctx context.Context, t leadership.Term) (record, error) {
	r, err := n.load(ctx, n.db)
	switch {
	case err != nil:
		return r, err
	case t.Less(r.Promised):
		return r, &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: r.Promised}
	case r.Promised.Less(t):
		return r, &leadership.NotReadyError{Node: n.cfg.ID, Reason: "it has not promised " + t.String()}
	}
	return r, nil
}
