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
// *NotSetUpError, a *leadership.NotReadyError when the promise was written and is
// not there, or a *StepError. After any but the first the promise may be
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
	// Who writes in spite of read_only is asked with the rest where a leader is
	// expected, and by itself where one is found.
	var c census
	var known []question
	if kind == leadership.Demoted {
		known = n.askCensus(&c)
	}
	s, err := n.begin(ctx, t, known...)
	if err != nil {
		return leadership.Testimony{}, err
	}
	defer s.close()
	r, l := s.record, s.live
	led := r.led(l.readOnly, l.start)
	before := r
	if err := r.raise(t); err != nil {
		return leadership.Testimony{}, err
	}
	// A server that was a leader stays armed until it follows somebody.
	writes := !l.readOnly || l.armed
	if writes && r.Source.Leader != n.cfg.ID {
		if known == nil {
			if err := s.ask(ctx, n.askCensus(&c)...); err != nil {
				return leadership.Testimony{}, err
			}
		}
		if err := n.privileged(&c, s.processes, !before.Promised.Less(t)); err != nil {
			return leadership.Testimony{}, err
		}
	}
	raised := before.Promised.Less(t)
	if raised {
		// Before read_only is asked for: while that waits, this table cannot be
		// written either.
		if err := s.save(r); err != nil {
			return leadership.Testimony{}, err
		}
	}
	out := n.testimony(r, l, kind, led)
	if kind == leadership.Demoted && (led.IsZero() || led == t) {
		out.Kind = leadership.Promised
	}
	// What the testimony says is read after all that makes it true, in the same
	// message where there is nothing to wait for.
	var h history
	// The record last: what is testified was read back, and is not what was meant to be
	// written.
	var back record
	last := append(n.askLive(s, &l), n.askMarkers(&h), n.askRecord(&back))
	if raised || !n.keeps(r, l) {
		c = census{}
		if writes {
			last = append(n.askCensus(&c), last...)
		}
		p, err := s.quiesce(ctx, l, s.processes, last...)
		if err != nil {
			return leadership.Testimony{}, err
		}
		if err := n.privileged(&c, p, true); err != nil {
			return leadership.Testimony{}, err
		}
	} else if err := s.ask(ctx, last...); err != nil {
		return leadership.Testimony{}, err
	}
	if err := back.stands(t); err != nil {
		return leadership.Testimony{}, err
	}
	if out.Incarnation != incarnation(r.Incarnation, l.start) {
		return leadership.Testimony{}, &leadership.IncarnationError{Node: n.cfg.ID, Want: out.Incarnation, Got: incarnation(r.Incarnation, l.start)}
	}
	if l.settled() {
		n.read(r, l.state, h, &out)
	}
	_ = s.end(ctx) // all was answered
	return out, nil
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

// quiesce makes the server complete and acknowledge nothing, asks the questions then,
// and returns the threads that were there. l and p are how it was a moment ago.
func (s *session) quiesce(ctx context.Context, l live, p processes, qs ...question) (processes, error) {
	is := l.readOnly
	check := append(append([]question{s.n.row("read read_only", "SELECT @@global.read_only", &is)}, s.n.askProcesses(&p)...), qs...)
	now := check
	if !is {
		now = nil // there is more to do before they are asked
	}
	if err := s.fence(ctx, l, p, now...); err != nil {
		return p, err
	}
	err := s.readOnly(ctx, &is, &p, check) // which reads p
	return p, err
}

func (n *Node) testimony(r record, l live, kind leadership.TestimonyKind, led leadership.Term) leadership.Testimony {
	return leadership.Testimony{
		Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, l.start), Term: r.Promised,
		Kind: kind, Held: kind != leadership.Statement && !n.cfg.RestartsFenced, Led: led, BelowFloor: !r.Floor.IsZero(),
	}
}

// read puts the position into a testimony.
func (n *Node) read(r record, st State, h history, out *leadership.Testimony) {
	pos := position(st, h)
	out.Read, out.Markers = &pos, sightings(h)
	out.BelowFloor = below(pos, r.Floor) || !r.whole(st)
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
	if _, err := n.at(ctx, n.pool(), t); err != nil {
		return leadership.Testimony{}, err
	}
	if err := n.applied(ctx, t); err != nil {
		return leadership.Testimony{}, err
	}
	// The record last: it says that the position was read as of the promise.
	var l live
	var h history
	var r record
	if err := n.pool().ask(ctx, append(n.askLive(n.pool(), &l), n.askMarkers(&h), n.askRecord(&r))...); err != nil {
		return leadership.Testimony{}, err
	}
	if err := r.stands(t); err != nil {
		return leadership.Testimony{}, err
	}
	out := n.testimony(r, l, leadership.Statement, leadership.Term{})
	n.read(r, l.state, h, &out)
	return out, nil
}

// at returns the record while t is its promise.
func (n *Node) at(ctx context.Context, on asker, t leadership.Term) (record, error) {
	r, err := n.load(ctx, on)
	if err != nil {
		return r, err
	}
	return r, r.stands(t)
}

// stands returns nil while t is the record's promise.
func (r *record) stands(t leadership.Term) error {
	switch {
	case t.Less(r.Promised):
		return &leadership.StaleTermError{Node: r.Node, Asked: t, Promised: r.Promised}
	case r.Promised.Less(t):
		return &leadership.NotReadyError{Node: r.Node, Reason: "it has not promised " + t.String()}
	}
	return nil
}
