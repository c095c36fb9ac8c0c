package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// A change of the ruleset was left unfinished, and only logs tell of it. Who is gone
// of its members is said before any log was read, and counts from when one shows
// that they are members.
func TestG5_WhoIsGoneFromAnUnfinishedRulesetCanBeDeclaredBeforeALogShowsIt(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, AtLeast(4), ids(5)...)
	draft := Sighting{Marker: Marker{Term: term(2, "c"), Leader: "n0", Ruleset: v2, Over: []Ruleset{v1}}}
	for _, marked := range []int{0, 2} { // the first log that is heard, or the last
		r := newRound(t, term(3, "c"), v1)
		waive(t, r, gone(t, v1, "n3", "n4"))
		if got := r.Blocked(); len(got) != 0 {
			t.Errorf("blocked are %v, who are no members", got)
		}
		for i, id := range ids(3) {
			p := promise(r, id, at(1))
			if i == marked {
				p = shows(promise(r, id, at(1, 2)), draft)
			}
			add(t, r, p)
		}
		if got := r.Blocked(); !slices.Equal(got, ids(5)) {
			t.Errorf("blocked are %v", got)
		}
		m := propose(t, r, ids(3)[marked]).Marker()
		if m.Ruleset.Version != 3 || len(m.Waived) != 1 || !m.Waived[0].Equal(v2) || len(m.Over) != 1 {
			t.Errorf("marker %+v", m)
		}
	}
	// Without Loss their logs are asked for, as those of any other who is gone.
	r := newRound(t, term(3, "c"), v1)
	waive(t, r, Waiver{Gone: ids(5)[3:], Reason: "fire", By: "me"})
	for _, id := range ids(3) {
		add(t, r, shows(promise(r, id, at(1, 2)), draft))
	}
	if err := r.Revoked(); err != nil {
		t.Error(err)
	}
	wantAs[*NotReadyError](t, r.Ready("n0"))
}

// What answers is not gone, member or not, before the waiver or after it.
func TestWhoAnswersIsNotGoneAlsoWhileItIsNoMember(t *testing.T) {
	t.Parallel()
	v1, v2 := ruleset(t, 1, Majority(), ids(3)...), ruleset(t, 2, AtLeast(4), ids(5)...)
	draft := Sighting{Marker: Marker{Term: term(2, "c"), Leader: "n0", Ruleset: v2, Over: []Ruleset{v1}}}
	for _, first := range []bool{true, false} {
		r := newRound(t, term(3, "c"), v1)
		if !first {
			waive(t, r, gone(t, v1, "n3", "n4"))
		}
		wantAs[*UnknownNodeError](t, r.Add(promise(r, "n4", at(1))))
		if first {
			wantAs[*WaiverError](t, r.Waive(gone(t, v1, "n3", "n4")))
			continue
		}
		for _, id := range ids(3) {
			add(t, r, shows(promise(r, id, at(1, 2)), draft))
		}
		_, err := r.Revocation()
		wantAs[*WaiverError](t, err)
	}
	// Who was cut off by somebody else has not answered.
	r := newRound(t, term(3, "c"), v1)
	wantAs[*UnknownNodeError](t, r.Add(Testimony{Node: "n4", Term: r.Term(), Kind: Isolated}))
	waive(t, r, gone(t, v1, "n3", "n4"))
}
