package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// The whole way, from what nodes say to a record that shows who leads. What
// follows the record is the grant, at the node.
func Example() {
	nodes := []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}
	t := leadership.Term{Num: 8, Proposer: "c2"}
	rs, err := leadership.NewRuleset(leadership.Majority(), nodes...)
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := leadership.Record{}.Create("orders", leadership.Full, rs)
	if err != nil {
		fmt.Println(err)
		return
	}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: t, Rulesets: []leadership.Ruleset{rs}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		testimony := leadership.Testimony{Node: id, Term: t, Kind: leadership.Promised, Read: &leadership.Position{}}
		err = round.Add(testimony)
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	revocation, err := round.Revocation()
	if err != nil {
		fmt.Println(err)
		return
	}
	proposal, err := revocation.Propose("n2", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		acceptance := leadership.Acceptance{Node: id, Term: t, Leader: "n2"}
		err = proposal.Add(acceptance)
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	installed, err := proposal.Installed()
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err = record.Activate(installed)
	fmt.Println(record.Active, err)
	// Output: n2@8.c2 <nil>
}
