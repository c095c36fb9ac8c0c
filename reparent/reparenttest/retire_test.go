package reparenttest

import (
	"strings"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// retiring is a store whose planned changes are relayed, but for some that the
// leader leads, and whose other changes are emergencies.
func retiring(traits Traits) Harness {
	traits.OneCall = true
	h := Store(traits)
	h.reshape = func(seed uint64, s *shape) {
		s.mode, s.routers = leadership.Full, 0
		for k, plan := range s.plans {
			for i := range plan {
				switch {
				case plan[i].change.Kind == leadership.KindRuleset || plan[i].change.Kind == leadership.KindResume:
				case (int(seed)+i+k)%3 == 0:
					plan[i].change, plan[i].by = reparent.Emergency(), ownMechanism
				case (int(seed)+i+k)%7 == 1:
					plan[i].by = byHandOver
				default:
					plan[i].by = byRelay
				}
			}
		}
	}
	return h
}

// Rivals whose leaders and successors do their part in one call each, under all
// faults at once. That this shows something is seen from the states that are
// reached.
func TestG1_G2_G3_ChangesInOneCallEachUnderFaults(t *testing.T) {
	for name, traits := range map[string]Traits{
		"log": {}, "leased": {Leased: true}, "local reads": {LocalReads: true}, "mariadb": mariadbTraits(), "postgres": postgresTraits(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := retiring(traits)
			fail, tl := h.find(t, Everything(), Options{First: 7_000_001})
			if fail != nil {
				t.Fatal(fail)
			}
			t.Log(tl)
			want := []string{"a leader that retired", "coordinator killed", "outcome superseded", "outcome done", "undo", "unknown", "acknowledged"}
			if h.HandsOver {
				want = append(want, "a spare promise", "a successor that was relayed to", "a leader that took over by itself")
			}
			for _, state := range want {
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

func TestEveryScheduleOfAChangeInOneCallEach(t *testing.T) {
	t.Parallel()
	planned := []reparent.Change{reparent.Planned("n2")} // which waits for what is in flight
	carried := []reparent.Change{reparent.Planned("n3")} // which does not
	rivals := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}
	two := leadership.AtLeast(2)
	some := []Scope{{Changes: planned, Delays: 1}, {Changes: planned, Drop: 1}, {Changes: carried, Delays: 1}, {Changes: planned, Nodes: 4, Policy: two, Delays: 1}}
	if !testing.Short() {
		some = append(some,
			Scope{Changes: planned, Crash: 1},
			Scope{Changes: planned, Delays: 2},
			Scope{Changes: planned, Writes: 1, Delays: 1},
			Scope{Changes: planned, Writes: 1, Drop: 1},
			Scope{Changes: carried, Crash: 1},
			Scope{Changes: carried, Writes: 1, Delays: 1},
			Scope{Changes: carried, Writes: 1, Drop: 1},
			Scope{Changes: rivals, Delays: 1},
			Scope{Changes: planned, Nodes: 4, Policy: two, Crash: 1},
			Scope{Changes: planned, Nodes: 4, Policy: two, Drop: 1},
		)
	}
	for _, s := range some {
		t.Run(strings.ReplaceAll(s.String(), " ", "_"), func(t *testing.T) {
			got := Explore(t, Store(Traits{OneCall: true}), s)
			t.Logf("%+v", got)
			if !got.Complete {
				t.Errorf("not all of it: %+v", got)
			}
			if got.Healed == 0 {
				t.Error("no schedule was healed")
			}
		})
	}
}
