package reparenttest

import (
	"slices"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
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

func oneCallTraits() map[string]Traits {
	return map[string]Traits{
		"log": {}, "leased": {Leased: true}, "local reads": {LocalReads: true}, "mariadb": mariadbTraits(), "postgres": postgresTraits(),
	}
}

// Rivals whose leaders and successors do their part in one call each, under all
// faults at once. That this shows something is seen from the states that are
// reached.
func TestG1_G2_G3_ChangesInOneCallEachUnderFaults(t *testing.T) {
	for name, traits := range oneCallTraits() {
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

// What a leader that retires and a successor that is relayed to must not leave out
// is found, although every such change is one of theirs.
func TestARuleTakenOutOfAChangeInOneCallEachIsFound(t *testing.T) {
	for _, bug := range []struct {
		name string
		b    bugs
	}{
		{"a leader retires before its promise is on disk", bugs{earlyRetire: true}},
		{"a successor takes over without a proof", bugs{unproven: true}},
		{"a successor grants itself before its marker is durable", bugs{earlyGrant: true}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			h := retiring(Traits{bugs: bug.b})
			for seed := range uint64(most) {
				got := h.once(t, seed+1, stepsim.Seed(seed+1, stepsim.Swarm(seed+1)), Everything(), &tally{}, false)
				if got.err != nil {
					t.Logf("found by seed %d: %v", seed+1, got.err)
					return
				}
			}
			t.Errorf("not found in %d runs", most)
		})
	}
}

func TestTheSearchSeesEveryEndOfAChangeInOneCallEach(t *testing.T) {
	t.Parallel()
	planned := []reparent.Change{reparent.Planned("n2")}
	for _, s := range []Scope{{Changes: planned, Delays: 1}, {Nodes: 2, Changes: planned, Delays: 2}, {Nodes: 2, Changes: planned, Drop: 1}} {
		t.Run(strings.ReplaceAll(s.String(), " ", "_"), func(t *testing.T) {
			t.Parallel()
			h := Store(Traits{OneCall: true})
			all, want := ends(t, h, s, stepsim.Scope{Naive: true, Runs: 20000})
			some, got := ends(t, h, s, stepsim.Scope{})
			t.Logf("%d schedules, of which %d were run, come to %d ends", all.Runs, some.Runs, len(want))
			if !all.Complete || !some.Complete || all.Err != nil || some.Err != nil {
				t.Fatalf("%+v, %+v", all, some)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the search saw %d ends, all schedules come to %d", len(got), len(want))
			}
		})
	}
}
