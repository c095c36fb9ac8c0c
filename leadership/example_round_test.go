package leadership_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// What is still needed, as the smallest sets any one of which would do.
func ExampleRound_Missing() {
	rules, _ := leadership.NewRuleset(leadership.AtLeast(2),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"}, leadership.Node{ID: "n4"})
	term := leadership.Term{Num: 8, Proposer: "c1"}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		fmt.Println("missing:", round.Missing())
		if err := round.Add(leadership.Testimony{Node: id, Term: term, Kind: leadership.Promised, Read: &leadership.Position{}}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("missing:", round.Missing(), "revoked:", round.Revoked())
	// Output:
	// missing: [[n1 n2 n3] [n1 n2 n4] [n1 n3 n4] [n2 n3 n4]]
	// missing: [[n2 n3] [n2 n4] [n3 n4]]
	// missing: [[n3] [n4]]
	// missing: [] revoked: <nil>
}

// Two of three are burnt. Only a person may say so; what they alone had is given
// up, and the waiver says who gave it up and why. That makes the proof and no
// leader: nothing becomes durable on one of three. For that the waiver must name
// who goes on.
func ExampleRound_Waive() {
	rules, _ := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	term := leadership.Term{Num: 8, Proposer: "c1"}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = round.Add(leadership.Testimony{Node: "n3", Term: term, Kind: leadership.Promised, Read: &leadership.Position{}})
	fmt.Println(round.Revoked())

	gone := leadership.Waiver{Gone: []leadership.NodeID{"n1", "n2"}, Loss: true}
	fmt.Println(round.Waive(gone))
	gone.Reason, gone.By = "rack 4 burnt", "ada"
	fmt.Println(round.Waive(gone))
	fmt.Println("revoked:", round.Revoked(), "discovered:", round.Discovered())
	fmt.Println(round.Ready("n3"))

	alone, _ := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n3"})
	gone.Ruleset = &alone
	fmt.Println(round.Waive(gone))
	fmt.Println(round.Ready("n3"))
	// Output:
	// leadership: not revoked below term 8.c1: n1 could still complete with {n1, n2} (ruleset 1): reach n1 or n2
	// leadership: waiver refused: it gives no reason
	// <nil>
	// revoked: <nil> discovered: <nil>
	// leadership: n3 is not ready to lead: its marker cannot become durable on the nodes that promised, {n3}: reach one of {n1, n2}
	// <nil>
	// <nil>
}

// A proposal is what a term asks for. To ask it for something else is refused:
// that would be a second establishment of one term.
func ExampleRevocation_Propose() {
	rules, _ := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	term := leadership.Term{Num: 8, Proposer: "c1"}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := func(index uint64) *leadership.Position {
		return &leadership.Position{Term: leadership.Term{Num: 7, Proposer: "c1"}, Point: leadership.LogPoint{Index: index}}
	}
	_ = round.Add(leadership.Testimony{Node: "n2", Term: term, Kind: leadership.Promised, Read: at(41)})
	_ = round.Add(leadership.Testimony{Node: "n3", Term: term, Kind: leadership.Promised, Read: at(42)})
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
	fmt.Println(proposal.To(), "needs", proposal.Selection(), "from", proposal.Donors())
	again, err := revocation.Propose("n2", nil) // a retry
	fmt.Println("the same:", again == proposal, err)
	_, err = revocation.Propose("n3", nil)
	fmt.Println(err)
	// Output:
	// n2 needs 7.c1@log:42 from [n3]
	// the same: true <nil>
	// leadership: term 8.c1 is bound to n2 with ruleset 1: another candidate or ruleset takes a new term
}
