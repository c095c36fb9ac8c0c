package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// The last resort: two of three are burnt, and what is left is not two of three. The
// person names who goes on. The marker says which ruleset it took the place of.
func ExampleMarker_Equal() {
	rules, _ := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	alone, _ := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n3"})
	alone.Version = 0 // the next one
	term := leadership.Term{Num: 8, Proposer: "c1"}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(round.Waive(leadership.Waiver{
		Gone: []leadership.NodeID{"n1", "n2"}, Loss: true, Reason: "rack 4 burnt", By: "ada", Ruleset: &alone,
	}))
	_ = round.Add(leadership.Testimony{Node: "n3", Term: term, Kind: leadership.Promised, Read: &leadership.Position{}})
	revocation, err := round.Revocation()
	if err != nil {
		fmt.Println(err)
		return
	}
	proposal, err := revocation.Propose("n3", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	marker := proposal.Marker()
	fmt.Println("ruleset", marker.Ruleset.Version, marker.Ruleset.IDs(), "in place of", marker.Waived[0].Version, marker.Waived[0].IDs())
	unwaived := marker
	unwaived.Waived = nil
	fmt.Println(marker.Equal(proposal.Marker()), marker.Equal(unwaived))
	// Output:
	// <nil>
	// ruleset 2 [n3] in place of 1 [n1 n2 n3]
	// true false
}
