package establish_test

import (
	"fmt"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// The leader n1 is to be replaced. n3 holds the selected log, is healthy and in
// its zone; each of the others is passed over for a reason that can be read.
func ExampleChoose() {
	term := leadership.Term{Num: 3, Proposer: "a"}
	pos := func(index uint64) leadership.Position {
		return leadership.Position{Term: term, Point: leadership.LogPoint{Index: index}}
	}
	choice, err := establish.Choose(establish.Contest{
		Selection: pos(120),
		Avoid:     "n1",
		Zone:      "west",
		Standings: []establish.Standing{
			{Node: leadership.Node{ID: "n1", Zone: "west"}, Position: pos(120), CanLead: true},
			{Node: leadership.Node{ID: "n2", Zone: "east"}, Position: pos(120), CanLead: true},
			{Node: leadership.Node{ID: "n3", Zone: "west"}, Position: pos(120), CanLead: true},
			{Node: leadership.Node{ID: "n4", Zone: "west"}, Position: pos(97), CanLead: true},
			{Node: leadership.Node{ID: "n5", Zone: "west"}, Position: pos(120), CanLead: true, Degraded: "its volume is nearly full"},
			{Node: leadership.Node{ID: "n6", Zone: "west", Ineligible: true}, Position: pos(120), CanLead: true},
		},
		Ready: func(leadership.NodeID) error { return nil }, // Revocation.Ready, in a change
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("establish", choice.To)
	for _, p := range choice.Passed {
		fmt.Printf("not %s: %s\n", p.Node, p.Reason)
	}
	// Output:
	// establish n3
	// not n1: it is the one to be replaced
	// not n2: it is in zone east, not west
	// not n4: it would have to catch up from 3.a@log:97
	// not n5: its health: its volume is nearly full
	// not n6: it is not eligible
}
