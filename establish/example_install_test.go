package establish_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// notebook is a node that keeps its log in memory, and no more of one than the
// examples need: it does not promise, for one. See package acceptor for that.
type notebook struct {
	id    leadership.NodeID
	peers map[leadership.NodeID]*notebook

	installed chan struct{} // closed when its marker is in its log

	mu  sync.Mutex // guards log and led
	log []string
	led bool
}

func (n *notebook) lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log
}

func (n *notebook) set(log []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = log
}

func (n *notebook) CatchUp(_ context.Context, _ leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	n.set(n.peers[donor].lines())
	fmt.Println(n.id, "caught up from", donor, "to", pos)
	return nil
}

func (n *notebook) Install(_ context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	n.set(append(n.lines(), "marker of "+m.Leadership().String()))
	close(n.installed)
	return leadership.Acceptance{Node: n.id, Term: m.Term, Leader: m.Leader}, nil
}

func (n *notebook) Grant(context.Context, leadership.Term) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.led = true
	return nil
}

func (n *notebook) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	select { // an acceptance says that the marker is here
	case <-n.peers[leader].installed:
	case <-ctx.Done():
		return leadership.Acceptance{}, context.Cause(ctx)
	}
	n.set(n.peers[leader].lines())
	return leadership.Acceptance{Node: n.id, Term: t, Leader: leader}, nil
}

func (n *notebook) Repair(_ context.Context, _ leadership.Term, from leadership.NodeID) error {
	fmt.Println(n.id, "drops what", from, "does not have")
	n.set(n.peers[from].lines())
	return nil
}

// three returns n1 to n3 with these logs.
func three(logs ...[]string) (map[leadership.NodeID]*notebook, map[leadership.NodeID]establish.Candidate, map[leadership.NodeID]establish.Follower) {
	peers := map[leadership.NodeID]*notebook{}
	candidates, followers := map[leadership.NodeID]establish.Candidate{}, map[leadership.NodeID]establish.Follower{}
	for i, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		n := &notebook{id: id, peers: peers, log: logs[i], installed: make(chan struct{})}
		peers[id], candidates[id], followers[id] = n, n, n
	}
	return peers, candidates, followers
}

// revoked is the proof that term 7 is revoked, for nodes at these positions, and
// its proposal of n2 for term 8.
func revoked(at ...leadership.Position) (*leadership.Proposal, error) {
	rules, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		return nil, err
	}
	term := leadership.Term{Num: 8, Proposer: "c1"}
	round, err := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	if err != nil {
		return nil, err
	}
	for i, id := range rules.IDs() {
		if err := round.Add(leadership.Testimony{Node: id, Term: term, Kind: leadership.Promised, Read: &at[i]}); err != nil {
			return nil, err
		}
	}
	revocation, err := round.Revocation()
	if err != nil {
		return nil, err
	}
	return revocation.Propose("n2", nil)
}

// index is a place in a log all of whose entries are of term 7.
func index(i uint64) leadership.Position {
	t := leadership.Term{Num: 7, Proposer: "c1"}
	return leadership.Position{Term: t, Point: leadership.LogPoint{Index: i, Eras: []leadership.Era{{Term: t, First: 1}}}}
}

// The candidate takes the selected log, then writes its marker, and the others
// follow it. It is granted with the proof that the marker is durable: nothing
// else is one.
func ExampleNewProposal() {
	nodes, candidates, followers := three([]string{"a", "b"}, []string{"a"}, []string{"a"})
	proposal, err := revoked(index(2), index(1), index(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	est, err := establish.NewProposal(candidates, followers, establish.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	fmt.Println(est.Grant(ctx, nil))

	err = est.Install(ctx, proposal, func(a leadership.Acceptance) {
		_ = proposal.Add(a) // from any goroutine
	})
	installed, missing := proposal.Installed()
	fmt.Println("installed:", err, missing)
	fmt.Println("granted:", est.Grant(ctx, installed), nodes["n2"].led)
	fmt.Println(nodes["n2"].lines())
	// Output:
	// leadership: this value was not minted by the step that must precede it
	// n2 caught up from n1 to 7.c1@log:2/7.c1:1
	// installed: <nil> <nil>
	// granted: <nil> true
	// [a b marker of n2@8.c1]
}

// Servers that only append are not pointed at a leader which lacks what they
// hold. n1 crashed with an entry that nobody else had: it is mended first, or
// left out.
func ExampleNewSource() {
	fork := leadership.Position{Term: leadership.Term{Num: 6, Proposer: "c1"},
		Point: leadership.LogPoint{Index: 9, Eras: []leadership.Era{{Term: leadership.Term{Num: 6, Proposer: "c1"}, First: 1}}}}
	for _, mended := range []bool{false, true} {
		nodes, candidates, followers := three([]string{"x"}, []string{"a", "b"}, []string{"a", "b"})
		proposal, err := revoked(fork, index(2), index(2))
		if err != nil {
			fmt.Println(err)
			return
		}
		repairers := map[leadership.NodeID]establish.Repairer{}
		if mended {
			repairers["n1"] = nodes["n1"]
		}
		est, err := establish.NewSource(candidates, followers, repairers, establish.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		err = est.Install(context.Background(), proposal, func(a leadership.Acceptance) { _ = proposal.Add(a) })
		var needs *establish.NeedsRepairError
		if errors.As(err, &needs) {
			fmt.Println(needs.Node, "was left out")
		}
		_, err = proposal.Installed()
		fmt.Println("accepted by", len(proposal.Accepted()), "durable:", err == nil)
	}
	// Output:
	// n1 was left out
	// accepted by 2 durable: true
	// n1 drops what n2 does not have
	// accepted by 3 durable: true
}
