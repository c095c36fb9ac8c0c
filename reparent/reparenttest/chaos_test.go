package reparenttest

import (
	"flag"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/internal/stepsim"
)

var (
	seeds = flag.Int("seeds", 100, "how many random runs each simulated property gets")
	seed  = flag.Uint64("seed", 0, "run only this seed")
)

func TestChaosQuick(t *testing.T) {
	for name, h := range map[string]Harness{"log": LogStore(), "mariadb": MariaDBLike(), "postgres": PostgreSQLLike()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tl := &tally{}
			for i := range *seeds {
				x := uint64(i + 1)
				if *seed != 0 && x != *seed {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					s, _, err := h.chaos(x, stepsim.Seed(x, stepsim.Swarm(x)), Everything(), tl)
					if err != nil {
						for _, l := range s.Trace(60) {
							t.Log(l)
						}
						t.Fatalf("seed %d: %v", x, err)
					}
				})
			}
			t.Log(tl.n)
		})
	}
}
