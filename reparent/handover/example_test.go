package handover_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// Node is a leader whose log is in memory, and which has its successor in the same
// process. Its promise should be on disk: see package leadership/acceptor.
type Node struct {
	id       leadership.NodeID
	log      []string
	promised leadership.Term
	next     *successor
}

// HandOver steps down, and has the candidate take over.
func (n *Node) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	if err := b.Validate(nil); err != nil {
		return handover.Account{}, err
	}
	stepDown, err := n.stepDown(ctx, b.Term)
	if err != nil {
		return handover.Account{}, err
	}
	release, err := b.Release(stepDown)
	if err != nil {
		return handover.Account{}, err
	}
	tail := n.log
	return n.tell(ctx, b.To, release, tail)
}

func (n *Node) stepDown(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	if t.Less(n.promised) {
		return leadership.Testimony{}, &leadership.StaleTermError{Node: n.id, Asked: t, Promised: n.promised}
	}
	n.promised = t
	return leadership.Testimony{Node: n.id, Term: t, Kind: leadership.Demoted, Read: at(len(n.log))}, nil
}

func (n *Node) tell(_ context.Context, _ leadership.NodeID, release handover.Release, tail []string) (handover.Account, error) {
	return n.next.takeOver(release, tail)
}

// successor is the candidate.
type successor struct {
	id  leadership.NodeID
	in  *handover.Incoming
	log []string
	led leadership.Term
}

// takeOver does all that a candidate does, in one goroutine and without a network.
func (s *successor) takeOver(r handover.Release, tail []string) (handover.Account, error) {
	t := r.Baton.Term
	s.log = tail
	if err := s.in.Take(r); err != nil {
		return handover.Account{}, err
	}
	// It promises, durably, and says how far its log goes.
	if err := s.in.Hear(leadership.Testimony{Node: s.id, Term: t, Kind: leadership.Promised, Read: at(len(s.log))}); err != nil {
		return handover.Account{}, err
	}
	proposal, err := s.in.Propose(t)
	if err != nil {
		return handover.Account{}, err // not proven yet: wait for the others
	}
	s.log = append(s.log, "marker of "+proposal.Marker().Leadership().String())
	for _, id := range []leadership.NodeID{s.id, r.Baton.From} { // its own disk, and who follows it
		if err := s.in.Accept(leadership.Acceptance{Node: id, Term: t, Leader: s.id}); err != nil {
			return handover.Account{}, err
		}
	}
	if _, err := s.in.Installed(t); err != nil {
		return handover.Account{}, err
	}
	s.led = t // granted, and only now is anything completed
	return s.in.Account(t)
}

// at is a place in a log whose entries are all of term 7.
func at(index int) *leadership.Position {
	t := leadership.Term{Num: 7, Proposer: "c1"}
	return &leadership.Position{Term: t, Point: leadership.LogPoint{Index: uint64(index), Eras: []leadership.Era{{Term: t, First: 1}}}}
}

// The leader hands over. Its coordinator does not believe the account: it runs the
// same checks on what the candidate was told.
func ExampleNewIncoming() {
	in, err := handover.NewIncoming("n2", nil) // one for the life of the node
	if err != nil {
		fmt.Println(err)
		return
	}
	n2 := &successor{id: "n2", in: in}
	n1 := &Node{id: "n1", log: []string{"a", "b"}, next: n2}
	rules, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	term := leadership.Term{Num: 8, Proposer: "c1"}
	baton := handover.Baton{Term: term, From: "n1", To: "n2", Mode: leadership.Full,
		Rulesets: []leadership.Ruleset{rules}, Within: 2 * time.Second}

	account, err := n1.HandOver(context.Background(), baton)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("n2 leads", n2.led, "with", n2.log)

	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: baton.Rulesets})
	if err != nil {
		fmt.Println(err)
		return
	}
	proposal, err := account.Replay(baton, func(t leadership.Testimony) { _ = round.Add(t) }, round.Revocation)
	if err != nil {
		fmt.Println(err)
		return
	}
	installed, err := proposal.Installed()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("found by the coordinator:", installed.Leadership())
	// Output:
	// n2 leads 8.c1 with [a b marker of n2@8.c1]
	// found by the coordinator: n2@8.c1
}
