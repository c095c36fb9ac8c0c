package revoke_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// server is a node with just enough behind it for the examples.
type server struct {
	id   leadership.NodeID
	down bool
}

func (s server) Promise(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	if s.down {
		return leadership.Testimony{}, context.DeadlineExceeded
	}
	return leadership.Testimony{Node: s.id, Term: t, Kind: leadership.Promised, Read: &leadership.Position{}}, nil
}

func (s server) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{Finished: 3}, nil
}

func (s server) StepDown(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{Node: s.id, Term: t, Kind: leadership.Demoted, Read: &leadership.Position{}}, nil
}

// vault lets no lease of the old leader be renewed.
type vault struct{}

func (vault) Expire(context.Context, leadership.Term, leadership.NodeID) (time.Duration, error) {
	return 2 * time.Millisecond, nil
}

// The leader hangs. Its followers are asked to promise while its lease runs
// out; whatever comes first proves the revocation, and the round says when.
func ExampleTogether() {
	rules, _ := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	term := leadership.Term{Num: 7, Proposer: "c1"}
	round, _ := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})

	push, _ := revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{
		"n1": server{id: "n1", down: true}, "n2": server{id: "n2"}, "n3": server{id: "n3"},
	}, revoke.Options{})
	lease, _ := revoke.NewLease(vault{}, 0.01)
	both, err := revoke.Together(push, lease)
	if err != nil {
		fmt.Println(err)
		return
	}

	var mu sync.Mutex // a Round is fed by one goroutine at a time
	err = both.Revoke(context.Background(), revoke.Ask{Term: term, Targets: rules.IDs(), Leader: "n1"}, func(t leadership.Testimony) {
		mu.Lock()
		defer mu.Unlock()
		if err := round.Add(t); err != nil {
			fmt.Println(err)
		}
	})
	fmt.Println("who did not answer:", err)
	fmt.Println("blocked:", round.Blocked())
	fmt.Println("revoked:", round.Revoked() == nil)
	// Output:
	// who did not answer: revoke: promise at n1: context deadline exceeded
	// blocked: [n1 n2 n3]
	// revoked: true
}

// A planned change: the leader finishes what is in flight and steps down, and
// only then are its followers asked. Fencing them earlier would break the work
// that the drain protects.
func ExampleThen() {
	term := leadership.Term{Num: 7, Proposer: "c1"}
	step, _ := revoke.NewStepDown(map[leadership.NodeID]revoke.StepDowner{"n1": server{id: "n1"}})
	push, _ := revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{"n2": server{id: "n2"}}, revoke.Options{})
	planned, err := revoke.Then(revoke.Stage{Revoker: step, Must: true}, revoke.Stage{Revoker: push})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = planned.Revoke(context.Background(), revoke.Ask{
		Term: term, Targets: []leadership.NodeID{"n2"}, Leader: "n1", Drain: time.Second,
		Drained: func(id leadership.NodeID, d revoke.Drained) {
			fmt.Printf("%s drained: %d finished, %d survived\n", id, d.Finished, d.Survivors)
		},
	}, func(t leadership.Testimony) { fmt.Println(t.Node, t.Kind, t.Mechanism) })
	fmt.Println(err)
	// Output:
	// n1 drained: 3 finished, 0 survived
	// n1 demoted step-down
	// n2 promised proposal
	// <nil>
}
