package reparenttest

import (
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
)

// found runs seeds until one violates something, and reports it shrunk.
func found(t *testing.T, h Harness, f Features, seeds int) {
	t.Helper()
	for i := range uint64(seeds) {
		seed := i + 1
		got := h.once(t, seed, stepsim.Seed(seed, stepsim.Swarm(seed)), f, &tally{}, false)
		if got.err != nil {
			t.Logf("found by seed %d: %v", seed, got.err)
			return
		}
	}
	t.Errorf("not found in %d runs", seeds)
}

func TestANodeThatLostItsPromiseStaysOut(t *testing.T) {
	t.Parallel()
	h := Store(Traits{OneSlot: true})
	h.Policy = leadership.Majority() // another policy may need every node
	f := Features{Crash: true, Torn: true, Partition: true, Disk: true}
	Run(t, h, f, Options{})
}

func TestLostStorageIsFoundWhenItVotes(t *testing.T) {
	t.Parallel()
	t.Run("a torn promise taken for that of a new node", func(t *testing.T) {
		t.Parallel()
		h := Store(Traits{OneSlot: true, bugs: bugs{tornOpens: true}})
		h.Policy = leadership.Majority()
		found(t, h, Features{Crash: true, Torn: true, Partition: true, Disk: true}, 2000)
	})
	t.Run("a new disk under the old name", func(t *testing.T) {
		t.Parallel()
		found(t, Store(Traits{bugs: bugs{amnesia: true}}), Everything(), 2000)
	})
}
