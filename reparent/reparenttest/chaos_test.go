package reparenttest

import (
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
