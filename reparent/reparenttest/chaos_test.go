package reparenttest

import (
	"strings"
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

func TestEveryRuleTakenOutIsFound(t *testing.T) {
	for _, bug := range []struct {
		name string
		b    bugs
	}{
		{"the promise does not survive a restart", bugs{volatilePromise: true}},
		{"a follower takes entries of any term", bugs{noTermCheck: true}},
		{"the position is read before the block", bugs{earlyRead: true}},
		{"a follower says that it has the marker before it has", bugs{falseAccept: true}},
		{"the leader completes with one copy less than the policy", bugs{anyAck: true}},
		{"what may have happened is reported as refused", bugs{lateRefusal: true}},
		{"reads are not confirmed", bugs{staleRead: true}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			h := Store(Traits{bugs: bug.b})
			for seed := range uint64(4000) {
				got := h.once(t, seed+1, stepsim.Seed(seed+1, stepsim.Swarm(seed+1)), Everything(), &tally{}, false)
				if got.err != nil {
					said := h.explain(t, seed+1, got, Everything(), Options{Shrink: 150, Lines: 30})
					t.Logf("found by seed %d\n%s", seed+1, said)
					if strings.Contains(said, "not repeatable") {
						t.Error("not repeatable")
					}
					return
				}
			}
			t.Error("not found in 4000 runs")
		})
	}
}
