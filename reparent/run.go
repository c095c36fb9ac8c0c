package reparent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

func (g *Guard) attempt(c Change) *attempt {
	return &attempt{
		g: g, change: c, began: time.Now(),
		rep:   &Report{Cluster: g.cluster, Kind: c.Kind},
		asked: map[leadership.NodeID]bool{},
		heard: map[leadership.NodeID]bool{},
		news:  make(chan struct{}, 1),
	}
}

// Run carries out a change and returns when it is over: done, not started,
// undone, or as far as it could be taken. The report is never nil; the error is
// nil exactly when its outcome is Done, and is Report.Err otherwise.
//
// When ctx ends after nodes were asked, the change is undone, or finished if the
// marker is durable already: the context is often what failed, and a leader that
// stepped down must not stay down. Finishing and undoing each have a budget of
// Limits.Undo of their own; a finish that fails is undone, so both may be used.
// What leases have to be waited out, and Limits.Registry to clear the intent,
// come on top. Nothing keeps running after Run has returned.
//
// Errors, beside those of the mechanisms and of the registry:
//
//	*ChangeError, *leadership.UnknownNodeError, *leadership.IneligibleError,
//	*leadership.PolicyError, *leadership.UnenforceablePolicyError, ErrNoRecord,
//	*InfeasibleError, *leadership.BusyError    nothing was touched, the record neither
//	*leadership.SupersededError                a newer attempt exists
//	*leadership.NotRevokedError, *leadership.NotDiscoveredError,
//	*leadership.NotReadyError, *establish.NoCandidateError,
//	*leadership.NotDurableError                who was reached did not suffice
//	*leadership.DivergedError                  logs disagree; decide by hand
//	*leadership.NotQuietError                  routers were late; the leader was not asked to do anything,
//	                                           routers held meanwhile, the record's Fence is higher
//	*leadership.WaiverError                    a waiver says what is not so, or its Ruleset is not called for
//	*VetoError                                 a hook said no
//	*UnsavedError                              it leads, the record does not show it
func (g *Guard) Run(ctx context.Context, c Change) (*Report, error) {
	a := g.attempt(c)
	err := g.made()
	if err == nil {
		err = a.run(ctx)
	}
	a.conclude(ctx, err)
	return a.rep, a.rep.Err
}

// conclude settles the outcome, and puts right what a failure left.
func (a *attempt) conclude(ctx context.Context, err error) {
	r := a.rep
	var super *leadership.SupersededError
	if err != nil && a.touched && !a.granted && !errors.As(err, &super) {
		// What failed need not be why: the answer that tells of a newer attempt
		// may have come after it, and an undo would take the leader of that down.
		if late := a.alive(); late != nil {
			err = errors.Join(late, err)
		}
	}
	r.From, r.Err = a.from, err
	if r.To == "" {
		r.To = a.change.To
	}
	defer func() {
		r.Took = time.Since(a.began)
		r.sort()
	}()
	if errors.As(err, &super) {
		a.g.heed(super.By)
	}
	a.learn(ctx, err) // before an undo
	switch {
	case err == nil:
		r.Outcome = Done
	case a.granted && errors.As(err, &super):
		r.Outcome = Superseded // it led, and somebody else does
	case a.granted:
		r.Outcome = Unsaved
	case !a.touched, a.declined(err):
		r.Outcome = NotStarted
		a.abandon(ctx)
	case errors.As(err, &super):
		r.Outcome = Superseded
	case a.change.Kind == leadership.KindUndo:
		r.Outcome = Incomplete
	case a.change.first():
		r.Outcome = Incomplete
		a.abandon(ctx)
	default:
		a.undo(ctx)
	}
	if r.Outcome != NotStarted && leadership.NotExecuted(r.Err) {
		r.Err = begunError{r.Err} // a part of it, or why the caller gave up, is not the change
	}
}

// declined reports whether the leader that was to step down proved that it did
// not begin to, and nobody else was asked: it leads as before, and an undo would
// take that from it for nothing.
func (a *attempt) declined(err error) bool {
	if a.spared {
		return false // somebody may have promised by now
	}
	if a.rep.Failed == StepHandOver {
		// One that has promised more does not lead as before.
		return leadership.NotExecuted(err) && promised(err).IsZero() && len(a.rep.Testimony) == 0
	}
	return a.change.Revoke == nil && a.change.orderly() && mustFailed(err) && leadership.NotExecuted(err) &&
		len(a.rep.Testimony) == 0 && a.rep.Drained == nil
}

// abandon clears the intent of a change of which nothing happened. It has its
// own bound: the context may be what failed.
func (a *attempt) abandon(ctx context.Context) {
	if !a.begun || a.blind != nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := a.write(ctx, func(r leadership.Record) (leadership.Record, error) { return r.Abandon(a.term), nil })
	if err != nil {
		a.rep.note("the intent could not be cleared (%v): routers stop waiting for it by themselves, Resume clears it", err)
	}
}

// overtaken returns a *leadership.SupersededError for an undo when the record shows
// a newer attempt than the one that it undoes: that nobody told of it while the
// change ran does not make its leader one to take down. An attempt that was
// abandoned since, and under which nobody led, is no reason.
func (c Change) overtaken(r leadership.Record) error {
	led, under := c.undoes.Less(r.Active.Term), r.Intent.Phase != leadership.Cleared
	if c.undoes.IsZero() || !c.undoes.Less(r.Fence) || !led && !under {
		return nil
	}
	return &leadership.SupersededError{Term: c.undoes, By: r.Fence}
}

// outrun reports whether a node has promised more than what an undo undoes. Then all
// are waited for: one of them may lead.
func (c Change) outrun(ss []leadership.Status) bool {
	return !c.undoes.IsZero() && slices.ContainsFunc(ss, func(s leadership.Status) bool {
		return s.Reachable && c.undoes.Less(leadership.MaxTerm(s.Promised, s.Leads))
	})
}

// succeeded is overtaken by what the nodes say: a leader that was established without
// the registry is in no record yet. One that has promised more since does not lead.
func (c Change) succeeded(ss []leadership.Status) error {
	for _, s := range ss {
		if !c.undoes.IsZero() && s.Reachable && c.undoes.Less(s.Leads) && !s.Leads.Less(s.Promised) {
			return &leadership.SupersededError{Term: c.undoes, By: s.Leads}
		}
	}
	return nil
}

// undo re-establishes somebody under a new term, the old leader if possible.
// The old leadership itself is never revived: its term is dead.
func (a *attempt) undo(ctx context.Context) {
	back := Change{Kind: leadership.KindUndo, prefer: []leadership.NodeID{a.from}, undoes: a.term}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.g.cfg.Limits.Undo)
	defer cancel()
	u := a.g.attempt(back)
	err := u.run(ctx)
	u.conclude(ctx, err)
	a.rep.Undo = u.rep
	var super *leadership.SupersededError
	switch {
	case err == nil:
		a.rep.Outcome = Restored
	case u.rep.Outcome == Unsaved:
		a.rep.Outcome = Restored
		a.rep.note("the undo is not in the record yet: %v", err)
	case errors.As(err, &super):
		a.rep.Outcome, a.rep.Err = Superseded, errors.Join(a.rep.Err, super)
	case a.rep.Failed == StepGrant:
		a.rep.Outcome = Unknown
	default:
		a.rep.Outcome = Incomplete
	}
}
