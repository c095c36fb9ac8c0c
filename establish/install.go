package establish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/tenure-go/tenure/leadership"
)

// Nodes is the establisher over a set of nodes. NewProposal and NewSource make
// one; they differ in whom they let follow.
type Nodes struct {
	candidates map[leadership.NodeID]Candidate
	followers  map[leadership.NodeID]Follower
	appendOnly bool
	opt        Options
}

// NewProposal returns the establisher for stores whose replication compares
// terms and prefixes, such as a Raft-like log: every member may follow, and a
// tail that conflicts is truncated by the leader's own appends.
func NewProposal(candidates map[leadership.NodeID]Candidate, followers map[leadership.NodeID]Follower, opt Options) (*Nodes, error) {
	return newNodes(candidates, followers, false, opt)
}

// NewSource returns the establisher for servers that are re-pointed at their
// leader: only members whose log is a prefix of the selected one follow. One
// that is pointed at a source which lacks what it holds may stop for good, or
// acknowledge what it never received; those are left to a repair.
func NewSource(candidates map[leadership.NodeID]Candidate, followers map[leadership.NodeID]Follower, opt Options) (*Nodes, error) {
	return newNodes(candidates, followers, true, opt)
}

func newNodes(candidates map[leadership.NodeID]Candidate, followers map[leadership.NodeID]Follower, appendOnly bool, opt Options) (*Nodes, error) {
	if len(candidates) == 0 {
		return nil, ErrNilNode
	}
	for id, n := range candidates {
		if n == nil {
			return nil, &NodeError{Node: id, Op: "use", Err: ErrNilNode}
		}
	}
	for id, n := range followers {
		if n == nil {
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
	case report == nil:
		return ErrNilNode
	}
	cand, ok := n.candidates[p.To()]
	if !ok {
		return &leadership.UnknownNodeError{Node: p.To()}
	}
	if err := n.catchUp(ctx, p, cand); err != nil {
		return err
	}
	followers, left := n.split(p)
	errs := make([]error, len(followers)+2)
	var wg sync.WaitGroup
	wg.Go(func() {
		errs[0] = n.accept(ctx, "install", p.To(), report, func() (leadership.Acceptance, error) {
			return cand.Install(ctx, p.Marker())
		})
	})
	for i, id := range followers {
		wg.Go(func() {
			errs[i+1] = n.accept(ctx, "follow", id, report, func() (leadership.Acceptance, error) {
				return n.followers[id].Follow(ctx, p.Term(), p.To())
			})
		})
	}
	wg.Wait()
	if len(left) > 0 {
		errs[len(errs)-1] = &NeedsRepairError{Nodes: left}
	}
	return errors.Join(errs...)
}

func (n *Nodes) accept(ctx context.Context, op string, id leadership.NodeID, report func(leadership.Acceptance), ask func() (leadership.Acceptance, error)) error {
	var a leadership.Acceptance
	err := retry(ctx, n.opt.Retry, func() (err error) {
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
		err := cand.CatchUp(ctx, p.Term(), donor, p.Selection())
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

// split returns the members that may follow and those that need a repair
// first. A member that was not read may not follow where only appending is
// possible: what it holds is not known.
func (n *Nodes) split(p *leadership.Proposal) (follow, left []leadership.NodeID) {
	reads := map[leadership.NodeID]leadership.Position{}
	for _, r := range p.Reads() {
		reads[r.Node] = r.Position
	}
	for _, id := range p.Members() {
		if id == p.To() || n.followers[id] == nil {
			continue
		}
		if at, read := reads[id]; n.appendOnly && !(read && p.Selection().Extends(at)) {
			left = append(left, id)
			continue
		}
		follow = append(follow, id)
	}
	return follow, left
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
	l := in.Leadership()
	cand, ok := n.candidates[l.Leader]
	if !ok {
		return &leadership.UnknownNodeError{Node: l.Leader}
	}
	err := retry(ctx, n.opt.Retry, func() error { return cand.Grant(ctx, l.Term) })
	if err != nil {
		return &NodeError{Node: l.Leader, Op: "grant", Err: err}
	}
	return nil
}
