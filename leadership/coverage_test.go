package leadership_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// perLeader is the policy of the published six-node example: N1 needs N2 and
// N3, N4 needs N5 or N6, nobody else leads.
type perLeader struct{}

func (perLeader) Spec() string { return "six" }

func (perLeader) Compile(*Cohort, Set) (Rule, error) { return perLeader{}, nil }

func (perLeader) Durable(l Member, have Set) bool {
	switch l {
	case 0:
		return have.Covers(SetOf(0, 1, 2))
	case 3:
		return have.Has(3) && have&SetOf(4, 5) != 0
	}
	return false
}

func six(t testing.TB) (*Catalog, Ruleset) {
	t.Helper()
	cat := &Catalog{}
	if err := cat.RegisterPolicy("six", func(string) (Policy, error) { return perLeader{}, nil }); err != nil {
		t.Fatal(err)
	}
	rs, err := NewRuleset(perLeader{}, Node{ID: "N1"}, Node{ID: "N2", Ineligible: true}, Node{ID: "N3", Ineligible: true},
		Node{ID: "N4"}, Node{ID: "N5", Ineligible: true}, Node{ID: "N6", Ineligible: true})
	if err != nil {
		t.Fatal(err)
	}
	return cat, rs
}

func TestPerLeaderPolicyHasTheseMinimalRevocations(t *testing.T) {
	t.Parallel()
	cat, rs := six(t)
	var minimal []string
	revoked := func(s Set) bool {
		r, err := NewRound(RoundConfig{Term: term(2, "c"), Rulesets: []Ruleset{rs}, Catalog: cat})
		if err != nil {
			t.Fatal(err)
		}
		for m := range s.All() {
			add(t, r, promise(r, rs.Members[m].ID, at(1)))
		}
		return r.Revoked() == nil
	}
	for s := Set(0); s < 64; s++ {
		least := revoked(s)
		for m := range s.All() {
			least = least && !revoked(s.Without(m)) // every near miss must be refused
		}
		if least {
			var names []string
			for m := range s.All() {
				names = append(names, string(rs.Members[m].ID))
			}
			minimal = append(minimal, strings.Join(names, "+"))
		}
	}
	slices.Sort(minimal)
	want := []string{"N1+N4", "N1+N5+N6", "N2+N4", "N2+N5+N6", "N3+N4", "N3+N5+N6"}
	if !slices.Equal(minimal, want) {
		t.Errorf("minimal revocations %v, want %v", minimal, want)
	}
}

func TestEveryZoneTouchedDoesNotRevoke(t *testing.T) {
	t.Parallel()
	var nodes []Node
	for i := range 6 {
		nodes = append(nodes, Node{ID: NodeID(fmt.Sprintf("n%d", i)), Zone: fmt.Sprintf("z%d", i/2)})
	}
	rs, err := NewRuleset(Zones(2), nodes...)
	if err != nil {
		t.Fatal(err)
	}
	r := newRound(t, term(2, "c"), rs)
	add(t, r, promise(r, "n0", at(1)), promise(r, "n2", at(1)), promise(r, "n4", at(1)))
	wantAs[*NotRevokedError](t, r.Revoked())
	add(t, r, promise(r, "n1", at(1)))
	wantAs[*NotRevokedError](t, r.Revoked())
	add(t, r, promise(r, "n3", at(1))) // only zone z2 is left
	if err := r.Revoked(); err != nil {
		t.Error(err)
	}
}
