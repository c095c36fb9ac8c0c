package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// An attempt went without two logs, by a person's word, and was given up when its
// marker was in one. The nodes are found again: one holds what its leader may have
// answered clients from, and by its term alone the other log would be selected.
func TestG2_ALogThatWasGivenUpAsLostAndIsBackIsNotDroppedForTheAttemptThatWentWithoutIt(t *testing.T) {
	t.Parallel()
	v1, alone := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 1, Majority(), "n2")
	given := newRound(t, term(2, "c"), v1)
	waive(t, given, gone(t, alone, "n0", "n1"))
	add(t, given, promise(given, "n2", at(1)))
	marker := propose(t, given, "n2").Marker()
	if !slices.Equal(marker.Lost, []NodeID{"n0", "n1"}) || marker.Equal(Marker{Term: marker.Term, Leader: "n2", Ruleset: marker.Ruleset, Waived: marker.Waived}) {
		t.Errorf("the marker does not say whose logs it went without: %+v", marker)
	}
	for _, c := range []struct {
		name    string
		back    *Position
		decided bool
		barred  bool
		want    bool // it is an error
	}{
		{"it holds more", at(1, 1, 1), false, false, true},
		{"it holds as much", at(1), false, false, false},
		{"it has followed since", at(1, 2, 2), false, false, false},
		{"the attempt went on", at(1, 1, 1), true, false, false},
		{"the record bars it", at(1, 1, 1), false, true, false},
	} {
		known := v1
		cfg := RoundConfig{Term: term(3, "c"), Rulesets: []Ruleset{known}}
		if c.barred {
			cfg.Rulesets = []Ruleset{marker.Ruleset}
			cfg.Barred = func(t Testimony) string {
				if t.Node == "n0" {
					return "it was declared gone"
				}
				return ""
			}
		}
		r, err := NewRound(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Add(shows(promise(r, "n2", at(1, 2)), Sighting{Marker: marker, Decided: c.decided}))
		_ = r.Add(promise(r, "n0", c.back))
		_ = r.Add(promise(r, "n1", at(1)))
		_, err = r.Revocation()
		if !c.want {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		d := wantAs[*DivergedError](t, err)
		if d.Without != marker.Term || !slices.Equal(d.Nodes(), []NodeID{"n2", "n0"}) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// What others hold as well is not lost with a node.
func TestAMarkerNamesNoLogThatDiscoveryCanDoWithout(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	waive(t, r, Waiver{Gone: []NodeID{"n0"}, Loss: true, Reason: "fire", By: "me"})
	add(t, r, promise(r, "n1", at(1)), promise(r, "n2", at(1)))
	if m := propose(t, r, "n2").Marker(); len(m.Lost) != 0 {
		t.Errorf("marker %+v", m)
	}
}

// Not all nodes hear at once that a marker is complete, and some note it of the last
// one only.
func TestAnAttemptThatWentOnIsNotHeldUpByTheLogThatItWentWithout(t *testing.T) {
	t.Parallel()
	v1 := ruleset(t, 1, Majority(), ids(3)...)
	lossy := Marker{Term: term(2, "c"), Leader: "n2", Ruleset: v1, Lost: []NodeID{"n0"}}
	next := Marker{Term: term(3, "c"), Leader: "n2", Ruleset: v1}
	for _, c := range []struct {
		name string
		log  *Position
		a, b []Sighting // of n1 and n2, who have one log
		want bool       // it is an error
	}{
		{"nobody knows it to be complete", at(1, 2), []Sighting{{Marker: lossy}}, []Sighting{{Marker: lossy}}, true},
		{"the other knows it", at(1, 2), []Sighting{{Marker: lossy}}, []Sighting{{Marker: lossy, Decided: true}}, false},
		{"the one knows it", at(1, 2), []Sighting{{Marker: lossy, Decided: true}}, []Sighting{{Marker: lossy}}, false},
		{"a later one is complete", at(1, 2, 3), []Sighting{{Marker: lossy}, {Marker: next, Decided: true}}, []Sighting{{Marker: lossy}, {Marker: next, Decided: true}}, false},
		{"an earlier one is complete", at(1, 2), []Sighting{{Marker: Marker{Term: term(1, "c"), Leader: "n1", Ruleset: v1}, Decided: true}, {Marker: lossy}}, nil, true},
	} {
		r := newRound(t, term(4, "c"), v1)
		add(t, r, shows(promise(r, "n1", c.log), c.a...), shows(promise(r, "n2", c.log), c.b...), promise(r, "n0", at(1, 1, 1)))
		_, err := r.Revocation()
		if (err != nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
