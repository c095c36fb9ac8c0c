package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// A complete change from 3 of 4 to 2 of 4 binds whoever sees it.
func TestDecidedRulesetIsNotIgnored(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, AtLeast(3), ids(4)...), ruleset(t, 2, AtLeast(2), ids(4)...)
	for _, decided := range []bool{false, true} {
		r := newRound(t, term(2, "c"), v1)
		seen := promise(r, "n1", at(1, 1))
		seen.Markers = []Sighting{{Marker: Marker{Ruleset: v2}, Decided: decided}}
		add(t, r, seen)
		seen.Node = "n2"
		add(t, r, seen)
		e := wantAs[*NotRevokedError](t, r.Revoked())
		if e.Counter.Ruleset != 2 || !slices.Equal(e.Counter.Could, []NodeID{"n0", "n3"}) {
			t.Errorf("counter-example %v", e.Counter)
		}
		want := 2
		if decided {
			want = 1 // the older one is over
		}
		if got := r.Rulesets(); len(got) != want {
			t.Errorf("decided %v: rulesets in force %v", decided, got)
		}
	}
}

// An undecided ruleset of an abandoned term does not replace the one that
// another leader still runs under.
func TestUndecidedRulesetDoesNotReplaceTheOld(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, AtLeast(2), ids(3)...), ruleset(t, 2, AtLeast(3), ids(4)...)
	r := newRound(t, term(4, "c"), v1)
	n0 := promise(r, "n0", at(1, 2, 2))
	n0.Markers = []Sighting{{Marker: Marker{Ruleset: v2, Over: []Ruleset{v1}}}}
	add(t, r, n0, promise(r, "n3", at(1)))
	e := wantAs[*NotRevokedError](t, r.Revoked())
	if e.Counter.Ruleset != 1 || !slices.Equal(e.Counter.Could, []NodeID{"n1", "n2"}) {
		t.Errorf("counter-example %v", e.Counter)
	}
}

// A draft beside a complete ruleset of its version is dead, whichever of the
// two was seen first.
func TestDraftBesideADecidedRulesetIsDeadInEitherOrder(t *testing.T) {
	t.Parallel()
	v1, draft, done := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, Any(), ids(3)...), ruleset(t, 2, All(), ids(3)...)
	for _, first := range []bool{true, false} {
		r := newRound(t, term(4, "c"), v1)
		a, b := promise(r, "n0", at(1)), promise(r, "n1", at(1))
		a.Markers = []Sighting{{Marker: Marker{Ruleset: draft}, Decided: false}}
		b.Markers = []Sighting{{Marker: Marker{Ruleset: done}, Decided: true}}
		if first {
			a, b = b, a
		}
		add(t, r, a, b)
		if got := r.Rulesets(); len(got) != 1 || !got[0].Equal(done) {
			t.Errorf("in force: %v", got)
		}
	}
}

// A cluster of one grows to three. Those who join promise first, and the marker
// that makes them members is heard of later, from the leader's own log: what they
// said counts from then on as if they had said it only then.
func TestWhatAJoinerPromisedCountsOnceAMarkerShowsThatItIsAMember(t *testing.T) {
	t.Parallel()
	one := ruleset(t, 1, Majority(), "n0")
	three := ruleset(t, 2, Majority(), ids(3)...)
	r := newRound(t, term(2, "c"), one)
	add(t, r, promise(r, "n0", at(1)))
	wantAs[*UnknownNodeError](t, r.Add(promise(r, "n1", nil)))
	wantAs[*UnknownNodeError](t, r.Add(promise(r, "n2", at(1))))
	shown := Testimony{Node: "n0", Term: r.Term(), Kind: Statement, Read: at(1), Markers: []Sighting{{Marker: Marker{Term: r.Term(), Leader: "n0", Ruleset: three, Over: []Ruleset{one}}}}}
	add(t, r, shown)
	if err := r.Revoked(); err != nil {
		t.Errorf("all three promised: %v", err)
	}
	// n1 is read after its block.
	add(t, r, Testimony{Node: "n1", Term: r.Term(), Kind: Statement, Read: at(1)})
	if got := len(r.Reads()); got != 3 {
		t.Errorf("%d of three positions are evidence: %v", got, r.Reads())
	}
	// Who was only read before it promised is not blocked.
	r = newRound(t, term(2, "c"), one)
	add(t, r, promise(r, "n0", at(1)))
	wantAs[*UnknownNodeError](t, r.Add(Testimony{Node: "n1", Term: r.Term(), Kind: Statement, Read: at(1)}))
	add(t, r, shown)
	wantAs[*NotRevokedError](t, r.Revoked())
}
