package revoke_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// followers asks a mechanism about three nodes that n1 leads, and says what came
// of it.
func followers(r revoke.Revoker) {
	rules, _ := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	term := leadership.Term{Num: 7, Proposer: "c1"}
	round, _ := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	var mu sync.Mutex // a Round is fed by one goroutine at a time
	err := r.Revoke(context.Background(), revoke.Ask{Term: term, Targets: rules.IDs(), Leader: "n1"}, func(t leadership.Testimony) {
		mu.Lock()
		defer mu.Unlock()
		_ = round.Add(t)
	})
	fmt.Println("asked:", err)
	fmt.Println("blocked:", round.Blocked(), "revoked:", round.Revoked() == nil)
}

// The leader hangs when it is touched, so it is not. It is alive, and completes
// nothing any more: no follower acknowledges below term 7.
func ExampleNewFence() {
	fence, err := revoke.NewFence(map[leadership.NodeID]revoke.Promiser{
		"n2": server{id: "n2"}, "n3": server{id: "n3"},
	}, revoke.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	followers(fence)
	// Output:
	// asked: <nil>
	// blocked: [n2 n3] revoked: true
}

// replica is a database server that follows a source. Its promise is to follow no
// source of a lower term, which it keeps across a restart.
type replica struct {
	id       leadership.NodeID
	promised leadership.Term
	source   string
}

func (r *replica) Promise(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	if t.Less(r.promised) {
		return leadership.Testimony{}, &leadership.StaleTermError{Node: r.id, Asked: t, Promised: r.promised}
	}
	r.promised, r.source = t, "" // durably, and before the answer
	return leadership.Testimony{Node: r.id, Term: t, Kind: leadership.Promised, Read: &leadership.Position{}}, nil
}

// Replicas are detached from their source. What makes it a revocation is the term:
// whoever comes later with an older view cannot attach them again.
func ExampleNewSource() {
	n2, n3 := &replica{id: "n2", source: "n1"}, &replica{id: "n3", source: "n1"}
	source, err := revoke.NewSource(map[leadership.NodeID]revoke.Promiser{"n2": n2, "n3": n3}, revoke.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	followers(source)
	fmt.Printf("n2 follows %q\n", n2.source)
	_, err = n2.Promise(context.Background(), leadership.Term{Num: 6, Proposer: "repair"})
	fmt.Println(err)
	// Output:
	// asked: <nil>
	// blocked: [n2 n3] revoked: true
	// n2 follows ""
	// leadership: node n2 has promised term 7.c1, above 6.repair: a newer attempt exists
}

// A proposal number is pushed to everybody, the leader included. A node that does
// not answer hides nothing of what the others said.
func ExampleNewProposal() {
	push, err := revoke.NewProposal(map[leadership.NodeID]revoke.Promiser{
		"n1": server{id: "n1", down: true}, "n2": server{id: "n2"}, "n3": server{id: "n3"},
	}, revoke.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	followers(push)
	// Output:
	// asked: revoke: promise at n1: context deadline exceeded
	// blocked: [n2 n3] revoked: true
}

// A leader that gives its leadership up in good order. That is one node; what it
// proves is for the round to say.
func ExampleNewStepDown() {
	step, err := revoke.NewStepDown(map[leadership.NodeID]revoke.StepDowner{"n1": server{id: "n1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	followers(step)
	// Output:
	// asked: <nil>
	// blocked: [n1] revoked: false
}

// A lease of two seconds, on clocks that are wrong by up to one percent each, is
// over after more than two seconds of any one of them.
func ExampleLeaseWait() {
	wait, err := revoke.LeaseWait(2*time.Second, 0.01)
	fmt.Println(wait.Round(time.Millisecond), err)
	_, err = revoke.LeaseWait(2*time.Second, 1)
	fmt.Println(err)
	// Output:
	// 2.04s <nil>
	// revoke: clock rate error 1: want 0 <= rho < 1
}
