package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// A cohort gives each node a bit. Nodes that are added later get new ones, so
// that an old ruleset and a new one can be compared.
func ExampleNewCohort() {
	three, err := leadership.NewCohort(leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	blocked, _ := three.Set("n2", "n3")
	four, err := three.With(leadership.Node{ID: "n4"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("not blocked:", four.Names(four.All().Minus(blocked)))
	_, err = three.Set("n2", "n4")
	fmt.Println(err)
	// Output:
	// not blocked: [n1 n4]
	// leadership: node "n4" is not in the cohort
}

// The same predicate says at the leader that a request is complete, and at a
// coordinator that none can be completed any more.
func ExampleRules_Durable() {
	rs, err := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := rs.Compile(nil) // nil: the built-in policies
	if err != nil {
		fmt.Println(err)
		return
	}
	n1, _ := rules.Cohort().Member("n1")
	n2, _ := rules.Cohort().Member("n2")
	fmt.Println("n1 alone:", rules.Durable(n1, leadership.SetOf(n1)))
	fmt.Println("n1 with n2:", rules.Durable(n1, leadership.SetOf(n1, n2)))

	reached, _ := rules.Cohort().Set("n2", "n3")
	_, could := rules.Could(rules.Leaders(), rules.Members().Minus(reached))
	fmt.Println("anybody without n2 and n3:", could)
	// Output:
	// n1 alone: false
	// n1 with n2: true
	// anybody without n2 and n3: false
}
