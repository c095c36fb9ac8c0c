package leadership_test

import (
	"slices"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
	"pgregory.net/rapid"
)

// random is a custom monotone policy: for each leader, the minimal durable
// sets, each of which holds the leader.
type random struct{ minimal [][]Set }

func (*random) Spec() string                         { return "random" }
func (p *random) Compile(*Cohort, Set) (Rule, error) { return p, nil }

func (p *random) Durable(l Member, have Set) bool {
	return slices.ContainsFunc(p.minimal[l], have.Covers)
}

// drawRules draws a cohort of up to six nodes and a policy that it satisfies.
func drawRules(t *rapid.T) *Rules {
	n := rapid.IntRange(1, 6).Draw(t, "nodes")
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{
			ID:         ids(6)[i],
			Zone:       rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone"),
			Weight:     rapid.IntRange(0, 4).Draw(t, "weight"),
			Ineligible: i > 0 && rapid.Bool().Draw(t, "ineligible"),
		}
	}
	cat, custom := &Catalog{}, &random{minimal: make([][]Set, n)}
	for l := range custom.minimal {
		for range rapid.IntRange(1, 3).Draw(t, "sets") {
			custom.minimal[l] = append(custom.minimal[l], Set(rapid.Uint64Range(0, 1<<n-1).Draw(t, "set")).With(Member(l)))
		}
	}
	if err := cat.RegisterPolicy("random", func(string) (Policy, error) { return custom, nil }); err != nil {
		t.Fatal(err)
	}
	base := []Policy{custom, Majority(), AtLeast(rapid.IntRange(1, n).Draw(t, "k")), Zones(rapid.IntRange(1, 3).Draw(t, "z")),
		Weighted(rapid.IntRange(0, 8).Draw(t, "w")), All(), Any()}
	p := rapid.SampledFrom(base).Draw(t, "policy")
	if rapid.Bool().Draw(t, "joint") {
		p = Joint(p, rapid.SampledFrom(base).Draw(t, "other"))
	}
	rules, err := Ruleset{Version: 1, Members: nodes, Policy: p.Spec()}.Compile(cat)
	if isA[*PolicyError](err) {
		t.Skip("unsatisfiable")
	}
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// The facts on which the proof of the tests rests, for any monotone policy:
// all leaders together revoke, two recruitments meet, and whoever revokes sees
// every durable set.
func TestRevokingSetsMeetEveryDurableSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		all, leaders := rules.Members(), rules.Leaders()
		var durable, revoking, candidate []Set
		for s := Set(0); s <= all; s++ {
			can := false
			for l := range leaders.All() {
				d := rules.Durable(l, s)
				if d && !s.Has(l) {
					t.Fatalf("durable without its leader")
				}
				for m := range all.All() {
					if d && !rules.Durable(l, s.With(m)) {
						t.Fatalf("not monotone")
					}
				}
				can = can || d
			}
			if got, ok := rules.Could(leaders, s); ok != can || ok && !rules.Durable(got, s) {
				t.Fatalf("Could(%b) = %d, %v; the loop over Durable says %v", s, got, ok, can)
			}
			if can {
				durable = append(durable, s)
			}
		}
		for s := Set(0); s <= all; s++ {
			hits := !slices.ContainsFunc(durable, func(d Set) bool { return d&s == 0 })
			_, can := rules.Could(leaders, all.Minus(s))
			if can == hits {
				t.Fatalf("reached %b: the complement test says %v, hitting every durable set %v", s, !can, hits)
			}
			if !can {
				revoking = append(revoking, s)
				if slices.Contains(durable, s) {
					candidate = append(candidate, s)
				}
			}
		}
		if !slices.Contains(revoking, leaders) {
			t.Fatal("all eligible leaders do not revoke")
		}
		for _, a := range candidate {
			for _, b := range revoking {
				if a&b == 0 {
					t.Fatalf("recruitments %b and %b do not meet", a, b)
				}
			}
		}
	})
}

// A joint is durable when both are, not when either is.
func TestJointNeedsBoth(t *testing.T) {
	t.Parallel()
	c, err := NewCohort(Node{ID: "a", Zone: "x"}, Node{ID: "b", Zone: "x"}, Node{ID: "c", Zone: "y"})
	if err != nil {
		t.Fatal(err)
	}
	joint, err := Joint(AtLeast(2), Zones(2)).Compile(c, c.All())
	if err != nil {
		t.Fatal(err)
	}
	for have, want := range map[Set]bool{SetOf(0): false, SetOf(0, 1): false, SetOf(0, 2): true, SetOf(0, 1, 2): true} {
		if joint.Durable(0, have) != want {
			t.Errorf("durable on %b: %v", have, !want)
		}
	}
}

func TestPolicySpecsRoundTrip(t *testing.T) {
	t.Parallel()
	var gen func(t *rapid.T, depth int) Policy
	gen = func(t *rapid.T, depth int) Policy {
		n := 6
		if depth < 3 {
			n = 7
		}
		k := rapid.IntRange(1, 1<<31-1).Draw(t, "k")
		switch rapid.IntRange(0, n-1).Draw(t, "kind") {
		case 0:
			return Majority()
		case 1:
			return AtLeast(k)
		case 2:
			return Zones(k)
		case 3:
			return Weighted(k)
		case 4:
			return All()
		case 5:
			return Any()
		}
		return Joint(gen(t, depth+1), gen(t, depth+1))
	}
	rapid.Check(t, func(t *rapid.T) {
		p := gen(t, 0)
		got, err := (*Catalog)(nil).ParsePolicy(p.Spec())
		if err != nil || got != p {
			t.Fatalf("%q is read as %v, %v", p.Spec(), got, err)
		}
	})
	for _, bad := range []string{"majority()", "at-least", "at-least(0)", "at-least(01)", "at-least(1", "joint(majority)", "joint(any,any,any)", "nobody", "zones(-1)", "weighted(0)", "Majority"} {
		_, err := (*Catalog)(nil).ParsePolicy(bad)
		if !isA[*PolicyError](err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
