package leadership_test

import (
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// Two last resorts are given up, one after the other, and the log of who would have
// gone on alone shows no more than the two. Who was declared gone leads under what
// they would have replaced, and a round that begins with an older ruleset hears of
// that one from those markers alone.
func TestG1_WhatAMarkerThatMayBeGivenUpWaivedStaysInForceForAnOldStart(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(5)...), ruleset(t, 2, Majority(), "n2", "n3", "n4")
	alone := ruleset(t, 1, Majority(), "n2")
	var shown []Sighting
	for i := uint64(3); i <= 4; i++ {
		w := newRound(t, term(i, "w"), v2)
		waive(t, w, gone(t, alone, "n3", "n4"))
		add(t, w, shows(promise(w, "n2", at(1, 2)), shown...))
		shown = append(shown, Sighting{Marker: propose(t, w, "n2").Marker()})
	}
	r := newRound(t, term(6, "c"), v1)
	add(t, r, shows(promise(r, "n2", at(1, 2, 3, 4)), shown...))
	for _, id := range ids(2) {
		add(t, r, promise(r, id, at(1)))
	}
	if e := wantAs[*NotRevokedError](t, r.Ready("n2")); e.Counter.Ruleset != 2 {
		t.Errorf("counter-example %v", e.Counter)
	}
	// With one of those who lead under it everybody is reached.
	add(t, r, promise(r, "n3", at(1, 2)))
	if m := propose(t, r, "n2").Marker(); len(m.Waived) != 0 || len(m.Over) != 2 {
		t.Errorf("nobody waives anything, and the marker is %+v", m)
	}
}

// The nodes that a waived ruleset needs are gone, so once a later one has been in
// force it stands in nobody's way, whichever old log shows the marker.
func TestG5_WhatWasWaivedBelowTheRecordsRulesetStaysOut(t *testing.T) {
	t.Parallel()
	v1, v2, v3 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, Majority(), "n2"), ruleset(t, 3, Majority(), "n2", "n3", "n4")
	old := Sighting{Marker: Marker{Term: term(2, "c"), Leader: "n2", Ruleset: v2, Waived: []Ruleset{v1}}}
	r := newRound(t, term(5, "c"), v3)
	add(t, r, shows(promise(r, "n2", at(1, 2)), old), promise(r, "n3", at(1, 2, 3)))
	if err := r.Ready("n3"); err == nil {
		t.Error("n3 is no member of what the old log shows, which may be in force yet")
	}
	for _, rs := range r.Rulesets() {
		if rs.Equal(v1) {
			t.Errorf("in force are %v", r.Rulesets())
		}
	}
	if err := r.Ready("n2"); err != nil {
		t.Error(err)
	}
}
