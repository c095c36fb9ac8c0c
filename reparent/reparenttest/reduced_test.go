package reparenttest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// ends explores a scope and returns the different ends of its schedules, as
// nodes, registry, clients and coordinators show them.
func ends(t *testing.T, h Harness, s Scope, sc stepsim.Scope) (stepsim.Found, []string) {
	t.Helper()
	s = s.fill(h)
	seen := map[string]bool{}
	got := stepsim.Explore(sc, func(x *stepsim.Explorer) (sim *stepsim.Sim, err error) {
		synctest.Test(t, func(*testing.T) {
			sim = x.Sim(stepsim.Faults{})
			defer sim.Close()
			var end string
			if end, err = h.end(sim, s); err == nil {
				seen[end] = true
			}
		})
		return sim, err
	})
	return got, slices.Sorted(maps.Keys(seen))
}

// end runs one schedule of a scope and tells all that anyone can see when it is
// over.
func (h Harness) end(sim *stepsim.Sim, s Scope) (string, error) {
	w, err := h.scoped(sim, s, func() bool { return false }, false)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, id := range w.ids {
		f := w.hosts[id].node.Inspect.Facts()
		fmt.Fprintf(&b, "%s up %t promised %s source %s leads %s completed %d of", id, w.hosts[id].proc.Up(), f.Promised, f.Source, f.Leads, f.Completed)
		for _, e := range f.Log {
			fmt.Fprint(&b, " ", e)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%+v\n", w.records)
	var told []string
	for _, r := range w.reports {
		told = append(told, fmt.Sprint(r.Kind, r.Term, r.From, r.To, r.Outcome, r.Failed, r.Err, r.Stragglers))
	}
	for _, o := range w.ops {
		told = append(told, fmt.Sprint(o.client, o.at, o.value, o.class, o.n, o.sum))
	}
	slices.Sort(told)
	return b.String() + strings.Join(told, "\n"), nil
}

// The search leaves out schedules that come by a state seen before, and all but
// one of those that differ by the order of steps which do not concern one
// another. What it says of a scope is worth as much as this: it sees every end
// that all schedules, one by one, come to.
func TestTheSearchSeesEveryEndThatAllSchedulesComeTo(t *testing.T) {
	t.Parallel()
	planned := []reparent.Change{reparent.Planned("n2")}
	rivals := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}
	for _, s := range []Scope{
		{Delays: 2},
		{Crash: 1, Nodes: 1},
		{Changes: rivals, Delays: 1},
		{Writes: 1, Delays: 1},
		{Drop: 1},
		{Nodes: 4, Policy: leadership.AtLeast(2), Delays: 1},
		{Mode: leadership.Shortcut, Delays: 1},
		{Nodes: 2, Delays: AllOrders},
		{Nodes: 2, Changes: planned, Delays: AllOrders},
	} {
		t.Run(strings.ReplaceAll(s.String(), " ", "_"), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			all, want := ends(t, LogStore(), s, stepsim.Scope{Naive: true, Runs: 20000})
			some, got := ends(t, LogStore(), s, stepsim.Scope{})
			t.Logf("%d schedules, of which %d were run, come to %d ends; %v", all.Runs, some.Runs, len(want), time.Since(began))
			if !all.Complete || !some.Complete || all.Err != nil || some.Err != nil {
				t.Fatalf("%+v, %+v", all, some)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the search saw %d ends, all schedules come to %d", len(got), len(want))
			}
		})
	}
}

// Where all schedules are too many to be run, random ones must come to ends that
// the search saw.
func TestNoRandomScheduleComesToAnEndThatTheSearchDidNotSee(t *testing.T) {
	t.Parallel()
	if os.Getenv("TENURE_EXPLORE") == "" {
		t.Skip("set TENURE_EXPLORE: the search alone runs some thousand schedules")
	}
	for _, s := range []Scope{
		{Delays: AllOrders},
		{Changes: []reparent.Change{reparent.Planned("n2")}, Delays: AllOrders},
		{Crash: 1},
	} {
		t.Run(strings.ReplaceAll(s.String(), " ", "_"), func(t *testing.T) {
			t.Parallel()
			h := LogStore()
			found, saw := ends(t, h, s, stepsim.Scope{})
			if !found.Complete || found.Err != nil {
				t.Fatalf("%+v", found)
			}
			s := s.fill(h)
			came := map[string]bool{}
			const seeds = 2000
			for seed := range uint64(seeds) {
				synctest.Test(t, func(*testing.T) {
					sim := stepsim.New(stepsim.Seed(seed, stepsim.Weights{stepsim.Deliver: 20, stepsim.Crash: 1, stepsim.Restart: 2}), stepsim.Faults{})
					defer sim.Close()
					sim.Thorough()
					end, err := h.end(sim, s)
					if _, ok := slices.BinarySearch(saw, end); !ok || err != nil {
						t.Errorf("seed %d, %v: the search did not see\n%s", seed, err, end)
					}
					came[end] = true
				})
				if t.Failed() {
					return
				}
			}
			t.Logf("%d random schedules came to %d of the %d ends that %d schedules of the search saw", seeds, len(came), len(saw), found.Runs)
		})
	}
}
