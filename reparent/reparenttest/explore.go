package reparenttest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

const (
	// AllOrders, as Scope.Delays, is every order in which requests can arrive.
	AllOrders = -1
	// AllMessages is every order of all that is under way: of requests, of
	// answers, and of writes.
	AllMessages = -2
)

// Scope is a set of schedules that is small enough to run all of it: a cluster
// with a leader, changes and writes that all begin at once, and what may go
// wrong.
type Scope struct {
	// Nodes is the size of the cluster; 0 means 3.
	Nodes int
	// Policy is the durability policy; nil: the harness's.
	Policy leadership.Policy
	// Mode is that of the cluster's record; the zero Mode is leadership.Full.
	Mode leadership.Mode
	// Changes are carried out by a coordinator each, all at once. Nil: one
	// emergency.
	Changes []reparent.Change
	// Writes are made by a client each, at the first leader, all at once.
	Writes int
	// Crash is how many processes may die, nodes or coordinators, at any
	// point, nodes to be started again at any later one or never. Torn is how
	// many of the crashes of its own may come in the middle of a write, Drop
	// how many messages may be lost.
	Crash, Torn, Drop int
	// Delays is how often the oldest pending event may be sent behind all that
	// are pending, at any point: how far a schedule may be from the quiet one.
	// With AllOrders, requests arrive in every order; answers and writes are
	// then done at once, and what goes wrong does so between two requests. With
	// AllMessages they come in every order, too.
	Delays int
	// Heal is after how many schedules one is gone on with: the faults end, a
	// coordinator must bring the cluster back, and all that anyone was told
	// must be true. 0 means 25; negative means never.
	Heal int
	// Runs and Within end the search early; 0 means no bound.
	Runs   int
	Within time.Duration

	_ struct{}
}

// String describes the scope in a line.
func (s Scope) String() string {
	s = s.fill(Harness{})
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	policy := "no policy"
	if rs, err := leadership.NewRuleset(s.Policy, Harness{}.members(s.Nodes)...); err == nil {
		policy = rs.Policy
	}
	parts = append(parts, fmt.Sprintf("%d nodes, %s", s.Nodes, policy))
	if s.Mode != "" && s.Mode != leadership.Full {
		parts = append(parts, fmt.Sprintf("%v mode", s.Mode))
	}
	for _, c := range s.Changes {
		change := strings.TrimSpace(fmt.Sprintf("%s %s", c.Kind, c.To))
		if c.LeaderLed {
			change += " led by the leader"
		}
		parts = append(parts, change)
	}
	add(s.Writes, "writes")
	add(s.Crash, "crashes anywhere")
	add(s.Torn, "torn writes")
	add(s.Drop, "messages lost")
	switch s.Delays {
	case AllOrders:
		parts = append(parts, "every order of requests")
	case AllMessages:
		parts = append(parts, "every order of messages and writes")
	}
	add(s.Delays, "delays")
	return strings.Join(parts, ", ")
}

func (s Scope) fill(h Harness) Scope {
	if s.Nodes == 0 {
		s.Nodes = 3
	}
	if s.Policy == nil {
		s.Policy = h.policy()
	}
	if s.Changes == nil {
		s.Changes = []reparent.Change{reparent.Emergency()}
	}
	if s.Heal == 0 {
		s.Heal = 25
	}
	return s
}

func (s Scope) faults() stepsim.Faults {
	f := stepsim.Faults{Crash: s.Crash, Torn: s.Torn, Drop: s.Drop, Delays: max(s.Delays, 0)}
	f.Reorder, f.Coarse = s.Delays < 0, s.Delays == AllOrders
	return f
}

// Explored is the account of a search.
type Explored struct {
	// Schedules counts those that were run. Any other of the scope differs
	// from one of them by the order of steps that do not concern one another,
	// or comes by the same state and goes on as it did; Pruned of them were
	// not run to their end for that reason. States counts different states.
	Schedules, Pruned, States int
	// Complete says that all of the scope was covered.
	Complete bool
	// Healed counts schedules that were gone on with.
	Healed int
	// Took is the real time of the search.
	Took time.Duration
	// Failure is the first schedule in which an invariant did not hold, nil
	// when there was none.
	Failure *Failure
}

// Explore runs every schedule of the scope, or what Scope.Runs and Scope.Within
// allow, checks every invariant at every step, and fails the test with the
// first schedule that violates one. What no invariant is violated by is then
// known for all of the scope, not for a sample: under the assumptions that
// processes share nothing but messages, that what goroutines of one process do
// within a step does not depend on their order, and that no two states have one
// 64-bit digest.
func Explore(t *testing.T, h Harness, s Scope) Explored {
	t.Helper()
	got := h.explore(t, s)
	if got.Failure != nil {
		t.Fatalf("schedule %d of scope %s\n%s", got.Schedules, s.fill(h), got.Failure)
	}
	which, bound := "all", ""
	if !got.Complete {
		which, bound = "the first", ", bounded by Runs or Within: NOT all"
	}
	t.Logf("%s %d schedules of scope %q: %d states, %d schedules healed, in %v%s", which, got.Schedules, s.fill(h), got.States, got.Healed, got.Took.Round(time.Millisecond), bound)
	return got
}

func (h Harness) explore(t *testing.T, s Scope) Explored {
	t.Helper()
	if err := h.Validate(Features{Nodes: s.Nodes}); err != nil {
		t.Fatal(err)
	}
	s = s.fill(h)
	began := time.Now()
	ended, healed := 0, 0
	f := stepsim.Explore(stepsim.Scope{Runs: s.Runs, Within: s.Within}, func(x *stepsim.Explorer) (sim *stepsim.Sim, err error) {
		synctest.Test(t, func(*testing.T) {
			sim = x.Sim(stepsim.Faults{})
			defer sim.Close()
			_, err = h.scoped(sim, s, func() bool {
				ended++
				heal := s.Heal > 0 && ended%s.Heal == 1%s.Heal
				if heal {
					healed++
				}
				return heal
			}, false)
		})
		return sim, err
	})
	got := Explored{Schedules: f.Runs, Pruned: f.Pruned, States: f.States, Complete: f.Complete && f.Ambiguous == 0, Healed: healed, Took: time.Since(began)}
	if f.Err == nil {
		return got
	}
	bad := outcome{err: f.Err, picks: f.Picks}
	got.Failure = failed(t, 0, bad, Options{Shrink: 100, Lines: 80}, func(picks []int, show bool) outcome {
		return bubble(t, func() (o outcome) {
			sim := stepsim.New(stepsim.Replay(picks), stepsim.Faults{})
			defer sim.Close()
			sim.Again()
			o.world, o.err = h.scoped(sim, s, func() bool { return true }, show)
			o.picks, o.trace, o.steps = stepsim.Plain(sim.Picks()), sim.Trace(0), sim.Steps()
			return o
		})
	})
	return got
}

// scoped is one run of a scope. heal is asked at its end whether to go on.
func (h Harness) scoped(sim *stepsim.Sim, s Scope, heal func() bool, show bool) (w *world, err error) {
	return h.scopedWith(sim, s, heal, show, func() { sim.Allow(s.faults()) })
}

// scopedWith is scoped with other faults than the scope's.
func (h Harness) scopedWith(sim *stepsim.Sim, s Scope, heal func() bool, show bool, allow func()) (w *world, err error) {
	w, err = newWorld(sim, h, s.Nodes, s.Policy)
	if err != nil {
		return w, err
	}
	w.show = show
	w.mode = s.Mode
	if err := w.bootstrap(); err != nil {
		return w, err
	}
	if s.Writes == 0 {
		w.track()
	}
	for _, host := range w.hosts {
		host.proc.CanCrash, host.proc.CanPause, host.proc.CanCut = s.Crash+s.Torn > 0, true, true
		host.proc.Still = h.ours && !h.traits.bugs.resumes // a store that boots waits to be asked
	}
	var wg sync.WaitGroup
	for i, c := range s.Changes {
		p := sim.Proc("c" + strconv.Itoa(i+1))
		p.CanCrash, p.Final, p.CanPause = s.Crash > 0, true, true
		g, err := w.guard(p, func(c *reparent.Config) { forgets(p, c) })
		if err != nil {
			return w, err
		}
		wg.Go(func() { w.run(g, c) })
	}
	for i := range s.Writes {
		p := sim.Proc("client" + strconv.Itoa(i+1))
		p.Client = true
		wg.Go(func() { _ = w.append(context.Background(), p, w.ids[0]) })
	}
	allow()
	if err := sim.Do(maxSteps, wg.Wait); err != nil {
		return w, err
	}
	if err := w.truthful(); err != nil || !heal() {
		return w, err
	}
	sim.Settled()
	leader, err := w.heal("healer")
	if err == nil {
		err = w.verify(leader)
	}
	return w, err
}
