package leadership_test

import (
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// The revocation follows the same rule as the durability, so that a policy which
// counts wrongly is consistent with itself: only a table says what it must be.
func TestEachPolicyCountsAsItSays(t *testing.T) {
	t.Parallel()
	c, err := NewCohort(
		Node{ID: "a", Zone: "x", Weight: 3}, Node{ID: "b", Zone: "x"},
		Node{ID: "c", Zone: "y"}, Node{ID: "d", Zone: "z"})
	if err != nil {
		t.Fatal(err)
	}
	const a, b, cc, d = Member(0), Member(1), Member(2), Member(3)
	for _, tc := range []struct {
		p      Policy
		leader Member
		have   Set
		want   bool
	}{
		{Majority(), a, SetOf(a, b), false},
		{Majority(), a, SetOf(a, b, cc), true},
		{Majority(), a, SetOf(b, cc, d), false},
		{AtLeast(2), a, SetOf(a), false},
		{AtLeast(2), a, SetOf(a, d), true},
		{AtLeast(2), a, SetOf(b, cc, d), false},
		{All(), a, SetOf(a, b, cc), false},
		{All(), a, SetOf(a, b, cc, d), true},
		{Any(), a, SetOf(a), true},
		{Any(), a, SetOf(b), false},
		{Zones(2), a, SetOf(a, b), false},
		{Zones(2), a, SetOf(a, cc), true},
		{Zones(2), a, SetOf(cc, d), false},
		{Zones(3), a, SetOf(a, b, cc), false},
		// The weights are 3, 1, 1, 1: half is 3, more than half is 4.
		{Weighted(0), a, SetOf(a), false},
		{Weighted(0), a, SetOf(a, b), true},
		{Weighted(0), b, SetOf(b, cc, d), false},
		{Weighted(0), b, SetOf(a, cc), false},
		{Weighted(3), a, SetOf(a), true},
		{Joint(Majority(), Zones(3)), a, SetOf(a, b, cc), false},
		{Joint(Majority(), Zones(3)), a, SetOf(a, cc, d), true},
	} {
		rule, err := tc.p.Compile(c, c.All())
		if err != nil {
			t.Fatal(err)
		}
		if got := rule.Durable(tc.leader, tc.have); got != tc.want {
			t.Errorf("%s: durable for %v on %v: %v", tc.p.Spec(), c.Names(SetOf(tc.leader)), c.Names(tc.have), got)
		}
	}
}

// That nobody can complete any more says nothing of what was completed before.
func TestRevocationIsMintedOnlyAfterDiscovery(t *testing.T) {
	t.Parallel()
	r := newRound(t, term(2, "c"), ruleset(t, 1, Majority(), ids(3)...))
	add(t, r, promise(r, "n1", nil), promise(r, "n2", nil))
	if err := r.Revoked(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Revocation()
	wantAs[*NotDiscoveredError](t, err)
	add(t, r, promise(r, "n1", at(1)), promise(r, "n2", at(1)))
	if _, err := r.Revocation(); err != nil {
		t.Error(err)
	}
}
