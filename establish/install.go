package establish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/tenure-go/tenure/internal/nils"
	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// Nodes is the establisher over a set of nodes. NewProposal and NewSource make
// one; they differ in whom they let follow.
type Nodes struct {
	candidates map[leadership.NodeID]Candidate
	followers  map[leadership.NodeID]Follower
	repairers  map[leadership.NodeID]Repairer
	appendOnly bool
	opt        Options
}

// NewProposal returns the establisher for stores whose replication compares
// terms and prefixes, such as a Raft-like log: every member may follow, and a
// tail that conflicts is truncated by the leader's own appends. It returns
// ErrNilNode for no candidates, or a *NodeError with it for a nil node. A member
// without a Follower is not asked.
func NewProposal(candidates map[leadership.NodeID]Candidate, followers map[leadership.NodeID]Follower, opt Options) (*Nodes, error) {
	return newNodes(candidates, followers, false, opt)
}

// NewSource returns the establisher for servers that are re-pointed at their
// leader: a member follows once its log is known to be a prefix of the selected
// one. A server that is pointed at a source which lacks what it holds may stop
// for good, or acknowledge what it never received. A member that holds more is
// repaired from the candidate first, where it has a Repairer: what it is made to
// drop was never durable, since everything durable is in the selected log, and
// its acceptance may be the one that the marker needs. Without a Repairer it is
// left out. Errors as NewProposal.
func NewSource(candidates map[leadership.NodeID]Candidate, followers map[leadership.NodeID]Follower, repairers map[leadership.NodeID]Repairer, opt Options) (*Nodes, error) {
	for id, n := range repairers {
		if nils.Is(n) {
			return nil, &NodeError{Node: id, Op: "use", Err: ErrNilNode}
		}
	}
	n, err := newNodes(candidates, followers, true, opt)
	if err == nil {
		n.repairers = maps.Clone(repairers)
	}
	return n, err
}

func newNodes(candidates map[leadership.NodeID]Candidate, followers map[leadership.NodeID]Follower, appendOnly bool, opt Options) (*Nodes, error) {
	if len(candidates) == 0 {
		return nil, ErrNilNode
	}
	for id, n := range candidates {
		if nils.Is(n) {
			return nil, &NodeError{Node: id, Op: "use", Err: ErrNilNode}
		}
	}
	for id, n := range followers {
		if nils.Is(n) {
			return nil, &NodeError{Node: id, Op: "use", Err: ErrNilNode}
		}
	}
	return &Nodes{candidates: maps.Clone(candidates), followers: maps.Clone(followers), appendOnly: appendOnly, opt: opt}, nil
}

// Install implements Establisher. It fails before anything is touched with
// leadership.ErrNotMinted for a proposal that no revocation made, and with an
// *leadership.UnknownNodeError for a candidate it has no node for.
func (n *Nodes) Install(ctx context.Context, p *leadership.Proposal, report func(leadership.Acceptance)) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p == nil || p.Term().IsZero():
		return leadership.ErrNotMinted
	case n == nil, report == nil:
		return ErrNilNode
	}
	cand, ok := n.candidates[p.To()]
	if !ok {
		return &leadership.UnknownNodeError{Node: p.To()}
	}
	if err := n.catchUp(ctx, p, cand); err != nil {
		return err
	}
	followers := n.members(p)
	errs := make([]error, len(followers)+1)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A node that promised more belongs to a newer attempt. Once so many do
	// that the marker cannot become durable, to wait for nodes that cannot be
	// reached would only keep that from the caller. One that an abandoned
	// attempt stranded is not enough: the others can do without it.
	var mu sync.Mutex // guards lost
	var lost []leadership.NodeID
	ask := func(i int, op string, id leadership.NodeID, f func() (leadership.Acceptance, error)) {
		errs[i] = n.accept(ctx, p.Term(), op, id, report, f)
		if _, over := nodecall.Outrun(p.Term(), errs[i]); !over {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if lost = append(lost, id); !p.Possible(lost...) {
			cancel()
		}
	}
	wg.Go(func() {
		ask(0, "install", p.To(), func() (leadership.Acceptance, error) { return cand.Install(ctx, p.Marker()) })
	})
	for i, id := range followers {
		wg.Go(func() {
			if errs[i+1] = n.mayFollow(ctx, p, id); errs[i+1] != nil {
				return
			}
			ask(i+1, "follow", id, func() (leadership.Acceptance, error) {
				return n.followers[id].Follow(ctx, p.Term(), p.To())
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nodecall.Partial{Err: err}
	}
	return nil
}

func (n *Nodes) accept(ctx context.Context, t leadership.Term, op string, id leadership.NodeID, report func(leadership.Acceptance), ask func() (leadership.Acceptance, error)) error {
	var a leadership.Acceptance
	err := nodecall.Retry(ctx, t, n.opt.Retry, func() (err error) {
		a, err = ask()
		return err
	})
	if err == nil && a.Node != id {
		// An adapter that mixes up its connections must not count for another.
		err = &leadership.UnknownNodeError{Node: a.Node}
	}
	if err != nil {
		return &NodeError{Node: id, Op: op, Err: err}
	}
	report(a)
	return nil
}

// catchUp brings the candidate to the selected log, from one donor after the
// other.
func (n *Nodes) catchUp(ctx context.Context, p *leadership.Proposal, cand Candidate) error {
	if slices.Contains(p.Donors(), p.To()) || p.Selection().IsZero() {
		return nil
	}
	var errs []error
	for _, donor := range p.Donors() {
		err := nodecall.Judge(p.Term(), cand.CatchUp(ctx, p.Term(), donor, p.Selection()))
		if err == nil {
			return nil
		}
		errs = append(errs, &NodeError{Node: donor, Op: "catch up from", Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	return &CatchUpError{Node: p.To(), Donors: p.Donors(), Err: errors.Join(errs...)}
}

// members returns whom to let follow.
func (n *Nodes) members(p *leadership.Proposal) []leadership.NodeID {
	return slices.DeleteFunc(p.Members(), func(id leadership.NodeID) bool {
		return id == p.To() || n.followers[id] == nil
	})
}

// mayFollow returns nil once a node can get to the selected log by appending.
// Where only appending is possible, that must be known first: a node whose
// position is still being read is waited for, in its own goroutine.
func (n *Nodes) mayFollow(ctx context.Context, p *leadership.Proposal, id leadership.NodeID) error {
	if !n.appendOnly {
		return nil
	}
	at, err := p.Position(ctx, id)
	if err != nil {
		return &NodeError{Node: id, Op: "read", Err: err}
	}
	if p.Selection().Extends(at) {
		return nil
	}
	r, ok := n.repairers[id]
	if !ok {
		return &NeedsRepairError{Node: id, At: at, Selection: p.Selection()}
	}
	if err := nodecall.Retry(ctx, p.Term(), n.opt.Retry, func() error { return r.Repair(ctx, p.Term(), p.To()) }); err != nil {
		return &NodeError{Node: id, Op: "repair", Err: err}
	}
	return nil
}

// Grant implements Establisher. It fails before anything is touched with
// leadership.ErrNotMinted for an Installed that no proposal made.
func (n *Nodes) Grant(ctx context.Context, in *leadership.Installed) error {
	if err := in.Minted(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n == nil {
		return ErrNilNode
	}
	l := in.Leadership()
	cand, ok := n.candidates[l.Leader]
	if !ok {
		return &leadership.UnknownNodeError{Node: l.Leader}
	}
	err := nodecall.Retry(ctx, l.Term, n.opt.Retry, func() error { return cand.Grant(ctx, l.Term) })
	if err != nil {
		return &NodeError{Node: l.Leader, Op: "grant", Err: err}
	}
	return nil
}
