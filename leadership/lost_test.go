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
