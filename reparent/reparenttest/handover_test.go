package reparenttest

import (
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// handingOver is a store whose changes are all led by leaders, as far as there is
// one, or are emergencies.
func handingOver(traits Traits) Harness {
	h := Store(traits)
	h.reshape = func(seed uint64, s *shape) {
		s.mode, s.quiet = leadership.Full, seed%5 == 4
		for k, plan := range s.plans {
			for i := range plan {
				switch {
				case plan[i].change.Kind == leadership.KindRuleset || plan[i].change.Kind == leadership.KindResume:
				case (int(seed)+i+k)%3 == 0:
					plan[i].change, plan[i].by = reparent.Emergency(), ownMechanism
				default:
					plan[i].by = byHandOver
				}
			}
		}
		if seed%4 == 1 && !s.zombie { // two batons for one leader
			for k := range s.plans {
				s.plans[k][0] = move{change: reparent.Planned(nodeID(1 + k)), by: byHandOver}
				s.plans[k][0].change.Force = true
			}
			s.waits[0], s.waits[2] = 0, 0
		}
	}
	return h
}

func handOverTraits() map[string]Traits {
	return map[string]Traits{"log": {}, "leased": {Leased: true}, "local reads": {LocalReads: true}}
}

// Rivals of which most have the leader lead, under all faults at once. That this
// shows something is seen from the states that are reached.
func TestG1_G2_G3_HandOversUnderFaults(t *testing.T) {
	for name, traits := range handOverTraits() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := handingOver(traits)
			fail, tl := h.find(t, Everything(), Options{First: 5_000_001})
			if fail != nil {
				t.Fatal(fail)
			}
			t.Log(tl)
			for _, state := range []string{
				"a leader that took over by itself", "two batons at one leader", "coordinator killed", "outcome superseded", "outcome done", "undo", "unknown", "acknowledged",
			} {
				if traits.LocalReads && state == "a leader that took over by itself" {
					continue // the coordinator waits for leases and grants
				}
				if tl.n[state] == 0 && tl.runs >= enough {
					t.Errorf("never reached: %s", state)
				}
			}
		})
	}
}

// Two batons come to one leader. A proof that it leads on, which an error of its gate
// would be, has the second coordinator leave it alone while it steps down for the
// first.
func TestG9_ALeaderThatIsGivingUpProvesToNobodyThatItLeadsOn(t *testing.T) {
	t.Parallel()
	fail := Find(t, handingOver(Traits{bugs: bugs{declines: true}}), Everything(), Options{Shrink: -1})
	if fail == nil || fail.Invariant != "G9" {
		t.Fatalf("found: %v", fail)
	}
	t.Log(fail.Says)
}
