package tenure_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Four members, two copies of every request. Two promises look like enough and
// are not; the third is the proof, and each step takes only what the step
// before it made. Errors that cannot be here are left out.
func Example() {
	rules, _ := leadership.NewRuleset(leadership.AtLeast(2),
		leadership.Node{ID: "n0"}, leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	old, term := leadership.Term{Num: 7, Proposer: "c1"}, leadership.Term{Num: 8, Proposer: "c2"}
	round, _ := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	promise := func(id leadership.NodeID, index uint64) { // the node is blocked below term 8, and was read
		read := &leadership.Position{Term: old, Point: leadership.LogPoint{Index: index}}
		_ = round.Add(leadership.Testimony{Node: id, Term: term, Kind: leadership.Promised, Read: read})
	}
	promise("n1", 41)
	promise("n2", 40)
	fmt.Println(round.Revoked())
	promise("n3", 42)
	proof, err := round.Revocation()
	fmt.Println("revoked:", err == nil, "keep:", proof.Selection())
	proposal, _ := proof.Propose("n1", nil) // n1 gets the log of n3, then the marker of term 8
	_ = proposal.Add(leadership.Acceptance{Node: "n1", Term: term, Leader: "n1"})
	_, err = proposal.Installed()
	fmt.Println(err)
	_ = proposal.Add(leadership.Acceptance{Node: "n3", Term: term, Leader: "n1"})
	installed, _ := proposal.Installed() // what Registry and Grant ask for
	fmt.Println("established:", installed.Leadership())

	// Output:
	// leadership: not revoked below term 8.c2: n0 could still complete with {n0, n3} (ruleset 1): reach n0 or n3
	// revoked: true keep: 7.c1@log:42
	// leadership: the marker of n1@8.c2 is not durable under ruleset 1: it is on {n1}, waiting for some of {n0, n2, n3}
	// established: n1@8.c2
}
