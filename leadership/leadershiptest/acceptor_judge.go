package leadershiptest

import (
	"context"
	"errors"

	"github.com/tenure-go/tenure/leadership"
)

// own returns the node's own leadership of t.
func (r *nodeRun) own(t leadership.Term) leadership.Leadership {
	return leadership.Leadership{Leader: r.ID, Term: t}
}

// raised notes that t is promised now.
func (r *nodeRun) raised(t leadership.Term) {
	if !r.promised.Less(t) {
		return
	}
	for _, l := range []leadership.Leadership{r.source, r.own(r.lead)} {
		if !l.Term.IsZero() {
			r.past = append(r.past, l)
		}
	}
	if len(r.past) > 4 {
		r.past = r.past[len(r.past)-4:]
	}
	r.promised, r.source, r.known, r.lead = t, leadership.Leadership{}, false, leadership.Term{}
}

// stale checks the refusal of a call below the promise.
func (r *nodeRun) stale(t leadership.Term, err error) error {
	var e *leadership.StaleTermError
	switch {
	case err == nil:
		return r.broken(ruleRise, "%s was taken although %s is promised", t, r.promised)
	case !errors.As(err, &e):
		return r.broken(ruleRise, "%s, below the promise of %s, was refused with %T %v, not a *leadership.StaleTermError", t, r.promised, err, err)
	case e.Promised != r.promised || e.Asked != t:
		return r.broken(ruleRise, "the refusal of %s says asked %s, promised %s; promised is %s", t, e.Asked, e.Promised, r.promised)
	case !leadership.NotExecuted(err):
		return r.broken(ruleRise, "the refusal of %s does not report NotExecuted", t)
	}
	return nil
}

// testimony checks what a call says of the node. led is the grant before it.
func (r *nodeRun) testimony(got leadership.Testimony, t, led leadership.Term) error {
	switch {
	case got.Node != r.ID || got.Term != t:
		return r.broken(ruleTestify, "asked node %s about %s, the testimony is of %s about %s", r.ID, t, got.Node, got.Term)
	case !led.IsZero() && got.Led != led:
		return r.broken(ruleTestify, "the node led %s when it was asked, the testimony says %s", led, got.Led)
	case got.Read == nil:
		return nil
	case got.Read.Term.Less(r.acked):
		return r.broken(rulePosition, "an entry of %s was acknowledged, and the position is %s", r.acked, got.Read)
	}
	if r.last != nil {
		switch o := got.Read.Rank(*r.last); {
		case o == leadership.Behind, r.fresh && o == leadership.Same:
			return r.broken(rulePosition, "the position is %s after %s, entries acknowledged since: %v", got.Read, r.last, r.fresh)
		}
	}
	r.last, r.fresh = got.Read, false
	return nil
}

func (r *nodeRun) promise(t leadership.Term) error { return r.promiseBy("Promise", r.Promise, t) }

func (r *nodeRun) stepDown(t leadership.Term) error { return r.promiseBy("StepDown", r.StepDown, t) }

func (r *nodeRun) promiseBy(name string, f func(context.Context, leadership.Term) (leadership.Testimony, error), t leadership.Term) error {
	if f == nil {
		return nil
	}
	var got leadership.Testimony
	led := r.lead
	err := r.call(name, t, func(ctx context.Context) (err error) {
		got, err = f(ctx, t)
		return err
	})
	switch {
	case t.Less(r.promised):
		return r.stale(t, err)
	case err != nil:
		return r.broken(ruleTake, "%s of %s, not below the promise of %s: %v", name, t, r.promised, err)
	}
	r.raised(t)
	if got.Kind != leadership.Promised && got.Kind != leadership.Demoted {
		return r.broken(ruleTestify, "%s returned a testimony of the kind %s, which is no promise", name, got.Kind)
	}
	if got.Kind == leadership.Demoted && !r.led {
		return r.broken(ruleTestify, "%s says that it ended a leadership of a node that never led", name)
	}
	return r.testimony(got, t, led)
}

func (r *nodeRun) read(t leadership.Term) error {
	if r.Read == nil {
		return nil
	}
	var got leadership.Testimony
	err := r.call("Read", t, func(ctx context.Context) (err error) {
		got, err = r.Read(ctx, t)
		return err
	})
	switch {
	case t.Less(r.promised):
		return r.stale(t, err)
	case r.promised.Less(t):
		if err == nil {
			return r.broken(ruleRead, "the position was read for %s, which is not promised: it blocks nothing yet", t)
		}
		return nil
	case err != nil:
		return r.broken(ruleTake, "Read at the promised term %s: %v", t, err)
	case got.Read == nil || got.Kind != leadership.Statement:
		return r.broken(ruleTestify, "Read returned a testimony of the kind %s, position %v", got.Kind, got.Read)
	}
	return r.testimony(got, t, leadership.Term{})
}

func (r *nodeRun) follow(l leadership.Leadership) error {
	err := r.call("Follow", l, func(ctx context.Context) error { return r.Follow(ctx, l) })
	return r.sourced(l, err)
}

func (r *nodeRun) install(t leadership.Term) error {
	if r.Install == nil {
		return nil
	}
	err := r.call("Install", t, func(ctx context.Context) error { return r.Install(ctx, t) })
	return r.sourced(r.own(t), err)
}

// sourced judges a call that makes l the source.
func (r *nodeRun) sourced(l leadership.Leadership, err error) error {
	switch {
	case l.Term.Less(r.promised):
		return r.stale(l.Term, err)
	case l.Term == r.promised && !r.source.IsZero() && r.source != l:
		if err == nil {
			return r.broken(ruleSource, "%s was taken as the source beside %s", l, r.source)
		}
		return nil
	case err != nil:
		return r.broken(ruleTake, "the source %s, promised %s: %v", l, r.promised, err)
	}
	fresh := r.source != l
	r.raised(l.Term)
	r.source, r.known = l, true
	if fresh {
		// The log may have been cut to match that of the new source.
		r.acked, r.last, r.fresh = leadership.Term{}, nil, false
		if l.Leader == r.ID {
			r.acked = l.Term // the marker
		}
	}
	return nil
}

func (r *nodeRun) grant(t leadership.Term) error {
	if r.Grant == nil {
		return nil
	}
	err := r.call("Grant", t, func(ctx context.Context) error { return r.Grant(ctx, t) })
	switch {
	case t.Less(r.promised):
		return r.stale(t, err)
	case r.source != r.own(t):
		if err == nil {
			return r.broken(ruleGrant, "%s was granted; promised is %s, the source %s", t, r.promised, r.source)
		}
		return nil
	case err != nil && r.known:
		return r.broken(ruleTake, "Grant of %s, which was installed: %v", t, err)
	case err == nil:
		r.lead, r.led = t, true
	}
	return nil
}

func (r *nodeRun) accept(l leadership.Leadership) error {
	err := r.call("Accept", l, func(ctx context.Context) error { return r.Accept(ctx, l, nil) })
	return r.accepted(l, err)
}

func (r *nodeRun) accepted(l leadership.Leadership, err error) error {
	var may, must bool
	rule := ruleSource
	switch {
	case l.Term.Less(r.promised):
		rule = ruleClear
	case l.Leader == r.ID:
		rule = ruleGrant
		must = !r.lead.IsZero() && l.Term == r.lead
		may = must
	case r.promised.Less(l.Term), r.source.IsZero():
		may = true // it counts as being told to follow l
	case r.source == l:
		may, must = true, r.known
	}
	switch {
	case err == nil && !may:
		return r.broken(rule, "an entry of %s was acknowledged; promised is %s, the source %s, granted %s", l, r.promised, r.source, r.lead)
	case err != nil && must:
		return r.broken(ruleTake, "an entry of %s: %v", l, err)
	case err == nil && l.Leader != r.ID:
		r.raised(l.Term)
		if r.source != l {
			r.last = nil // the log may have been cut to take the entry
		}
		r.source, r.known = l, true
	}
	if err == nil {
		r.acked, r.fresh = l.Term, true
	}
	return nil
}

func (r *nodeRun) complete(t leadership.Term) error {
	if r.Complete == nil {
		return nil
	}
	err := r.call("Complete", t, func(ctx context.Context) error { return r.Complete(ctx, t, nil) })
	leads := !t.IsZero() && r.lead == t
	switch {
	case err == nil && !leads && t.Less(r.promised):
		return r.broken(ruleClear, "a request of %s was completed although %s is promised", t, r.promised)
	case err == nil && !leads:
		return r.broken(ruleGrant, "a request of %s was completed; granted is %s", t, r.lead)
	case err != nil && leads:
		return r.broken(ruleTake, "a request under the grant of %s: %v", t, err)
	}
	return nil
}

func (r *nodeRun) restart() error {
	if r.Restart == nil {
		return nil
	}
	if err := r.call("Restart", "", func(context.Context) error { return r.Restart() }); err != nil {
		return r.broken(ruleTake, "the node does not start again: %v", err)
	}
	if lead := r.lead; !lead.IsZero() {
		r.lead, r.known = leadership.Term{}, false
		if err := r.complete(lead); err != nil {
			return r.broken(ruleVolatile, "after a restart a request of %s was completed", lead)
		}
	}
	r.known = false
	return r.keeps()
}

// low is below every term that the checks use.
var low = leadership.Term{Num: 1, Proposer: "a"}

// keeps checks that the promise is what it must be, by the refusal of a lower
// term.
func (r *nodeRun) keeps() error {
	if !low.Less(r.promised) {
		return nil
	}
	return r.promise(low)
}

// verify checks that what is in force works and what was in force does not.
func (r *nodeRun) verify() error {
	if err := r.keeps(); err != nil {
		return err
	}
	if !r.source.IsZero() && r.source.Leader != r.ID || !r.lead.IsZero() {
		if err := steps(func() error { return r.accept(r.source) }, func() error { return r.complete(r.source.Term) }); err != nil {
			return err
		}
	}
	for _, l := range r.past {
		if err := r.accept(l); err != nil {
			return err
		}
		if l.Leader == r.ID {
			if err := r.complete(l.Term); err != nil {
				return err
			}
		}
	}
	return nil
}
