package lameduck

import (
	"context"
	"errors"
	"time"
)

// run is one Drain under way.
type run struct {
	g    *Gate
	plan Plan
	// wake is signalled by the last exit of a cell and by an undo; one signal
	// stands for any number.
	wake chan struct{}

	// undone is set by Resume and Serve, with the tree locked.
	undone bool

	// What follows belongs to the goroutine that drains.
	base   totals
	began  time.Time
	since  time.Time // of the present phase
	spread spread
	hooks  hooks
	report Report
}

func (r *run) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Drain takes the gate, and all below it, through the phases of the plan. It
// returns a nil error when the gate is Drained: everything admitted has
// exited, streams and ended units aside, and nothing is admitted any more.
//
// Other outcomes: *ForcedError (the report names who still runs);
// *BrokenOffError when ctx ended first: the gate serves again, or with
// Plan.Hold stays in its phase; contexts that were cancelled and units that
// were ended stay so. ErrResumed when Resume or Serve undid it. Before anything
// is touched: *PlanError, *DeadlineError, *PhaseError, ErrDraining, ctx's error.
//
// It wakes on the last exit and never polls. It starts goroutines only for
// Options.EndUnit and joins them before it returns, but for calls that hang,
// see there. So it returns within the sum of the caps, Hooks included, and a
// tenth of a second after its context at the latest.
func (g *Gate) Drain(ctx context.Context, p Plan) (Report, error) {
	if err := p.check(ctx); err != nil {
		return Report{}, err
	}
	g.expire()
	r := &run{g: g, plan: p, wake: make(chan struct{}, 1)}
	if err := r.begin(); err != nil {
		return Report{}, err
	}
	err := r.drive(ctx)
	if err != nil && !r.report.Phase.Ended() {
		err = r.breakOff(err)
	}
	r.spread.stop()
	r.report.Abandoned = r.hooks.join(p.Hooks)
	r.report.Total = time.Since(r.began)
	return r.report, err
}

// begin makes r the gate's drain; it changes no phase yet.
func (r *run) begin() error {
	g := r.g
	unlock := g.lock()
	if err := r.admissible(); err != nil {
		unlock()
		return err
	}
	g.own.refusals = newRefusals(g.term(), &r.plan)
	g.own.disarm()
	if g.own.phase == Serving && r.plan.Spread > 0 {
		g.own.told = 0
		r.spread.start(r.plan.Spread)
	} else {
		g.own.told = shares
	}
	r.base = g.totals()
	r.began = time.Now()
	r.report = Report{Gate: g.name, Term: g.term(), Phase: g.own.phase, Before: g.sum()}
	g.running.Store(r)
	done := g.apply()
	unlock()
	done()
	return nil
}

// admissible is called with the tree locked.
func (r *run) admissible() error {
	g := r.g
	if g.running.Load() != nil {
		return ErrDraining
	}
	if g.own.phase.Ended() {
		return &PhaseError{Op: "drain", Phase: g.own.phase}
	}
	if term := g.term(); !r.plan.Until.IsZero() && r.plan.Until.Less(term) {
		return &PlanError{Field: "Until", Reason: "is below the term served, " + term.String()}
	}
	return nil
}

// drive passes through the phases. An error means that the end was not reached.
func (r *run) drive(ctx context.Context) error {
	p := &r.plan
	never := func() bool { return false }
	if err := r.pass(ctx, Announced, p.Announce, never); err != nil {
		return err
	}
	noUnits := func() bool { return r.g.sum().Units == 0 }
	if err := r.pass(ctx, DrainUnits, p.Units, noUnits); err != nil {
		return err
	}
	if err := r.enter(DrainAll); err != nil {
		return err
	}
	quiet, err := r.wait(ctx, p.All, r.g.sealAll)
	if err != nil {
		return err
	}
	if !quiet {
		if err := r.cancel(ctx); err != nil {
			return err
		}
		if _, err = r.wait(ctx, p.Cancel, func() bool { return r.g.sum().Active == 0 }); err != nil {
			return err
		}
	}
	return r.end(ctx)
}

// pass goes through a phase that a zero cap skips.
func (r *run) pass(ctx context.Context, p Phase, d time.Duration, done func() bool) error {
	if d == 0 {
		return nil
	}
	if err := r.enter(p); err != nil {
		return err
	}
	_, err := r.wait(ctx, d, done)
	return err
}

// enter moves the gate's own phase forward. A gate that was held in a later
// phase stays in that one.
func (r *run) enter(p Phase) error {
	unlock := r.g.lock()
	if r.undone {
		unlock()
		return ErrResumed
	}
	p = max(p, r.g.own.phase)
	r.g.own.phase = p
	done := r.g.apply()
	r.mark(p)
	unlock()
	done()
	return nil
}

// mark closes the account of the phase before.
func (r *run) mark(p Phase) {
	now := time.Now()
	r.report.spent(r.report.Phase, now.Sub(r.since), !r.since.IsZero())
	r.report.Phase, r.since = p, now
}

// wait returns true as soon as done does, false after d. done is called with
// the tree locked, after every signal. It returns ErrResumed when the drain was
// undone and ctx's error when ctx ended.
func (r *run) wait(ctx context.Context, d time.Duration, done func() bool) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for late := d <= 0; ; {
		r.tellShares()
		if r.g.step != nil {
			r.g.step("check", uint64(r.report.Phase))
		}
		unlock := r.g.lock()
		undone := r.undone
		ok := !undone && done()
		unlock()
		switch {
		case undone:
			return false, ErrResumed
		case ok:
			return true, nil
		case ctx.Err() != nil:
			return false, ctxError(ctx)
		case late:
			return false, nil
		}
		select {
		case <-r.wake:
		case <-timer.C:
			late = true
		case <-ctx.Done():
		case <-r.spread.due():
		}
	}
}

func ctxError(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return errors.Join(ctx.Err(), cause)
}

// sealAll refuses continuations in every cell once no request runs in any. A
// cell is sealed only in the same atomic step that finds it without a request,
// so when all are sealed, nothing runs and nothing can begin. Should a
// continuation slip in between, the drain waits for that one.
func (g *Gate) sealAll() bool {
	quiet := true
	g.eachCell(func(c *Cell) {
		if c.step != nil {
			c.step("read", c.word.Load())
		}
		quiet = quiet && c.counts().Active == 0
	})
	if !quiet {
		return false
	}
	g.eachCell(func(c *Cell) { quiet = c.seal() && quiet })
	return quiet
}

// cancel ends idle units, cuts busy ones and cancels every context.
func (r *run) cancel(ctx context.Context) error {
	g := r.g
	unlock := g.lock()
	if r.undone {
		unlock()
		return ErrResumed
	}
	g.own.phase = Cancelled
	r.tellAll()
	done := g.apply()
	r.mark(Cancelled)
	r.report.Cancelled = g.sum().Active
	// After the units, so that an idle one is told that it was ended and not
	// just that it is over.
	why := g.own.refusals.cancelled
	settle := r.endUnits(func() {
		g.each(func(g *Gate) { g.presentEra().cause.CompareAndSwap(nil, why) })
	})
	unlock()
	done()
	settle(ctx)
	return nil
}

// endUnits ends units, calls then, and takes the contexts that have ended since.
// It is called with the tree locked and returns what to do after.
func (r *run) endUnits(then func()) (after func(context.Context)) {
	g := r.g
	var owed []hook
	var cancels []func()
	g.eachCell(func(c *Cell) { owed = c.endUnits(owed) })
	then()
	g.eachCell(func(c *Cell) { cancels = c.take(cancels) })
	var below []*run
	g.each(func(g *Gate) {
		if r := g.running.Load(); r != nil {
			below = append(below, r)
		}
	})
	return func(ctx context.Context) {
		// Units were taken off the counts of the gates above and below.
		g.signal()
		for _, r := range below {
			r.signal()
		}
		for _, f := range cancels {
			f()
		}
		r.hooks.start(ctx, owed)
	}
}

// end decides between Drained and Forced. From here there is no undo.
func (r *run) end(ctx context.Context) error {
	g := r.g
	unlock := g.lock()
	if r.undone {
		unlock()
		return ErrResumed
	}
	left := g.sum().Active
	g.own.phase = Drained
	if left > 0 {
		g.own.phase = Forced
	}
	g.arm(&r.plan)
	r.tellAll()
	done := g.apply()
	g.eachCell(func(c *Cell) { c.epoch.Add(1) })
	settle := r.endUnits(func() {})
	r.mark(g.own.phase)
	r.count(left)
	g.running.Store(nil)
	unlock()
	done()
	settle(ctx)
	if left > 0 {
		return &ForcedError{Survivors: left}
	}
	return nil
}

// breakOff is the way out when the drain did not reach its end.
func (r *run) breakOff(err error) error {
	g := r.g
	unlock := g.lock()
	at := g.own.phase
	r.mark(at)
	r.count(g.sum().Active)
	done := func() {}
	switch {
	case r.undone:
		err = ErrResumed
	case r.plan.Hold:
		g.arm(&r.plan)
		r.tellAll()
		done = g.apply()
		err = &BrokenOffError{Phase: at, Held: true, Err: err}
	default:
		done = g.reopen()
		err = &BrokenOffError{Phase: at, Err: err}
	}
	if g.running.Load() == r {
		g.running.Store(nil)
	}
	unlock()
	done()
	return err
}

// endUnits ends every open unit of a sealed cell, cutting those with a request
// that still runs, and returns the hooks owed for the idle ones.
func (c *Cell) endUnits(hooks []hook) []hook {
	c.slots.each(func(s *slot) {
		// A slot that is not open yet holds another's info; its unit finds
		// out by the epoch.
		info, gen, st := s.read()
		if info.Kind != Unit || st&slotOpen == 0 {
			return
		}
		ended, cut := s.end(gen)
		if ended || cut {
			c.dropUnit()
		}
		if ended && c.gate.endUnit != nil {
			hooks = append(hooks, hook{call: c.gate.endUnit, info: info})
		}
	})
	return hooks
}
