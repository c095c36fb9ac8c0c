package leadershiptest_test

import (
	"context"
	"sync"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
)

// myNode is a follower that does without package acceptor: one mutex around
// everything, so that no promise comes between the check of an entry and its
// acknowledgement. It keeps its promise in memory, which is right only for as
// long as nothing restarts it.
type myNode struct {
	ID leadership.NodeID

	mu       sync.Mutex // guards what follows; taken by every call
	promised leadership.Term
	source   leadership.Leadership
	log      []leadership.Term
}

func bootMyNode(*testing.T) *myNode { return &myNode{ID: "n1"} }

// refuse returns why t cannot be promised, or nil. It needs mu.
func (n *myNode) refuse(t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	if t.Less(n.promised) {
		return &leadership.StaleTermError{Node: n.ID, Asked: t, Promised: n.promised}
	}
	return nil
}

func (n *myNode) Promise(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.refuse(t); err != nil {
		return leadership.Testimony{}, err
	}
	if n.promised.Less(t) { // not at t itself: a late duplicate must not unseat its leader
		n.promised, n.source = t, leadership.Leadership{}
	}
	at := leadership.Position{}
	if k := len(n.log); k > 0 {
		at = leadership.Position{Term: n.log[k-1], Point: leadership.LogPoint{Index: uint64(k)}}
	}
	return leadership.Testimony{Node: n.ID, Term: t, Kind: leadership.Promised, Read: &at}, nil
}

func (n *myNode) Follow(_ context.Context, l leadership.Leadership) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.refuse(l.Term); err != nil {
		return err
	}
	if n.source.Term == l.Term && n.source != l {
		return &leadership.TransitionError{Step: "follow " + l.String(), Reason: "it follows " + n.source.String()}
	}
	n.promised, n.source = l.Term, l
	return nil
}

func (n *myNode) Accept(_ context.Context, l leadership.Leadership, during func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.source != l || l.IsZero() {
		return &leadership.Refusal{Term: n.promised, Until: n.promised, Leader: n.source.Leader, Reason: "it follows another leader"}
	}
	if during != nil {
		during()
	}
	n.log = append(n.log, l.Term)
	return nil
}

// A test of a node that keeps the rules by itself. The hooks that are left out
// are named in the test's log, with what is not checked without them.
func ExampleAcceptor() {
	_ = func(t *testing.T) { // func TestMyNode(t *testing.T) {
		leadershiptest.Acceptor(t, func(t *testing.T) leadershiptest.AcceptorNode {
			n := bootMyNode(t)
			return leadershiptest.AcceptorNode{ID: n.ID, Promise: n.Promise, Follow: n.Follow, Accept: n.Accept}
		})
	}
}

// The examples are compiled; this runs them.
func TestWhatTheExamplesBringConforms(t *testing.T) {
	t.Parallel()
	leadershiptest.Policy(t, MyPolicy(), myCatalog())
	leadershiptest.Registry(t, func(t *testing.T) leadership.Registry { return openEmptyRegistry(t) })
	leadershiptest.Acceptor(t, func(t *testing.T) leadershiptest.AcceptorNode {
		n := bootMyNode(t)
		return leadershiptest.AcceptorNode{ID: n.ID, Promise: n.Promise, Follow: n.Follow, Accept: n.Accept}
	})
}
