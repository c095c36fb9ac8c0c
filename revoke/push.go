package revoke

import (
	"context"
	"maps"
	"sync"

	"github.com/tenure-go/tenure/internal/nils"
	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// Push asks nodes to promise. NewProposal, NewFence and NewSource make one:
// at the node the three are the same act, they differ in whom they ask.
type Push struct {
	name       string
	nodes      map[leadership.NodeID]Promiser
	skipLeader bool
	opt        Options
}

// NewProposal returns the push of a proposal number to every target, the
// leader included: all in parallel, none left out because it looks down, since
// that node may hold the best log.
//
// It returns a *TargetError for no nodes, a *leadership.NodeIDError, or a
// *NodeError with ErrNilMechanism for a nil one.
func NewProposal(nodes map[leadership.NodeID]Promiser, opt Options) (*Push, error) {
	return newPush("proposal", nodes, false, opt)
}

// NewFence returns a fence of the followers: every target but the leader
// promises to accept nothing below the term. It is the mechanism for a leader
// that cannot be reached, or that hangs when touched. Errors as NewProposal.
func NewFence(followers map[leadership.NodeID]Promiser, opt Options) (*Push, error) {
	return newPush("fence", followers, true, opt)
}

// NewSource returns a change of replication source: every target but the leader
// is detached from it, durably and under the term. A change of source without
// a term is no revocation, since a repair loop with an old view undoes it. Errors
// as NewProposal.
func NewSource(followers map[leadership.NodeID]Promiser, opt Options) (*Push, error) {
	return newPush("source", followers, true, opt)
}

func newPush(name string, nodes map[leadership.NodeID]Promiser, skipLeader bool, opt Options) (*Push, error) {
	if err := checkNodes(nodes); err != nil {
		return nil, err
	}
	return &Push{name: name, nodes: maps.Clone(nodes), skipLeader: skipLeader, opt: opt}, nil
}

func checkNodes[N any](nodes map[leadership.NodeID]N) error {
	if len(nodes) == 0 {
		return &TargetError{Reason: "the mechanism has no nodes"}
	}
	for id, n := range nodes {
		if err := id.Validate(); err != nil {
			return err
		}
		if nils.Is(n) {
			return &NodeError{Node: id, Op: "use", Err: ErrNilMechanism}
		}
	}
	return nil
}

// Revoke implements Revoker. A target that the mechanism has no node for is an
// error in the joined result; the others are asked all the same.
func (p *Push) Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if err := begin(ctx, ask, report); err != nil {
		return err
	}
	if p == nil {
		return ErrNilMechanism
	}
	errs := make([]error, len(ask.Targets))
	var wg sync.WaitGroup
	for i, id := range ask.Targets {
		if p.skipLeader && id == ask.Leader {
			continue
		}
		n, ok := p.nodes[id]
		if !ok {
			errs[i] = &leadership.UnknownNodeError{Node: id}
			continue
		}
		wg.Go(func() { errs[i] = p.ask(ctx, ask.Term, id, n, report) })
	}
	wg.Wait()
	return join(errs)
}

// ask gets a node's promise and, where it is read apart, its position: two
// reports, so that a slow read delays no one else's proof of revocation.
func (p *Push) ask(ctx context.Context, t leadership.Term, id leadership.NodeID, n Promiser, report func(leadership.Testimony)) error {
	read, err := p.get(ctx, t, id, "promise", n.Promise, report)
	r, slow := n.(Reader)
	if err != nil || read || !slow {
		return err
	}
	if _, err := p.get(ctx, t, id, "read", r.Read, report); err != nil {
		// The node has promised: that it refuses the read proves nothing.
		return nodecall.Partial{Err: err}
	}
	return nil
}

// get asks a node for one testimony and reports it, or its refusal. read says
// that the position was in it.
func (p *Push) get(ctx context.Context, t leadership.Term, id leadership.NodeID, op string, ask func(context.Context, leadership.Term) (leadership.Testimony, error), report func(leadership.Testimony)) (read bool, err error) {
	var got leadership.Testimony
	err = nodecall.Retry(ctx, t, p.opt.Retry, func() (err error) {
		got, err = ask(ctx, t)
		return err
	})
	if err != nil {
		var refusal bool
		if got, refusal = refused(id, t, err); refusal {
			got.Mechanism = p.name
			report(got)
		}
		return false, &NodeError{Node: id, Op: op, Err: err}
	}
	if err := say(&got, id, t, op, p.name); err != nil {
		return false, err
	}
	report(got)
	return got.Read != nil, nil
}

// say labels a testimony, and refuses one that is about another node or term:
// an adapter that mixes up its connections must not be able to prove anything.
func say(t *leadership.Testimony, id leadership.NodeID, term leadership.Term, op, mechanism string) error {
	if t.Node != id {
		return &NodeError{Node: id, Op: op, Err: &leadership.UnknownNodeError{Node: t.Node}}
	}
	if t.Term != term {
		return nodecall.Partial{Err: &NodeError{Node: id, Op: op, Err: &leadership.StaleTermError{Node: id, Asked: term, Promised: t.Term}}}
	}
	t.Mechanism = mechanism
	return nil
}
