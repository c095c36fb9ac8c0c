package reparenttest

import (
	"math/rand/v2"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// Harness is what is tested: a kind of node, and how its leaders are changed.
type Harness struct {
	// Name is shown in failures.
	Name string
	// Boot starts the node of a host: once when the cluster is made, and after
	// each crash. It must not block; what it needs from disk it finds in
	// Host.Disk. Required.
	Boot func(h *Host) (Node, error)
	// Policy is the durability policy. nil tries several: majorities of 3 and
	// 5, 2 of 4, 3 of 4.
	Policy leadership.Policy
	// Registry makes the registry of one run. nil: in memory. Its methods must
	// not block on anything but ctx.
	Registry func() leadership.Registry
	// Revoke makes the revoker that changes use, in place of the guard's own.
	Revoke func(g *reparent.Guard) revoke.Revoker

	_ struct{}
}

func (h Harness) policy() leadership.Policy {
	if h.Policy != nil {
		return h.Policy
	}
	return leadership.Majority()
}

func (h Harness) registry() leadership.Registry {
	if h.Registry != nil {
		return h.Registry()
	}
	return &leadership.MemoryRegistry{}
}

// Features says which faults the harness claims to survive. What is not
// claimed is not tried, and the log of the test says so.
type Features struct {
	// Crash: nodes die at any moment and restart with what is durable.
	Crash bool
	// Torn: a crash may leave half a write behind (Host.WriteTorn).
	Torn bool
	// Pause: processes stop for a while and know nothing of it.
	Pause bool
	// Partition: messages are lost, late, doubled, in one direction or both.
	Partition bool
	// Clock: clocks of nodes jump and run fast or slow.
	Clock bool
	// Nodes is the size of the cluster; 0 varies it with the policy.
	Nodes int

	_ struct{}
}

// Everything is all faults.
func Everything() Features {
	return Features{Crash: true, Torn: true, Pause: true, Partition: true, Clock: true}
}

// faults draws the budgets of one run.
func (f Features) faults(rng *rand.Rand) stepsim.Faults {
	s := stepsim.Faults{Reorder: true, Tick: 1000}
	if f.Crash {
		s.Crash = 1 + rng.IntN(4)
	}
	if f.Torn {
		s.Torn = rng.IntN(2)
	}
	if f.Pause {
		s.Pause = rng.IntN(8)
	}
	if f.Partition {
		s.Drop, s.Dup, s.Late, s.Cut = rng.IntN(6), rng.IntN(5), rng.IntN(5), rng.IntN(3)
	}
	if f.Clock {
		s.Clock = rng.IntN(3)
	}
	return s
}
