package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// refusesInput makes each call with a term that no attempt may use.
func (r *nodeRun) refusesInput(bad leadership.Term) error {
	for _, call := range []struct {
		name string
		has  bool
		f    func(context.Context) error
	}{
		{"Promise", true, func(ctx context.Context) error { _, err := r.Promise(ctx, bad); return err }},
		{"Follow", true, func(ctx context.Context) error { return r.Follow(ctx, r.other(bad, 0)) }},
		{"Accept", true, func(ctx context.Context) error { return r.Accept(ctx, r.other(bad, 0), nil) }},
		{"Install", r.Install != nil, func(ctx context.Context) error { return r.Install(ctx, bad) }},
		{"Grant", r.Grant != nil, func(ctx context.Context) error { return r.Grant(ctx, bad) }},
		{"Complete", r.Complete != nil, func(ctx context.Context) error { return r.Complete(ctx, bad, nil) }},
		{"StepDown", r.StepDown != nil, func(ctx context.Context) error { _, err := r.StepDown(ctx, bad); return err }},
		{"Read", r.Read != nil, func(ctx context.Context) error { _, err := r.Read(ctx, bad); return err }},
	} {
		if !call.has {
			continue
		}
		if err := r.call(call.name, fmt.Sprintf("%+v", bad), call.f); err == nil {
			return r.broken(ruleInput, "%s took the term %+v", call.name, bad)
		}
		if err := r.verify(); err != nil {
			return err
		}
	}
	return nil
}

// acceptorFlight promises a higher term while an entry or a completion is in
// flight.
func acceptorFlight(c acceptorCase) error {
	at, next := term(3, "b"), term(4, "b")
	flown := false
	for _, flight := range []string{"Accept", "Accept of its own", "Complete"} {
		for _, by := range []string{"Promise", "StepDown", "Follow"} {
			r, err := c.start()
			if err != nil {
				return err
			}
			if r.Install == nil && flight != "Accept" || r.StepDown == nil && by == "StepDown" {
				continue
			}
			l := r.other(at, 0)
			enter := func() error { return r.follow(l) }
			if flight != "Accept" {
				l = r.own(at)
				enter = func() error { return r.leads(at) }
			}
			// The position of now, for what the next one must cover.
			if err := steps(enter, func() error { return r.accept(l) }, func() error { return r.promise(at) }); err != nil {
				return err
			}
			seen, err := r.overlap(flight, l, by, next)
			if err != nil {
				return err
			}
			flown = flown || seen
		}
	}
	if !flown {
		return inapplicable("no Accept or Complete calls during: it is not checked what becomes of work in flight")
	}
	return nil
}

// overlap lets a call of next run while work of l is in flight. It reports
// whether during was called.
func (r *nodeRun) overlap(flight string, l leadership.Leadership, by string, next leadership.Term) (seen bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	type answer struct {
		got leadership.Testimony
		err error
	}
	done := make(chan answer, 1)
	interrupt := func() {
		var a answer
		switch by {
		case "Promise":
			a.got, a.err = r.Promise(ctx, next)
		case "StepDown":
			a.got, a.err = r.StepDown(ctx, next)
		default:
			a.err = r.Follow(ctx, r.other(next, 1))
		}
		done <- a
	}
	var early *answer
	during := func() {
		if seen {
			return
		}
		seen = true
		go interrupt()
		wait := time.NewTimer(grace)
		defer wait.Stop()
		select {
		case a := <-done:
			early = &a
		case <-wait.C:
		}
	}
	if flight == "Complete" {
		err = r.Complete(ctx, l.Term, during)
	} else {
		err = r.Accept(ctx, l, during)
	}
	if !seen {
		r.noted(flight, l, err)
		return false, nil
	}
	var a answer
	if early != nil {
		a = *early
		r.noted(by+" during "+flight, next, a.err)
		r.noted(flight, l, err)
		if a.err == nil && err == nil {
			return true, r.broken(ruleFlight, "%s of %s had returned before the %s of %s did, and that succeeded all the same", by, next, flight, l)
		}
	} else {
		a = <-done
		r.noted(flight, l, err)
		r.noted(by+", begun during "+flight, next, a.err)
	}
	if err == nil && flight != "Complete" {
		r.acked, r.fresh = l.Term, true
	}
	led := r.lead
	if a.err != nil {
		// It may have given up on what was in flight, with the grant ended
		// or not. That is over.
		r.raised(next)
		return true, steps(func() error { return r.promise(next) }, r.verify)
	}
	r.raised(next)
	if by != "Follow" {
		return true, steps(func() error { return r.testimony(a.got, next, led) }, r.verify)
	}
	r.source, r.known = r.other(next, 1), true
	r.acked, r.last, r.fresh = leadership.Term{}, nil, false
	return true, r.verify()
}

// acceptorCancel makes calls with a context that has ended.
func acceptorCancel(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	old := r.other(term(3, "b"), 0)
	if err := r.follow(old); err != nil {
		return err
	}
	for i, call := range []struct {
		name string
		has  bool
		f    func(leadership.Term) error
		then func(leadership.Term) error
	}{
		{"Promise", true, func(t leadership.Term) error { _, err := r.Promise(gone, t); return err }, r.promise},
		{"Follow", true, func(t leadership.Term) error { return r.Follow(gone, r.other(t, 0)) },
			func(t leadership.Term) error { return r.follow(r.other(t, 0)) }},
		{"StepDown", r.StepDown != nil, func(t leadership.Term) error { _, err := r.StepDown(gone, t); return err }, r.stepDown},
		{"Install", r.Install != nil, func(t leadership.Term) error { return r.Install(gone, t) }, r.install},
	} {
		if !call.has {
			continue
		}
		t := term(uint64(4+i), "b")
		err := call.f(t)
		r.noted(call.name+" with a context that has ended", t, err)
		if leadership.NotExecuted(err) {
			if err := r.verify(); err != nil {
				if b := new(brokenRule); errors.As(err, &b) {
					b.rule = ruleTruth
				}
				return err
			}
		}
		// Whatever became of it, the same call again settles it.
		if err := steps(func() error { return call.then(t) }, r.verify); err != nil {
			return err
		}
	}
	return nil
}

// acceptorFaults lets a write fail, before or after it took effect, and looks
// after a restart for what was reported.
func acceptorFaults(c acceptorCase) error {
	for _, after := range []bool{false, true} {
		for _, by := range []string{"Promise", "Follow", "Install"} {
			// What is done before the restart: nothing, a call of a lower
			// term, whose refusal is a reply too, the same call again, both.
			for then := range 4 {
				r, err := c.start()
				if err != nil {
					return err
				}
				if r.FailWrite == nil || r.Restart == nil {
					return inapplicable("FailWrite or Restart is nil: it is not checked what a node says of a write that failed")
				}
				if by == "Install" && r.Install == nil {
					continue
				}
				if err := r.faulty(after, by, then&1 != 0, then&2 != 0); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *nodeRun) faulty(after bool, by string, between, again bool) error {
	old, next := term(3, "b"), term(5, "b")
	if err := steps(func() error { return r.promise(old) }, func() error { return r.follow(r.other(old, 0)) }); err != nil {
		return err
	}
	do := map[string]func() error{
		"Promise": func() error {
			return r.call("Promise", next, func(ctx context.Context) error { _, err := r.Promise(ctx, next); return err })
		},
		"Follow": func() error {
			return r.call("Follow", next, func(ctx context.Context) error { return r.Follow(ctx, r.other(next, 0)) })
		},
		"Install": func() error {
			return r.call("Install", next, func(ctx context.Context) error { return r.Install(ctx, next) })
		},
	}[by]
	r.noted("FailWrite", fmt.Sprintf("after: %v", after), nil)
	r.FailWrite(after)
	reported := old
	first := do()
	if first == nil {
		reported = next
	}
	if between && first != nil {
		t := term(4, "b")
		err := r.call("Promise", t, func(ctx context.Context) error { _, err := r.Promise(ctx, t); return err })
		var stale *leadership.StaleTermError
		switch {
		case err == nil:
			reported = leadership.MaxTerm(reported, t)
		case errors.As(err, &stale):
			reported = leadership.MaxTerm(reported, stale.Promised)
		}
	}
	if again && first != nil {
		if err := do(); err != nil {
			return r.broken(ruleTake, "the same call again, after a write that failed once: %v", err)
		}
		reported = next
	}
	r.trace = append(r.trace, "Restart")
	if err := r.Restart(); err != nil {
		return r.broken(ruleTake, "the node does not start again after a write that failed: %v", err)
	}
	var stale *leadership.StaleTermError
	err := r.call("Promise", low, func(ctx context.Context) error { _, err := r.Promise(ctx, low); return err })
	switch {
	case !errors.As(err, &stale):
		return r.broken(ruleDurable, "%s had been reported; after a restart %s got %v", reported, low, err)
	case stale.Promised.Less(reported):
		return r.broken(ruleDurable, "%s had been reported; after a restart the promise is %s", reported, stale.Promised)
	case leadership.NotExecuted(first) && !between && !again && stale.Promised != old:
		return r.broken(ruleTruth, "%s failed with an error that reports NotExecuted, and the promise is %s", by, stale.Promised)
	}
	return nil
}
