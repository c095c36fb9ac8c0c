package acceptor

import (
	"context"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Reading is what a node's log says of itself. It is evidence of what was never
// completed, too, so one that says less than the log holds loses requests: what
// the acceptor knows to be too little is a *ShortReadingError.
type Reading struct {
	// Position is where the log ends; zero: it is empty.
	Position leadership.Position
	// Markers are the rulesets that the log shows, at least the last two,
	// oldest first.
	Markers []leadership.Sighting
}

// ReadFunc reads the node's log. It runs outside every lock of the acceptor,
// after the gate was shut.
type ReadFunc func(ctx context.Context) (Reading, error)

// Recruit promises t: the node supports no leadership below it any more. In
// this order: the gate is shut for every term below t; the completions that are
// in their bracket leave; the promise goes to disk; grant and source of a lower
// term are dropped; then read runs and its position goes into the testimony,
// of the kind Promised. A nil read leaves the position for Read.
//
// The same term again only reads: a grant or source at t itself stays, so a
// late duplicate does not unseat the leader of t.
//
// It returns a *leadership.StaleTermError below the promise, a *ReadError
// beside a valid testimony when only reading failed, an *UnsettledError when
// it is not known whether the promise is on disk, and, nothing touched,
// *CanceledError, *leadership.TermError or a *PendingError.
func (a *Acceptor) Recruit(ctx context.Context, t leadership.Term, read ReadFunc) (leadership.Testimony, error) {
	return a.promise(ctx, t, read, leadership.Promised)
}

// StepDown is Recruit at a node that leads: when it returns, the node completes
// nothing below t, even with acknowledgements on their way. The testimony is of
// the kind Demoted if the promise of t ended a grant, else Promised.
// Let what is in flight finish first: this ends it. Errors as Recruit.
func (a *Acceptor) StepDown(ctx context.Context, t leadership.Term, read ReadFunc) (leadership.Testimony, error) {
	return a.promise(ctx, t, read, leadership.Demoted)
}

func (a *Acceptor) promise(ctx context.Context, t leadership.Term, read ReadFunc, kind leadership.TestimonyKind) (leadership.Testimony, error) {
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	err := a.change(ctx, t, func(s *State) error { return raise(s, t) })
	if err != nil {
		return leadership.Testimony{}, err
	}
	return a.testify(ctx, t, read, kind)
}

// raise is the promise of t in a record. Every operation that carries a term
// starts with it, so no term is forgotten to be compared.
func raise(s *State, t leadership.Term) error {
	if t.Less(s.Promised) {
		return &leadership.StaleTermError{Node: s.Node, Asked: t, Promised: s.Promised}
	}
	if s.Promised.Less(t) {
		s.Promised, s.Source = t, leadership.Leadership{}
	}
	return nil
}

// Read returns a testimony of the kind Statement with the position as of after
// the promise of t. It returns a *leadership.StaleTermError when more was
// promised, before or while reading, a *GateError when t was not promised yet,
// and a *ReadError when read failed.
func (a *Acceptor) Read(ctx context.Context, t leadership.Term, read ReadFunc) (leadership.Testimony, error) {
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	if read == nil {
		return leadership.Testimony{}, &ArgumentError{"read", "it is nil"}
	}
	v := a.view.Load()
	switch {
	case v == nil:
		return leadership.Testimony{}, ErrNotOpen
	case ctx.Err() != nil:
		return leadership.Testimony{}, &CanceledError{context.Cause(ctx)}
	case v.Promised.Less(t):
		return leadership.Testimony{}, v.refusal
	}
	return a.testify(ctx, t, read, leadership.Statement)
}

// testify reads and reports. What it says of t is true when t was the promise
// before the read and still is after it: then no entry of a higher term can
// have been accepted before the read ended.
func (a *Acceptor) testify(ctx context.Context, t leadership.Term, read ReadFunc, kind leadership.TestimonyKind) (leadership.Testimony, error) {
	before := a.view.Load()
	least := holding{known: before.known(), filled: a.filled.Load()} // of before the read: more may come while it runs
	var got Reading
	var failed error
	if read != nil {
		got, failed = read(ctx)
	}
	after := a.view.Load()
	if t.Less(after.Promised) {
		return leadership.Testimony{}, &leadership.StaleTermError{Node: after.Node, Asked: t, Promised: after.Promised}
	}
	led := leadership.MaxTerm(before.lead, before.ousted)
	if kind == leadership.Demoted && before.ousted.IsZero() {
		kind = leadership.Promised
	}
	out := leadership.Testimony{
		Node: after.Node, Incarnation: after.Incarnation, Term: t, Kind: kind, Led: led,
		BelowFloor: !after.Floor.IsZero(),
	}
	if failed != nil {
		return out, &ReadError{Node: after.Node, Term: t, Err: failed}
	}
	if read != nil {
		pos := got.Position
		out.Read, out.Markers = &pos, got.Markers
		// A floor that came or went while the log was read leaves open
		// which side of the repair was seen.
		out.BelowFloor = before.floors != after.floors || after.BelowFloor(pos)
		if short := least.check(pos); short != nil && !out.BelowFloor {
			out.Read, out.Markers = nil, nil
			return out, &ReadError{Node: after.Node, Term: t, Err: short}
		}
	}
	return out, nil
}

// Follow promises l's term and records l as the source, durably, and opens the
// accept gate for exactly l. Following l again changes nothing.
//
// It returns a *leadership.StaleTermError below the promise, a *TwoLeadersError
// when another leader is known under l's term, an *ArgumentError for l zero or
// led by the node itself, and the rest as Recruit.
func (a *Acceptor) Follow(ctx context.Context, l leadership.Leadership) error {
	if err := checkLeadership("leadership", l); err != nil {
		return err
	}
	return a.change(ctx, l.Term, func(s *State) error {
		if err := raise(s, l.Term); err != nil {
			return err
		}
		if !s.Source.IsZero() && s.Source != l {
			return &TwoLeadersError{Node: s.Node, Have: s.Source, Got: l}
		}
		if l.Leader == s.Node {
			return &ArgumentError{"leadership", "a node does not follow itself: install its marker"}
		}
		s.Source = l
		return nil
	})
}

// Install promises l's term with the node itself as the source, durably, and
// then runs write, which puts the marker of l after the selected log and
// returns when it is on disk. The node completes nothing until Grant.
//
// write must be idempotent. It runs in a bracket: a promise above l's term
// cancels its context and waits for it to return, so nothing of l lands after
// that promise was reported; Install then returns an *UnconfirmedError. It must
// not call the acceptor's promises itself. An error of write is returned
// as it is.
//
// A *GateError says that a higher term came between the promise of l's term
// and write, which did not run. Other errors as Follow's, where l must be led
// by the node itself.
func (a *Acceptor) Install(ctx context.Context, l leadership.Leadership, write func(ctx context.Context) error) error {
	if err := checkLeadership("leadership", l); err != nil {
		return err
	}
	if write == nil {
		return &ArgumentError{"write", "it is nil"}
	}
	err := a.change(ctx, l.Term, func(s *State) error {
		if l.Leader != s.Node {
			return &ArgumentError{"leadership", "it is led by another node: follow it"}
		}
		if err := raise(s, l.Term); err != nil {
			return err
		}
		if !s.Source.IsZero() && s.Source != l {
			return &TwoLeadersError{Node: s.Node, Have: s.Source, Got: l}
		}
		s.Source = l
		return nil
	})
	if err != nil {
		return err
	}
	v := a.view.Load()
	if v.Source != l || v.gate == nil || !v.gate.enter() {
		v = a.view.Load()
		return v.refuse(l)
	}
	defer v.gate.leave()
	wctx, release := v.gate.bind(ctx)
	defer release()
	err = write(wctx)
	if v.gate.isShut() {
		lost := &UnconfirmedError{Node: v.Node, Leadership: l}
		if err != nil {
			return fmt.Errorf("%w: %w", lost, err)
		}
		return lost
	}
	if err == nil {
		a.mark(v.gate)
	}
	return err
}

// Grant opens the node to its own leadership of t: Admit takes entries of its
// own and Complete opens. The grant is volatile. installed reports whether the
// marker of t is in the node's log; it is asked of the log and not remembered,
// because a restart may come between Install and Grant. It runs outside every
// lock. Granting t again changes nothing.
//
// It returns a *leadership.StaleTermError below the promise, a
// *leadership.NotReadyError when t is above the promise, was not installed
// here, or installed says no, a *PendingError while a higher promise is on its
// way to disk, and, nothing touched, *CanceledError, *leadership.TermError or
// *ArgumentError.
func (a *Acceptor) Grant(ctx context.Context, t leadership.Term, installed func() bool) error {
	return a.lead(ctx, t, installed, true)
}

// Stage opens the node to entries of its own leadership of t ahead of the grant:
// Admit takes them, behind the marker, and nothing is complete before Grant,
// since Complete stays shut. It is for a candidate whose clients should not wait
// while the marker becomes durable, in a cluster whose safety does not rest on
// who is granted (mode Full): like the marker, such entries are tentative until
// they are on a durable set. Grant later takes nothing away. installed and the
// errors are those of Grant.
func (a *Acceptor) Stage(ctx context.Context, t leadership.Term, installed func() bool) error {
	return a.lead(ctx, t, installed, false)
}

func (a *Acceptor) lead(ctx context.Context, t leadership.Term, installed func() bool, granted bool) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if installed == nil {
		return &ArgumentError{"installed", "it is nil"}
	}
	v := a.view.Load()
	if v == nil {
		return ErrNotOpen
	}
	if err := v.grantable(t); err != nil {
		return err
	}
	if !installed() {
		return &leadership.NotReadyError{Node: v.Node, Reason: "the marker of " + t.String() + " is not in its log"}
	}
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	v = a.view.Load()
	if err := v.grantable(t); err != nil || v.lead == t {
		return err
	}
	a.mark(v.gate)
	staged := v.open != nil && v.open.Leadership == v.Source
	if staged && !granted {
		return nil
	}
	next := *v
	if granted {
		next.lead = t
	}
	if !staged { // tokens of entries that were staged stay good
		next.open = newEpoch(v.Node, v.Source)
	}
	a.show(&next)
	return nil
}

func (v *view) grantable(t leadership.Term) error {
	switch {
	case t.Less(v.Promised):
		return &leadership.StaleTermError{Node: v.Node, Asked: t, Promised: v.Promised}
	case v.changing:
		return &PendingError{Node: v.Node, Asked: t}
	case v.Promised.Less(t):
		return &leadership.NotReadyError{Node: v.Node, Reason: "it has not promised " + t.String()}
	case v.Source != leadership.Leadership{Leader: v.Node, Term: t}:
		return &leadership.NotReadyError{Node: v.Node, Reason: "the marker of " + t.String() + " was not installed here"}
	}
	return nil
}

// SetFloor records pos, the node's position, before a repair discards entries,
// and returns when that is on disk. Until the log is back there a testimony
// says BelowFloor. A floor that is there and higher stays. It returns an
// *ArgumentError or *leadership.TextError for the zero position and for one
// whose text cannot be parsed back, a *leadership.DivergedError when pos
// and the floor cannot be compared, and the rest as Recruit.
func (a *Acceptor) SetFloor(ctx context.Context, pos leadership.Position) error {
	if pos.IsZero() {
		return &ArgumentError{"floor", "an empty log has nothing to come back to"}
	}
	if err := checkFloor(pos); err != nil {
		return err
	}
	return a.change(ctx, leadership.Term{}, func(s *State) error {
		switch pos.Rank(s.Floor) {
		case leadership.Ahead:
			s.Floor = pos
		case leadership.Diverged:
			return &leadership.DivergedError{Positions: []leadership.NodePosition{
				{Node: s.Node, Position: s.Floor}, {Node: s.Node, Position: pos},
			}}
		}
		return nil
	})
}

// ClearFloor forgets the floor, durably. It is the host's word that everything
// below it is in the log again. Errors as SetFloor.
func (a *Acceptor) ClearFloor(ctx context.Context) error {
	return a.change(ctx, leadership.Term{}, func(s *State) error {
		s.Floor = leadership.Position{}
		return nil
	})
}
