package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Why does nobody answer? n2 was established, and its followers were not told.
func ExampleLeaderConditions() {
	rs, _ := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	rules, err := rs.Compile(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	term := leadership.Term{Num: 8, Proposer: "c1"}
	view := leadership.View{ // reparent.Guard.View asks for it
		Rules:  rules,
		Routed: leadership.Leadership{Leader: "n2", Term: term},
		Statuses: []leadership.Status{
			{Node: "n1", Reachable: true, Promised: term},
			{Node: "n2", Reachable: true, Promised: term, Leads: term},
			{Node: "n3"},
		},
	}
	conditions := leadership.LeaderConditions() // Granted, Supported and Routed
	fmt.Println("leaders:", conditions.Holders(view))
	for _, f := range conditions.Explain(view, "n2") {
		fmt.Println(f.Condition, f.Holds, "-", f.Because)
		if !f.Holds {
			fmt.Println("   ", f.Mend)
		}
	}
	// Output:
	// leaders: []
	// granted true - it holds the grant of 8.c1
	// supported false - only {n2} accept from it, which is not durable under majority
	//     let some of {n1, n3} follow it
	// routed true - clients are routed to it under 8.c1
}

// Conditions of one's own stand beside the built-in ones.
func ExampleConditions() {
	healthy := leadership.Condition{Name: "healthy", Check: func(v leadership.View, id leadership.NodeID) leadership.Finding {
		for _, s := range v.Statuses {
			if s.Node == id && s.Degraded != "" {
				return leadership.Finding{Because: s.Degraded, Mend: "hand over to another node"}
			}
		}
		return leadership.Finding{Holds: true, Because: "nothing is wrong with it"}
	}}
	all := leadership.Conditions{leadership.Granted(), leadership.Supported(), leadership.Routed(), healthy}
	view := leadership.View{Statuses: []leadership.Status{{Node: "n1", Degraded: "its volume is nearly full"}}}
	for _, f := range all.Explain(view, "n1")[3:] {
		fmt.Println(f.Condition, f.Holds, "-", f.Because, "-", f.Mend)
	}
	// Output: healthy false - its volume is nearly full - hand over to another node
}
