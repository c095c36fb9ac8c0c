package reparenttest

import (
	"os"
	"runtime"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
)

func kinds() map[string]Harness {
	return map[string]Harness{"log": LogStore(), "mariadb": MariaDBLike(), "postgres": PostgreSQLLike()}
}

func TestG1_G2_G3_RivalsUnderFaults(t *testing.T) {
	for name, h := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, h, Everything(), Options{})
		})
	}
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	t.Parallel()
	for name, h := range kinds() {
		for seed := range uint64(30) {
			a := h.once(t, seed+1, stepsim.Seed(seed+1, stepsim.Swarm(seed+1)), Everything(), &tally{}, false)
			for range 2 {
				if b := h.once(t, seed+1, stepsim.Seed(seed+1, stepsim.Swarm(seed+1)), Everything(), &tally{}, false); a.hash != b.hash {
					t.Fatalf("%s, seed %d: %x, then %x", name, seed+1, a.hash, b.hash)
				}
			}
			if c := h.once(t, seed+1, stepsim.Replay(a.picks), Everything(), &tally{}, false); a.hash != c.hash {
				t.Fatalf("%s, seed %d: replayed by its picks, another trace", name, seed+1)
			}
		}
	}
}

// Every other run is chosen anew from the seed, the rest replays its picks.
// Not parallel: it changes GOMAXPROCS.
func TestEveryRunOfOneSeedGivesOneTrace(t *testing.T) {
	runs := 30
	switch {
	case testing.Short():
		runs = 9
	case os.Getenv("TENURE_EXPLORE") != "":
		runs = 1000
	}
	const seed = 53 // of many changes and faults, with every kind of store
	chosen := func() stepsim.Chooser { return stepsim.Seed(seed, stepsim.Swarm(seed)) }
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, h := range kinds() {
		want := h.once(t, seed, chosen(), Everything(), &tally{}, false)
		if want.err != nil {
			t.Fatalf("%s: %v", name, want.err)
		}
		for i := range runs {
			runtime.GOMAXPROCS([]int{1, 2, 8}[i%3])
			c := chosen()
			if i%2 == 1 {
				c = stepsim.Replay(want.picks)
			}
			if got := h.once(t, seed, c, Everything(), &tally{}, false); got.hash != want.hash || got.steps != want.steps {
				t.Fatalf("%s, run %d: trace %016x of %d steps, want %016x of %d", name, i+1, got.hash, got.steps, want.hash, want.steps)
			}
		}
		t.Logf("%s: %d runs of seed %d gave one trace, %016x: %d steps, %d changes of leader", name, runs, seed, want.hash, want.steps, want.grants)
	}
}
