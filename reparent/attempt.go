package reparent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// attempt is one change under one term: its whole state, from the survey to the
// report. It lives as long as the Run that made it.
type attempt struct {
	g      *Guard
	change Change
	rep    *Report
	began  time.Time

	rec      leadership.Record
	blind    error // why the change goes on without the registry; nil: it does not
	rulesets []leadership.Ruleset
	from     leadership.NodeID
	next     *leadership.Ruleset
	prefer   []leadership.NodeID
	without  map[leadership.NodeID]string // whose log is disregarded, and why
	heeded   bool                         // those are to blame for what failed before
	statuses []leadership.Status
	hints    *leadership.Round // of the preview; nil: nobody answered yet
	hinted   []bool            // whose status is in hints, as in statuses
	term     leadership.Term

	outrun  leadership.Term // a fence that was seen above a term we took
	begun   bool            // the intent may be in the record
	touched bool            // nodes may have been asked
	granted bool
	holding time.Time // no router began to hold for this change before

	spared  bool              // spare promises were asked for
	retired *handover.Retired // what the leader said that let go in one call

	mu     sync.Mutex // guards round, prop, asked, heard, said, writes of rec, and what of rep the reports write
	round  *leadership.Round
	prop   *leadership.Proposal // nil until it was made
	asked  map[leadership.NodeID]bool
	heard  map[leadership.NodeID]bool // promised the term, members of the round or not
	said   []leadership.Testimony     // all that was reported, in order
	news   chan struct{}              // capacity 1: something was reported
	joins  sync.WaitGroup
	cancel context.CancelFunc // ends the mechanisms; nil until they begin
}

// do runs one step with its hooks and its line in the report.
func (a *attempt) do(ctx context.Context, s Step, f func(context.Context) error) error {
	ev := a.event(s, nil)
	start := time.Now()
	err := a.before(ctx, ev)
	if err == nil {
		err = f(ctx)
	}
	a.rep.step(s, start.Sub(a.began), time.Since(start), err)
	ev = a.event(s, err)
	if h := a.g.cfg.Hooks.After; h != nil {
		h(ev)
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
	}
	if log := a.g.cfg.Logger; log.Enabled(ctx, level) {
		log.Log(ctx, level, "reparent: "+string(s), "cluster", ev.Cluster, "kind", ev.Kind, "term", ev.Term, "from", ev.From, "to", ev.To, "error", err)
	}
	if err != nil && a.rep.Failed == "" {
		a.rep.Failed = s
	}
	return err
}

func (a *attempt) event(s Step, err error) Event {
	return Event{Cluster: a.g.cluster, Kind: a.change.Kind, Step: s, Term: a.term, From: a.from, To: a.rep.To, Err: err}
}

func (a *attempt) before(ctx context.Context, ev Event) error {
	h := a.g.cfg.Hooks.Before
	if h == nil {
		return nil
	}
	err := h(ctx, ev)
	if err == nil {
		return nil
	}
	if ev.Step.vetoable() {
		return &VetoError{Step: ev.Step, Err: err}
	}
	a.g.cfg.Logger.Warn("reparent: too late to veto", "step", ev.Step, "term", ev.Term, "error", err)
	return nil
}

// run is the one order of a change.
func (a *attempt) run(ctx context.Context) error {
	defer a.end()
	for _, s := range []struct {
		step Step
		f    func(context.Context) error
	}{
		{StepCheck, a.change.validate},
		{StepLoad, a.load},
		{StepSurvey, a.look},
		{StepPlan, a.preflight},
		{StepBegin, a.begin},
		{StepPrepare, a.prepare},
		{StepHold, a.hold},
		{StepQuiet, a.quiet},
	} {
		if a.skips(s.step) {
			continue
		}
		if err := a.do(ctx, s.step, s.f); err != nil {
			return err
		}
	}
	return a.replace(ctx)
}

// skips says which steps this kind of change has no use for.
func (a *attempt) skips(s Step) bool {
	switch s {
	case StepPrepare: // the leader itself, or nobody, is level
		return a.change.Kind != leadership.KindPlanned || a.change.To == a.from
	case StepHold: // announced as holding already
		return !a.change.orderly()
	case StepQuiet:
		return a.g.cfg.Barrier == nil || !a.stepsDown()
	case StepHandOver:
		return !a.change.LeaderLed && !a.relays()
	case StepRevoke:
		return a.change.LeaderLed
	case StepPropose, StepInstall:
		return a.change.LeaderLed || a.relays()
	}
	return false
}

// replace is the part of a change in which there is no leader.
func (a *attempt) replace(ctx context.Context) error {
	gap := time.Now()
	mctx, cancel := context.WithCancel(ctx)
	a.cancel = cancel
	in, proven, err := a.established(ctx, mctx)
	if err != nil {
		return err
	}
	return a.lead(ctx, in, gap, proven)
}

// established comes to a durable marker, and says since when the revocation was
// proven.
func (a *attempt) established(ctx, mctx context.Context) (in *leadership.Installed, proven time.Time, err error) {
	if a.change.LeaderLed {
		a.rep.To = a.change.To
		err = a.do(ctx, StepHandOver, func(ctx context.Context) (err error) {
			a.touched = true
			in, err = a.handOver(ctx)
			return err
		})
		a.claim()
		return in, time.Now(), err
	}
	var rev *leadership.Revocation
	var choice establish.Choice
	var relay *handover.Relay
	err = a.do(ctx, StepRevoke, func(ctx context.Context) (err error) {
		a.touched = true // not by a hook that says no
		if a.retires() {
			if relay, err = a.retire(ctx, mctx); relay != nil || err != nil {
				return err
			}
		}
		rev, choice, err = a.revoke(ctx, mctx)
		return err
	})
	a.claim()
	if err != nil {
		return nil, proven, err
	}
	if relay != nil {
		a.rep.To = a.change.To
		err = a.do(ctx, StepHandOver, func(ctx context.Context) (err error) {
			in, err = a.takeOver(ctx, *relay)
			return err
		})
		return in, time.Now(), err
	}
	proven = time.Now()
	a.rep.To, a.rep.Passed = choice.To, choice.Passed

	var prop *leadership.Proposal
	err = a.do(ctx, StepPropose, func(context.Context) (err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		next := a.next
		if a.change.survivors() != nil {
			next = nil // the round has it from the waiver
		}
		prop, err = rev.Propose(choice.To, next)
		a.prop = prop
		return err
	})
	if err != nil {
		return nil, proven, err
	}
	err = a.do(ctx, StepInstall, func(ctx context.Context) (err error) {
		in, err = a.install(ctx, mctx, prop)
		return err
	})
	return in, proven, err
}

// lead goes on from a durable marker to a leader that clients are sent to.
func (a *attempt) lead(ctx context.Context, in *leadership.Installed, gap, proven time.Time) error {
	// The marker is durable: whatever becomes of the caller, to go on is the
	// shortest way to a leader. What follows has a budget of its own.
	wait, err := revoke.LeaseWait(a.leaseLeft(), a.g.cfg.ClockRate)
	if err != nil {
		return err
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), a.g.cfg.Limits.Undo+wait)
	defer done()
	if err := a.do(ctx, StepActivate, func(ctx context.Context) error { return a.activate(ctx, in) }); err != nil {
		return err
	}
	if wait > 0 {
		if a.g.cfg.ClockRate == 0 {
			a.rep.note("leases are waited out as if all clocks ran alike: Config.ClockRate is 0")
		}
		if err := a.do(ctx, StepLease, func(ctx context.Context) error { return a.waitLease(ctx, wait, proven) }); err != nil {
			return err
		}
	}
	if err := a.do(ctx, StepGrant, func(ctx context.Context) error { return a.grant(ctx, in) }); err != nil {
		return err
	}
	a.granted = true
	a.rep.Gap = time.Since(gap)
	if err := a.do(ctx, StepRoute, func(ctx context.Context) error { return a.route(ctx, in) }); err != nil {
		return err
	}
	return a.do(ctx, StepSettle, a.settle)
}

// end joins every goroutine of the attempt. What had not answered by then is
// cancelled: it may still happen, under a term that is decided already.
func (a *attempt) end() {
	if a.cancel != nil {
		a.cancel()
	}
	a.joins.Wait()
	a.stragglers()
}

// settle gives nodes that have not answered a little longer: each that follows
// now is one that Sweep need not visit. It never fails a change.
func (a *attempt) settle(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		a.joins.Wait()
		close(done)
	}()
	t := time.NewTimer(a.g.cfg.Limits.Linger)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
	a.cancel()
	<-done
	return nil
}

// report is what mechanisms call with each testimony.
func (a *attempt) report(t leadership.Testimony) {
	a.mu.Lock()
	err := a.round.Add(t)
	a.said = append(a.said, t)
	a.rep.testimony(t, err)
	if t.Term == a.term && t.Kind != leadership.Refused {
		a.heard[t.Node] = true
	}
	a.mu.Unlock()
	if h := a.g.cfg.Hooks.Testimony; h != nil {
		h(t)
	}
	a.poke()
}

// poke wakes the change to look again; one pending look is enough.
func (a *attempt) poke() {
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// sufficient is the check that the change acts on: the proof and the candidate
// it may establish. The plan runs the same on hints.
func (a *attempt) sufficient() (*leadership.Revocation, establish.Choice, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.decide(a.round)
}

// alive returns a *leadership.SupersededError once any answer, however late,
// told of a newer attempt, and in a last resort a *leadership.WaiverError once a
// node that was declared gone answered: from then on this one touches nothing more.
func (a *attempt) alive() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if by := a.round.Superseded(); a.term.Less(by) {
		return &leadership.SupersededError{Term: a.term, By: by}
	}
	if a.change.survivors() != nil {
		var back *leadership.WaiverError
		if _, err := a.round.Revocation(); errors.As(err, &back) {
			return back
		}
	}
	return nil
}

// regained returns a *leadership.WaiverError once a node that was given up with its
// log has answered after the proposal, with what the selected log lacks: clients may
// have been told that it is done. Until the record bars the node it is not lost.
func (a *attempt) regained() error {
	w := a.change.Waiver
	a.mu.Lock()
	defer a.mu.Unlock()
	if w == nil || !w.Loss || a.prop == nil {
		return nil
	}
	for _, p := range a.round.Reads() {
		if slices.Contains(w.Gone, p.Node) && !a.prop.Selection().Extends(p.Position) {
			return &leadership.WaiverError{Reason: fmt.Sprintf("node %s has answered: it is not gone, and has what the selected log %s lacks", p.Node, a.prop.Selection())}
		}
	}
	return nil
}

func (a *attempt) leaseLeft() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.round.LeaseLeft()
}

// waitLease waits until every lease that a reached node gave to a lower term is
// over on the clock of whoever holds it. since is when the last of the answers
// that count had come.
func (a *attempt) waitLease(ctx context.Context, wait time.Duration, since time.Time) error {
	t := time.NewTimer(wait - time.Since(since))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// stragglers names the members that did not testify, or, where a leader was
// granted, do not follow it: an answer that came after enough had come is one.
func (a *attempt) stragglers() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.asked {
		heard := slices.ContainsFunc(a.rep.Testimony, func(t Heard) bool { return t.Node == id })
		if !a.granted && !heard || a.granted && !slices.Contains(a.rep.Accepted, id) {
			a.rep.Stragglers = append(a.rep.Stragglers, id)
		}
	}
	slices.Sort(a.rep.Stragglers)
}

// node returns the node, or the error for one that the guard has not.
func (a *attempt) node(id leadership.NodeID) (Node, error) {
	n, ok := a.g.nodes[id]
	if !ok {
		return Node{}, fmt.Errorf("reparent: the guard has no such node: %w", &leadership.UnknownNodeError{Node: id})
	}
	return n, nil
}
