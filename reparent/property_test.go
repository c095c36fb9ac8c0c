package reparent_test

import (
	"flag"
	"testing"

	"github.com/tenure-go/tenure/internal/race"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

var seeds = flag.Int("seeds", 150, "how many random runs each simulated property gets")

// everySeed runs rivals under all faults over the seeds, from first on, and the
// kinds of nodes.
func everySeed(t *testing.T, first uint64) {
	n := *seeds
	if race.Enabled {
		n = max(1, n/3) // which still reaches every state
	}
	for name, h := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{Seeds: n, First: first})
		})
	}
}

// The simulation checks at every quiescent point that at most one leadership is
// capable of new requests (G1); at every installation that its revocation is
// proven (G3) and that nothing completed is missing (G2); and at the end that
// every answer given to a client was the truth (G2, G9) and that the cluster
// can be led and written to again (G5).
func TestG1_G2_G3_RivalCoordinatorsUnderFaultsNeverMakeTwoLeadersOrLoseARequest(t *testing.T) {
	everySeed(t, 2_000_001)
}

// What a report says is the truth: not started means that no node was ever
// asked, done that the leader was granted, restored that somebody was.
func TestG9_ReportsAndAnswersTellTheTruthUnderFaults(t *testing.T) {
	everySeed(t, 1_000_001)
}
