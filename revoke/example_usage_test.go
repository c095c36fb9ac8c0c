package revoke_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// A planned revocation: the leader steps down, and then everybody promises. What
// was heard goes to the round, which alone says what it proves.
func Example() {
	ctx, term := context.Background(), leadership.Term{Num: 7, Proposer: "c1"}
	rules, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids, heard := rules.IDs(), make(chan leadership.Testimony, 8)
	leaders := map[leadership.NodeID]revoke.StepDowner{"n1": server{id: "n1"}}
	nodes := map[leadership.NodeID]revoke.Promiser{"n1": server{id: "n1"}, "n2": server{id: "n2"}, "n3": server{id: "n3"}}

	step, err := revoke.NewStepDown(leaders)
	if err != nil {
		fmt.Println(err)
		return
	}
	push, err := revoke.NewProposal(nodes, revoke.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	planned, err := revoke.Then(revoke.Stage{Revoker: step, Must: true}, revoke.Stage{Revoker: push})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = planned.Revoke(ctx, revoke.Ask{Term: term, Targets: ids, Leader: "n1", Drain: time.Second},
		func(t leadership.Testimony) { heard <- t })
	if err != nil {
		fmt.Println(err)
		return
	}
	close(heard)
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for t := range heard {
		if err := round.Add(t); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("revoked:", round.Revoked() == nil, "by", round.Blocked())
	// Output: revoked: true by [n1 n2 n3]
}
