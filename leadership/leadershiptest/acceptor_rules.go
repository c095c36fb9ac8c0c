package leadershiptest

import (
	"strings"

	"github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// term returns a term above low.
func term(n uint64, by string) leadership.Term { return leadership.Term{Num: 10 + n, Proposer: by} }

// other returns a leadership of another node, one of two.
func (r *nodeRun) other(t leadership.Term, i int) leadership.Leadership {
	return leadership.Leadership{Leader: r.ID[:min(len(r.ID), 60)] + leadership.NodeID([]string{"-x", "-y"}[i]), Term: t}
}

// leads makes the node lead t, if it can.
func (r *nodeRun) leads(t leadership.Term) error {
	return steps(
		func() error { return r.promise(t) },
		func() error { return r.install(t) },
		func() error { return r.grant(t) },
	)
}

// everyCall makes each call with t, which judges it.
func (r *nodeRun) everyCall(t leadership.Term) error {
	return steps(
		func() error { return r.promise(t) },
		func() error { return r.stepDown(t) },
		func() error { return r.follow(r.other(t, 0)) },
		func() error { return r.install(t) },
		func() error { return r.grant(t) },
		func() error { return r.read(t) },
		func() error { return r.accept(r.other(t, 0)) },
		func() error { return r.accept(r.own(t)) },
		func() error { return r.complete(t) },
		r.verify,
	)
}

func acceptorStale(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	for _, next := range []leadership.Term{term(3, "b"), term(7, "b")} {
		if err := r.promise(next); err != nil {
			return err
		}
		// A lower number, and the same number of a lower proposer.
		for _, t := range []leadership.Term{term(2, "z"), {Num: next.Num, Proposer: "a"}, {Num: next.Num - 1, Proposer: "zz"}} {
			if err := r.everyCall(t); err != nil {
				return err
			}
		}
		if err := r.follow(r.other(next, 1)); err != nil {
			return err
		}
		if err := r.everyCall(term(1, "z")); err != nil {
			return err
		}
	}
	if err := r.leads(term(9, "b")); err != nil {
		return err
	}
	return r.everyCall(term(9, "a"))
}

func acceptorAgain(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	for _, as := range []func(t leadership.Term) error{
		r.promise,
		func(t leadership.Term) error { return r.follow(r.other(t, 0)) },
		r.leads,
	} {
		t := leadership.Term{Num: max(r.promised.Num, 10) + 1, Proposer: "b"}
		if err := as(t); err != nil {
			return err
		}
		for range 2 {
			for _, again := range []func(leadership.Term) error{r.promise, r.read, r.stepDown} {
				if err := again(t); err != nil {
					return err
				}
				if err := r.verify(); err != nil {
					if b, ok := err.(*brokenRule); ok && b.rule == ruleTake {
						b.rule = ruleAgain
					}
					return err
				}
			}
			if r.source == r.own(t) {
				err = steps(func() error { return r.install(t) }, func() error { return r.grant(t) })
			} else if !r.source.IsZero() {
				err = r.follow(r.source)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func acceptorClear(c acceptorCase) error {
	for _, by := range []struct {
		name string
		call func(*nodeRun, leadership.Term) error
	}{
		{"Promise", (*nodeRun).promise},
		{"StepDown", (*nodeRun).stepDown},
		{"Follow", func(r *nodeRun, t leadership.Term) error { return r.follow(r.other(t, 1)) }},
		{"Install", (*nodeRun).install},
	} {
		r, err := c.start()
		if err != nil {
			return err
		}
		for i, as := range []func(leadership.Term) error{func(t leadership.Term) error { return r.follow(r.other(t, 0)) }, r.leads} {
			n := uint64(i) * 4
			if err := steps(
				func() error { return as(term(n, "b")) }, r.verify,
				func() error { return by.call(r, term(n, "c")) }, r.verify,
				func() error { return as(term(n+1, "b")) }, r.verify,
				func() error { return by.call(r, term(n+2, "b")) }, r.verify,
			); err != nil {
				return err
			}
		}
	}
	return nil
}

func acceptorSource(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	t := term(3, "b")
	beside := func(has leadership.Leadership) error {
		for _, l := range []leadership.Leadership{r.other(t, 0), r.other(t, 1), r.own(t)} {
			if l == has {
				continue
			}
			if err := steps(
				func() error { return r.accept(l) },
				func() error {
					if l.Leader == r.ID {
						return r.install(l.Term)
					}
					return r.follow(l)
				},
				func() error { return r.grant(t) },
				r.verify,
			); err != nil {
				return err
			}
		}
		return nil
	}
	return steps(
		func() error { return r.follow(r.other(t, 0)) },
		func() error { return beside(r.other(t, 0)) },
		r.restart,
		func() error { return beside(r.other(t, 0)) },
		func() error { return r.follow(r.other(t, 0)) },
		r.verify,
		func() error {
			if r.Install == nil {
				return nil
			}
			t = term(4, "b")
			return steps(func() error { return r.install(t) }, func() error { return beside(r.own(t)) })
		},
	)
}

func acceptorGrant(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	if r.Grant == nil {
		return inapplicable("Install, Grant and Complete are nil: a node that never leads")
	}
	refused := func(t leadership.Term) error {
		return steps(func() error { return r.complete(t) }, func() error { return r.accept(r.own(t)) }, r.verify)
	}
	all := func(t leadership.Term) error {
		return steps(func() error { return r.grant(t) }, func() error { return refused(t) })
	}
	t := term(3, "b")
	return steps(
		func() error { return all(t) }, // nothing is promised
		func() error { return r.promise(t) },
		func() error { return all(t) }, // promised, not installed
		func() error { return r.install(t) },
		func() error { return refused(t) }, // installed, not granted
		func() error { return all(term(4, "b")) },
		func() error { return r.grant(t) }, r.verify,
		func() error { return all(term(4, "b")) },
		func() error { return r.follow(r.other(term(5, "b"), 0)) },
		func() error { return all(term(5, "b")) }, // another's term
		func() error { return r.promise(term(6, "b")) },
		func() error { return all(term(6, "b")) },
	)
}

func acceptorRestart(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	if r.Restart == nil {
		return inapplicable("Restart is nil: it is not checked what a node remembers")
	}
	return steps(
		func() error { return r.promise(term(3, "b")) }, r.restart,
		func() error { return r.promise(term(3, "c")) }, r.restart, r.verify,
		func() error { return r.follow(r.other(term(4, "b"), 0)) }, r.restart, r.verify,
		func() error { return r.follow(r.other(term(4, "b"), 0)) }, r.verify, r.restart,
		func() error { return r.leads(term(5, "b")) }, r.verify, r.restart,
		func() error { return r.install(term(5, "b")) },
		func() error { return r.complete(term(5, "b")) },
		func() error { return r.grant(term(5, "b")) }, r.verify,
		func() error { return r.promise(term(6, "b")) }, r.restart, r.verify,
	)
}

func acceptorRead(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	if r.Read == nil {
		return inapplicable("Read is nil")
	}
	l := r.other(term(4, "b"), 0)
	return steps(
		func() error { return r.read(term(3, "b")) },
		func() error { return r.follow(l) },
		func() error { return r.accept(l) },
		func() error { return r.read(l.Term) },
		func() error { return r.accept(l) },
		func() error { return r.read(term(5, "b")) },
		r.verify,
		func() error { return r.promise(term(5, "b")) },
		func() error { return r.read(term(5, "b")) },
		func() error { return r.read(l.Term) },
	)
}

func acceptorStepDown(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	if r.StepDown == nil {
		return inapplicable("StepDown is nil")
	}
	return steps(
		func() error { return r.leads(term(3, "b")) }, r.verify,
		func() error { return r.stepDown(term(2, "b")) }, r.verify,
		func() error { return r.stepDown(term(4, "b")) }, r.verify,
		func() error { return r.stepDown(term(4, "b")) }, r.verify,
		func() error { return r.stepDown(term(5, "b")) }, r.verify,
	)
}

func acceptorInput(c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	if err := r.follow(r.other(term(3, "b"), 0)); err != nil {
		return err
	}
	for _, bad := range []leadership.Term{
		{}, {Num: 50}, {Proposer: "c"}, {Num: 50, Proposer: "C"}, {Num: 50, Proposer: "a b"},
		{Num: 50, Proposer: strings.Repeat("c", 21)}, {Num: leadership.MaxTermNum + 1, Proposer: "c"}, {Num: 1<<64 - 1, Proposer: "c"},
	} {
		if err := r.refusesInput(bad); err != nil {
			return err
		}
	}
	return r.verify()
}

// acceptorWalk is one random run. Every term has one leader, as coordinators
// that do not share terms see to.
func acceptorWalk(t *rapid.T, c acceptorCase) error {
	r, err := c.start()
	if err != nil {
		return err
	}
	calls := []func(leadership.Term) error{
		r.promise, r.promise, r.stepDown, r.read, r.install, r.grant, r.complete,
		func(t leadership.Term) error { return r.follow(r.leaderOf(t)) },
		func(t leadership.Term) error { return r.accept(r.leaderOf(t)) },
		func(leadership.Term) error { return r.accept(r.source) },
		func(leadership.Term) error { return r.restart() },
	}
	for range rapid.SampledFrom([]int{8, 40}).Draw(t, "calls") {
		at := r.drawTerm(t)
		i := rapid.IntRange(0, len(calls)-1).Draw(t, "call")
		// A term of the node's own is installed, every other is followed.
		own := r.leaderOf(at).Leader == r.ID
		switch {
		case i == 4 && !own, i == 7 && own, i == 9 && r.source.IsZero():
			continue
		}
		if err := steps(func() error { return calls[i](at) }, r.verify); err != nil {
			return err
		}
	}
	return nil
}

// drawTerm draws the promised term, one that the node may lead above it, or any.
func (r *nodeRun) drawTerm(t *rapid.T) leadership.Term {
	switch num := max(r.promised.Num, 10); rapid.IntRange(0, 3).Draw(t, "which term") {
	case 0, 1:
		if !r.promised.IsZero() {
			return r.promised
		}
	case 2:
		return leadership.Term{Num: num + 3 - num%3, Proposer: "b"}
	}
	return term(rapid.Uint64Range(1, 6).Draw(t, "term"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "by"))
}

// leaderOf returns the one leadership of t.
func (r *nodeRun) leaderOf(t leadership.Term) leadership.Leadership {
	// Numbers that 3 divides are the node's own.
	switch {
	case t.Num%3 == 0 && r.Install != nil:
		return r.own(t)
	case t.Num%2 == 0:
		return r.other(t, 0)
	}
	return r.other(t, 1)
}
