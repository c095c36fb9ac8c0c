package leadership_test

import (
	"fmt"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// benchMembers returns n nodes, three to a zone at least, weights 1 to 3.
func benchMembers(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{ID: NodeID(fmt.Sprintf("n%d", i)), Zone: fmt.Sprintf("z%d", i%3), Weight: 1 + i%3}
	}
	return nodes
}

// mapMajority is the named alternative: the majority test as it is usually
// written, a count over a map of who answered, for one symmetric policy only.
func mapMajority(members []NodeID, reached map[NodeID]bool) bool {
	left := 0
	for _, id := range members {
		if !reached[id] {
			left++
		}
	}
	return left < len(members)/2+1
}

// BenchmarkRevocation measures the revocation test that passes, over every
// eligible leader: what a round runs on each answer.
func BenchmarkRevocation(b *testing.B) {
	for _, n := range []int{3, 5, 9, 64} {
		policies := []Policy{Majority(), AtLeast(n/2 + 1), Zones(2), Weighted(0), Joint(Majority(), Zones(2))}
		for _, p := range policies {
			rs, err := NewRuleset(p, benchMembers(n)...)
			if err != nil {
				b.Fatal(err)
			}
			rules, err := rs.Compile(nil)
			if err != nil {
				b.Fatal(err)
			}
			r, err := NewRound(RoundConfig{Term: Term{Num: 2, Proposer: "b"}, Rulesets: []Ruleset{rs}})
			if err != nil {
				b.Fatal(err)
			}
			// Reach as few as suffice, from the last node down, so that the
			// test looks at all of a big complement.
			reached := Set(0)
			for m := n - 1; r.Revoked() != nil; m-- {
				reached = reached.With(Member(m))
				if err := r.Add(Testimony{Node: rs.Members[m].ID, Term: r.Term(), Kind: Promised, Read: &Position{}}); err != nil {
					b.Fatal(err)
				}
			}
			have := rules.Members().Minus(reached)
			b.Run(fmt.Sprintf("could/%s/n=%d", policyName(p), n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := rules.Could(rules.Leaders(), have); ok {
						b.Fatal("not revoked")
					}
				}
			})
			b.Run(fmt.Sprintf("round/%s/n=%d", policyName(p), n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := r.Revoked(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		ids := make([]NodeID, n)
		reached := map[NodeID]bool{}
		for i, node := range benchMembers(n) {
			ids[i] = node.ID
			if i >= n/2 {
				reached[node.ID] = true
			}
		}
		b.Run(fmt.Sprintf("alternative-map-majority/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !mapMajority(ids, reached) {
					b.Fatal("not revoked")
				}
			}
		})
	}
}

func policyName(p Policy) string {
	s := p.Spec()
	for i := range len(s) {
		if s[i] == '(' {
			return s[:i]
		}
	}
	return s
}

// TestRevokedDoesNotAllocateWhenItHolds keeps the figure of the benchmark.
func TestRevokedDoesNotAllocateWhenItHolds(t *testing.T) {
	for _, p := range []Policy{Majority(), AtLeast(3), Zones(2), Weighted(0), Joint(Majority(), Zones(2))} {
		rs, err := NewRuleset(p, benchMembers(9)...)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRound(RoundConfig{Term: Term{Num: 2, Proposer: "b"}, Rulesets: []Ruleset{rs}})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range rs.Members {
			if err := r.Add(Testimony{Node: n.ID, Term: r.Term(), Kind: Promised}); err != nil {
				t.Fatal(err)
			}
		}
		if got := testing.AllocsPerRun(100, func() {
			if err := r.Revoked(); err != nil {
				t.Error(err)
			}
		}); got != 0 {
			t.Errorf("%s: Revoked allocates %v times", p.Spec(), got)
		}
	}
}
