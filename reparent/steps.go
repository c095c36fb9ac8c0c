package reparent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// beginTries bounds how often an attempt that was outrun before it touched
// anything takes a higher term.
const beginTries = 5

// begin takes a term and announces it.
func (a *attempt) begin(ctx context.Context) error {
	for try := 1; ; try++ {
		if err := a.takeTerm(); err != nil {
			return err
		}
		err := a.announce(ctx)
		var super *leadership.SupersededError
		if errors.As(err, &super) && super.Term == a.term && try < beginTries {
			a.outrun = super.By
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	r, err := a.newRound(a.term)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.round = r
	a.mu.Unlock()
	if w := a.change.Waiver; w != nil {
		a.rep.Waivers = append(a.rep.Waivers, *w)
	}
	return nil
}

func (a *attempt) takeTerm() (err error) {
	seen := []leadership.Term{a.rec.Fence, a.rec.Active.Term, a.outrun}
	for _, s := range a.statuses {
		seen = append(seen, s.Promised, s.Leads, s.Position.Term)
	}
	a.term, err = a.g.nextTerm(seen...)
	a.rep.Term = a.term
	return err
}

func (a *attempt) announce(ctx context.Context) error {
	i := leadership.Intent{
		Term: a.term, By: a.g.cfg.By, Kind: a.change.Kind, From: a.from, To: a.change.To,
		Addr: a.g.nodes[a.change.To].Addr, Phase: leadership.Preparing, HoldFor: a.g.cfg.Limits.HoldFor,
	}
	if !a.change.orderly() {
		// Nobody serves, or is about to: let routers hold from here on.
		i.Phase = leadership.Holding
	}
	a.holding = time.Now()
	force := a.change.Force || a.change.unplanned() || a.change.Kind == leadership.KindResume
	planned := a.rec.Active
	a.begun = true
	err := a.write(ctx, func(r leadership.Record) (leadership.Record, error) {
		if a.change.first() && r.Version == 0 {
			created, err := r.Create(a.g.cluster, a.change.Mode, a.rulesets[0])
			if err != nil {
				return r, err
			}
			return created.Begin(i, force)
		}
		if err := a.begunAlike(r); err != nil { // as all that follows, since it was read
			return r, err
		}
		if err := a.change.overtaken(r); err != nil {
			return r, err
		}
		if r.Active != planned {
			return r, &ChangeError{a.change.Kind, "while it was checked, " + r.Active.String() + " took over from " + planned.String() + ": plan again"}
		}
		if err := a.knowsMembers(r); err != nil {
			return r, err
		}
		return r.Begin(i, force)
	})
	if err == nil || isRule(err) || !a.change.blind() || a.rec.Mode != leadership.Full || ctx.Err() != nil {
		return err
	}
	a.blind = err
	a.rep.note("the registry could not be written (%v): going on without it, by the full test", err)
	return nil
}

// bars are those of the nodes that were declared gone, so that what comes back
// later under the old identity counts for nothing. They are recorded together with
// the leadership that relies on them: a change that fails leaves none.
func (a *attempt) bars() []leadership.Bar {
	w := a.change.Waiver
	if w == nil {
		return nil
	}
	out := make([]leadership.Bar, len(w.Gone))
	for i, id := range w.Gone {
		out[i] = leadership.Bar{Node: id, Term: a.term, Reason: w.Reason, By: w.By}
	}
	return out
}

// write makes one transition of the record. In Full mode an attempt that can
// do without the registry goes on when it is down; what a registry that is up
// says is final.
func (a *attempt) write(ctx context.Context, step func(leadership.Record) (leadership.Record, error)) error {
	if a.blind != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Registry)
	defer cancel()
	asked := a.g.asking()
	rec, err := leadership.Update(ctx, a.g.reg, func(r leadership.Record) (leadership.Record, error) {
		if err := a.g.owns(r); err != nil {
			return r, err
		}
		return step(r)
	})
	if err != nil {
		return err
	}
	a.mu.Lock() // a mechanism may be asking whether there is enough
	a.rec = rec
	a.mu.Unlock()
	a.g.remember(rec, asked)
	return nil
}

// isRule reports whether an error is the record's own word, as opposed to a
// registry that could not be asked.
func isRule(err error) bool {
	var super *leadership.SupersededError
	var trans *leadership.TransitionError
	var busy *leadership.BusyError
	var change *ChangeError
	return errors.As(err, &super) || errors.As(err, &trans) || errors.As(err, &busy) || errors.As(err, &change) ||
		errors.Is(err, leadership.ErrNotMinted) || errors.Is(err, leadership.ErrClosed)
}

// prepare brings the candidate level while the leader serves, so that the gap
// which follows is short. It promises nothing.
func (a *attempt) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Prepare)
	defer cancel()
	n, err := a.node(a.change.To)
	if err != nil {
		return err
	}
	if a.relays() && a.level() {
		a.ready(ctx)
		return nil
	}
	s, err := a.leaderStatus(ctx)
	if err != nil {
		return fmt.Errorf("reparent: status of the leader %s: %w", a.from, err)
	}
	if s.Position.IsZero() {
		return nil // there is nothing to catch up with
	}
	if err := n.Candidate.CatchUp(ctx, a.term, a.from, s.Position); err != nil {
		return &establish.NodeError{Node: a.change.To, Op: "catch up", Err: err}
	}
	a.ready(ctx)
	return nil
}

// leaderStatus is what the leader said when it was asked a moment ago: what it
// has written since, the candidate is still being sent. One that did not answer
// then, but is to step down all the same, is asked again.
func (a *attempt) leaderStatus(ctx context.Context) (leadership.Status, error) {
	for _, s := range a.statuses {
		if s.Node == a.from && s.Reachable {
			return s, nil
		}
	}
	lead, err := a.node(a.from)
	if err != nil {
		return leadership.Status{}, err
	}
	return lead.Status.Status(ctx)
}

// hold tells routers to hold, just before the leader drains.
func (a *attempt) hold(ctx context.Context) error {
	a.holding = time.Now()
	return a.write(ctx, func(r leadership.Record) (leadership.Record, error) { return r.Advance(a.term) })
}

// install runs the establishment until the marker is durable. Followers that
// are late go on following while the change goes on.
func (a *attempt) install(ctx, mctx context.Context, p *leadership.Proposal) (*leadership.Installed, error) {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Install)
	defer cancel()
	if err := errors.Join(a.alive(), a.regained()); err != nil {
		return nil, err
	}
	est := a.change.Establish
	if est == nil {
		est = a.g.establish
	}
	ended := make(chan error, 1)
	a.joins.Go(func() {
		ended <- est.Install(mctx, p, func(acc leadership.Acceptance) {
			err := p.Add(acc)
			a.mu.Lock()
			a.rep.accepted(acc, err)
			a.mu.Unlock()
			a.poke()
		})
	})
	var failed error
	for done := false; ; {
		in, err := p.Installed()
		if back := a.regained(); back != nil { // at once: it must not be made to follow
			return nil, errors.Join(a.alive(), back)
		}
		if err == nil {
			return in, a.alive()
		}
		if done {
			return nil, errors.Join(superseded(a.term, failed), err)
		}
		select {
		case failed = <-ended:
			done = true
		case <-a.news:
		case <-ctx.Done():
			// What the nodes have answered decides whether there is anything
			// to undo: an attempt that was outrun touches nothing more.
			a.cancel()
			failed = <-ended
			return nil, errors.Join(context.Cause(ctx), superseded(a.term, failed), err)
		}
	}
}

// superseded turns "a node has promised more than our term" into what it means
// for the attempt.
func superseded(t leadership.Term, err error) error {
	if by := promised(err); t.Less(by) {
		return errors.Join(&leadership.SupersededError{Term: t, By: by}, err)
	}
	return err
}

// promised returns the highest promise that a part of err speaks of. Several nodes
// may have refused, for several reasons: the first that is found may be of an older
// attempt, or of none.
func promised(err error) (by leadership.Term) {
	if stale, ok := err.(*leadership.StaleTermError); ok {
		return stale.Promised
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return promised(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			by = leadership.MaxTerm(by, promised(e))
		}
	}
	return by
}

// activate records the leadership before it is granted, and in the same write who
// was declared gone for it. In Full mode the proof alone is enough to go on when
// the registry cannot be asked, except where the record is what keeps everybody
// from going on under a ruleset that was replaced by a person's word.
func (a *attempt) activate(ctx context.Context, in *leadership.Installed) error {
	err := a.regained()
	if a.change.survivors() != nil {
		err = errors.Join(a.alive(), err)
	}
	if err != nil {
		return err // before the record names it
	}
	bars := a.bars()
	err = a.write(ctx, func(r leadership.Record) (leadership.Record, error) { return activated(r, in, bars) })
	if err == nil || isRule(err) || a.change.survivors() != nil || a.rec.Mode != leadership.Full || ctx.Err() != nil {
		return err
	}
	a.blind = err
	a.rep.note("the registry could not be written (%v): going on without it, by the full test", err)
	return nil
}

func (a *attempt) grant(ctx context.Context, in *leadership.Installed) error {
	ctx, cancel := context.WithTimeout(ctx, a.g.cfg.Limits.Grant)
	defer cancel()
	if err := a.alive(); err != nil {
		return err
	}
	est := a.change.Establish
	if est == nil {
		est = a.g.establish
	}
	return superseded(a.term, est.Grant(ctx, in))
}

// UnsavedError says that a leader was established and granted, and that the
// record does not show it yet. It serves; routers learn of it from responses.
type UnsavedError struct {
	Leadership leadership.Leadership
	Err        error
}

func (e *UnsavedError) Error() string {
	return fmt.Sprintf("reparent: %s leads, but the record does not show it: %v: run Sweep when the registry is back", e.Leadership, e.Err)
}

// Unwrap returns the registry's error.
func (e *UnsavedError) Unwrap() error { return e.Err }

// route sends clients to the new leader. When the registry was down before, it
// is tried again now: first the activation that it missed.
func (a *attempt) route(ctx context.Context, in *leadership.Installed) error {
	a.blind = nil
	led := &led{in, a.bars()}
	err := a.write(ctx, func(r leadership.Record) (leadership.Record, error) { return a.g.save(r, led) })
	if err != nil {
		a.g.mu.Lock()
		a.g.unsaved = led
		a.g.mu.Unlock()
		return &UnsavedError{Leadership: in.Leadership(), Err: err}
	}
	return nil
}

// led is a leadership that was granted, and who is barred by what it relied on.
type led struct {
	in   *leadership.Installed
	bars []leadership.Bar
}

// activated is a record in which a leadership is active, and nodes are barred.
func activated(r leadership.Record, in *leadership.Installed, bars []leadership.Bar) (leadership.Record, error) {
	r, err := r.Activate(in)
	if err != nil {
		return r, err
	}
	return barring(r, bars)
}

func barring(r leadership.Record, bars []leadership.Bar) (leadership.Record, error) {
	var err error
	for _, b := range bars {
		if r, err = r.Bar(b); err != nil {
			break
		}
	}
	return r, err
}

// save brings a record to a leadership that was granted.
func (g *Guard) save(r leadership.Record, led *led) (leadership.Record, error) {
	l := led.in.Leadership()
	if r.Version == 0 {
		return r, ErrNoRecord
	}
	if err := g.owns(r); err != nil {
		return r, err
	}
	r, err := r.Granted(led.in)
	if err != nil {
		return r, err
	}
	if r, err = barring(r, led.bars); err != nil {
		return r, err
	}
	return r.Route(l, g.nodes[l.Leader].Addr)
}
