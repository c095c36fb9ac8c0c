package leadership_test

import (
	"fmt"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// ask says which nodes a round reached, and what that proves.
func ask(rules leadership.Ruleset, reached ...leadership.NodeID) {
	term := leadership.Term{Num: 8, Proposer: "c2"}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range reached {
		read := &leadership.Position{Term: leadership.Term{Num: 7, Proposer: "c1"}, Point: leadership.LogPoint{Index: 41}}
		if err := round.Add(leadership.Testimony{Node: id, Term: term, Kind: leadership.Promised, Read: read}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(reached, "revoked:", round.Revoked() == nil, "all found:", round.Discovered() == nil, "missing:", round.Missing())
}

func ExampleMajority() {
	rules, _ := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	ask(rules, "n2")
	ask(rules, "n2", "n3")
	// Output:
	// [n2] revoked: false all found: false missing: [[n1] [n3]]
	// [n2 n3] revoked: true all found: true missing: []
}

func ExampleAtLeast() {
	rules, _ := leadership.NewRuleset(leadership.AtLeast(2),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"}, leadership.Node{ID: "n4"})
	ask(rules, "n3", "n4")
	ask(rules, "n2", "n3", "n4")
	// Output:
	// [n3 n4] revoked: false all found: false missing: [[n1] [n2]]
	// [n2 n3 n4] revoked: true all found: true missing: []
}

func ExampleAny() {
	rules, _ := leadership.NewRuleset(leadership.Any(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3", Ineligible: true})
	ask(rules, "n2", "n3")
	ask(rules, "n1", "n2")
	// Output:
	// [n2 n3] revoked: false all found: false missing: [[n1]]
	// [n1 n2] revoked: true all found: true missing: []
}

func ExampleAll() {
	rules, _ := leadership.NewRuleset(leadership.All(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	ask(rules, "n3")
	// Output:
	// [n3] revoked: true all found: true missing: [[n1 n2]]
}

func ExampleZones() {
	rules, _ := leadership.NewRuleset(leadership.Zones(2),
		leadership.Node{ID: "a1", Zone: "a"}, leadership.Node{ID: "a2", Zone: "a"},
		leadership.Node{ID: "b1", Zone: "b"}, leadership.Node{ID: "b2", Zone: "b"},
		leadership.Node{ID: "c1", Zone: "c"}, leadership.Node{ID: "c2", Zone: "c"})
	ask(rules, "a1", "b1", "c1")       // one of each zone: a2 could complete with b2
	ask(rules, "b1", "b2", "c1")       // a1 could complete with c2
	ask(rules, "b1", "b2", "c1", "c2") // what is left lies in one zone
	// Output:
	// [a1 b1 c1] revoked: false all found: false missing: [[a2 b2] [a2 c2] [b2 c2]]
	// [b1 b2 c1] revoked: false all found: false missing: [[c2]]
	// [b1 b2 c1 c2] revoked: true all found: true missing: []
}

func ExampleWeighted() {
	rules, _ := leadership.NewRuleset(leadership.Weighted(0), // more than half of 7
		leadership.Node{ID: "big", Weight: 3}, leadership.Node{ID: "n1", Weight: 1},
		leadership.Node{ID: "n2", Weight: 1}, leadership.Node{ID: "n3", Weight: 1}, leadership.Node{ID: "n4", Weight: 1})
	ask(rules, "big")
	ask(rules, "big", "n4")
	ask(rules, "n1", "n2", "n3", "n4")
	// Output:
	// [big] revoked: false all found: false missing: [[n1] [n2] [n3] [n4]]
	// [big n4] revoked: true all found: true missing: []
	// [n1 n2 n3 n4] revoked: true all found: true missing: []
}

func ExampleJoint() {
	old := []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}
	rules, _ := leadership.NewRuleset(leadership.Joint(leadership.Majority(), leadership.AtLeast(3)),
		append(old, leadership.Node{ID: "n4"})...)
	ask(rules, "n4")
	ask(rules, "n3", "n4")
	// Output:
	// [n4] revoked: false all found: false missing: [[n1 n2] [n1 n3] [n2 n3]]
	// [n3 n4] revoked: true all found: true missing: [[n1] [n2]]
}

// batteries is durable where a machine with a battery has it, besides the leader.
type batteries []leadership.NodeID

// Spec says all that Compile depends on: it lives in logs and records.
func (p batteries) Spec() string {
	names := make([]string, len(p))
	for i, id := range p {
		names[i] = string(id)
	}
	return "batteries(" + strings.Join(names, " ") + ")"
}

func (p batteries) Compile(c *leadership.Cohort, _ leadership.Set) (leadership.Rule, error) {
	with, err := c.Set(p...)
	if err != nil {
		return nil, &leadership.PolicyError{Spec: p.Spec(), Reason: err.Error()}
	}
	return batteryRule(with), nil
}

type batteryRule leadership.Set

// Durable never says no once it has said yes to fewer nodes.
func (r batteryRule) Durable(leader leadership.Member, have leadership.Set) bool {
	return have.Has(leader) && have&leadership.Set(r) != 0
}

func parseBatteries(args string) (leadership.Policy, error) {
	var p batteries
	for _, name := range strings.Fields(args) {
		p = append(p, leadership.NodeID(name))
	}
	return p, nil
}

func ExamplePolicy() {
	catalog := &leadership.Catalog{}
	_ = catalog.RegisterPolicy("batteries", parseBatteries)
	rules := leadership.Ruleset{Version: 1, Policy: "batteries(n3)",
		Members: []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}}
	round, _ := leadership.NewRound(leadership.RoundConfig{
		Term: leadership.Term{Num: 8, Proposer: "c2"}, Rulesets: []leadership.Ruleset{rules}, Catalog: catalog})
	fmt.Println(round.Revoked())
	fmt.Println(round.Missing())
	// Output:
	// leadership: not revoked below term 8.c2: n1 could still complete with {n1, n3} (ruleset 1): reach n1 or n3
	// [[n3]]
}
