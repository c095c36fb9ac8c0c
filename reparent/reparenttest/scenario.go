package reparenttest

import (
	"os"
	"slices"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
)

// scenario is one story that must end well: a script over a cluster whose first
// leader is n1. It is run once as written, with the oldest message first, and
// then under random schedules around the script.
type scenario struct {
	name string
	// covers are the numbers of the situations that it plays.
	covers []string
	size   int               // 0: 3
	policy leadership.Policy // nil: majority
	mode   leadership.Mode   // "": Full
	// members edits the cohort, parts the harness.
	members func([]leadership.Node)
	parts   func(*Harness)
	// needs are the faults that it makes.
	needs Features
	// applies says why it cannot be played on nodes of h, "" when it can. nil:
	// on all.
	applies func(h Harness) string
	// variants is how many ways there are to play it, told by script.variant;
	// 0 means 1.
	variants int
	script   func(s *script)
	// unhealed: the cluster cannot be brought back at the end.
	unhealed bool
}

// Scenarios plays named stories on the nodes of h, each a subtest of its own:
// those that experience says go wrong and that random schedules seldom reach.
// Each is played as written, in all its variants, and under Options.Seeds (10
// when 0) random schedules around it, in which messages come late, twice and in
// another order; what a script cuts, stops or kills stays so until it says
// otherwise. A script also demands what its story is about, and its failure is
// headed "scenario".
//
// What needs a fault that f does not claim is skipped. A failure looks like that
// of Run, TENURE_SEED and TENURE_PICKS included.
//
//	go test -run 'TestMyNodes/late_grant'
func Scenarios(t *testing.T, h Harness, f Features, o Options) {
	t.Helper()
	if err := h.Validate(Features{}); err != nil {
		t.Fatal(err)
	}
	if o.Seeds == 0 {
		o.Seeds = 10
	}
	alone := os.Getenv("TENURE_SEED") != ""
	o = o.fill(t)
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			if not := missing(sc.needs, f); not != "" {
				t.Skipf("it needs a fault that is not claimed: %s", not)
			}
			if sc.applies != nil {
				if not := sc.applies(h); not != "" {
					t.Skip(not)
				}
			}
			sc.play(t, h, f, o, alone)
		})
	}
}

// missing says in words which faults are needed and not claimed.
func missing(needs, f Features) string {
	for _, c := range []struct {
		need, have bool
		what       string
	}{
		{needs.Crash, f.Crash, "Crash"}, {needs.Pause, f.Pause, "Pause"}, {needs.Partition, f.Partition, "Partition"},
		{needs.Clock, f.Clock, "Clock"}, {needs.Loss, f.Loss, "Loss"}, {needs.Torn, f.Torn, "Torn"},
	} {
		if c.need && !c.have {
			return c.what
		}
	}
	return ""
}

// restless is what may happen besides in the random schedules: a script makes
// its own faults.
var restless = stepsim.Weights{stepsim.Deliver: 1000, stepsim.Dup: 15, stepsim.Late: 15, stepsim.Release: 40}

func (sc scenario) play(t *testing.T, h Harness, f Features, o Options, alone bool) {
	t.Helper()
	ways := uint64(max(1, sc.variants))
	first, last := uint64(0), ways+uint64(o.Seeds)
	if alone {
		first, last = o.First, o.First+1
	}
	picks, replay := picksFromEnv(t)
	for seed := first; seed < last; seed++ {
		run := func(c stepsim.Chooser, show bool) outcome {
			return sc.once(t, h, f, seed%ways, seed >= ways, c, show)
		}
		var c stepsim.Chooser
		switch {
		case replay:
			c = stepsim.Replay(picks)
		case seed < ways:
			c = stepsim.Quiet()
		default:
			c = stepsim.Seed(seed, restless)
		}
		if got := run(c, false); got.err != nil {
			t.Fatal(failed(t, seed, got, o, func(p []int, show bool) outcome { return run(stepsim.Replay(p), show) }))
		}
	}
}

func (sc scenario) once(t *testing.T, h Harness, f Features, variant uint64, random bool, c stepsim.Chooser, show bool) outcome {
	if sc.parts != nil {
		sc.parts(&h)
	}
	h.Policy, h.Members = sc.policy, sc.members
	size := sc.size
	if size == 0 {
		size = 3
	}
	return bubble(t, func() (got outcome) {
		faults := stepsim.Faults{Scripted: true}
		if random {
			faults.Reorder = true
			if f.Partition {
				faults.Dup, faults.Late = 3, 3
			}
		}
		sim := stepsim.New(c, faults)
		defer sim.Close()
		w, err := newWorld(sim, h, size, h.policy())
		if err == nil {
			w.show = show
			s := &script{world: w, variant: int(variant), quiet: !random && h.plain()}
			err = s.play(sc)
		}
		got = outcome{err: err, picks: stepsim.Plain(sim.Picks()), hash: sim.Hash(), steps: sim.Steps()}
		if show {
			got.trace, got.world = sim.Trace(0), w
		}
		return got
	})
}

// scenarios are all of them.
func scenarios() []scenario {
	return slices.Concat(coordinatorStories(), partitionStories(), policyStories(), stepDownStories(),
		logStories(), batonStories(), rulesetStories(), registryStories(), mechanismStories(), clientStories(), storageStories(), engineStories(), leaseStories())
}
