package reparenttest

import (
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// runs makes so many runs, which must all pass, and returns what they reached.
func runs(t *testing.T, h Harness, f Features, first, n uint64) *tally {
	t.Helper()
	tl := &tally{}
	for seed := first; seed < first+n; seed++ {
		if got := h.once(t, seed, stepsim.Seed(seed, stepsim.Swarm(seed)), f, tl, false); got.err != nil {
			t.Fatalf("seed %d: %v", seed, got.err)
		}
	}
	return tl
}

func TestG6_AnyMechanismFollowsAnyOther(t *testing.T) {
	for name, traits := range map[string]Traits{"log": {}, "mariadb": mariadbTraits(), "postgres": postgresTraits()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traits.Leased = true
			h := Store(traits)
			f := Features{Crash: true, Partition: true, Clock: true}
			mixed := h.mixed(f)
			h.reshape = func(seed uint64, s *shape) {
				a, b := mixed[int(seed)%len(mixed)], mixed[int(seed)/len(mixed)%len(mixed)]
				by := func(m mechanism) move { return move{change: reparent.Emergency(), by: m, sweeps: true} }
				s.plans, s.dieAt = [][]move{{by(a), by(b), by(a), by(a)}}, []int{-1}
				s.faults.Crash, s.faults.Drop, s.faults.Cut = min(s.faults.Crash, 1), min(s.faults.Drop, 1), min(s.faults.Cut, 1)
			}
			tl := runs(t, h, f, 1, uint64(2*len(mixed)*len(mixed)))
			reached, missing := tl.missingPairs(mixed)
			t.Logf("%d ordered pairs of mechanisms reached, not: %v", reached, missing)
			if want := len(mixed) * len(mixed); reached < want {
				t.Errorf("%d of %d ordered pairs were reached", reached, want)
			}
		})
	}
}

func TestIsolationThatIsReleasedWithoutAPromiseIsFound(t *testing.T) {
	t.Parallel()
	h := LogStore()
	h.Policy = leadership.AtLeast(2)
	h.reshape = func(_ uint64, s *shape) {
		s.plans, s.dieAt = [][]move{{{change: reparent.Emergency(), by: byIsolation}, {change: reparent.Refresh(), by: byProposal}}}, []int{-1}
		s.faults.Drop, s.faults.Late = 12, 12
	}
	f := Features{Partition: true, Nodes: 4}
	runs(t, h, f, 1, 200)
	h.hastyRelease = true
	found(t, h, f, 2000)
}
