package change

import (
	"context"
	"slices"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// retire is a mechanism of this example's own, in the place of revoke.StepDown.
// It saves two round trips of the three that a planned change spends on revoking:
//
//   - The leader drains and steps down in one call. When the coordinator dies in
//     between, the leader has stepped down, where it would have served again by
//     itself.
//   - Meanwhile as many others promise as the leader can do without: what it has
//     in flight still finds its majority, with one member to spare. When the drain
//     fails, these follow nobody until a sweep.
//
// The candidate is not among them: it takes what is in flight to its end, so that
// it has nothing to catch up with, and promises then.
type retire struct {
	c    *tenure
	from int
	to   leadership.NodeID
	push revoke.Revoker
}

func (r retire) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	early := ask
	early.Targets = slices.DeleteFunc(slices.Clone(ask.Targets), func(id leadership.NodeID) bool { return id == ask.Leader || id == r.to })
	early.Targets = early.Targets[:min(len(early.Targets), max(0, len(r.c.nodes)/2-1))]
	pushed := make(chan error, 1)
	if len(early.Targets) == 0 {
		pushed <- nil
	} else {
		go func() { pushed <- r.push.Revoke(ctx, early, report) }()
	}
	err := r.leader(ctx, ask, report)
	// Whoever did not promise now is asked again with the others.
	<-pushed
	return err
}

func (r retire) leader(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	n := &remote{c: r.c, from: r.from, to: r.c.nodes[hostOf(ask.Leader)]}
	var drained revoke.Drained
	t, err := askNode(ctx, n, func(ctx context.Context) (t leadership.Testimony, err error) {
		// One that fails is not followed by a step-down: the node resumes.
		if drained, err = n.to.drain(ctx, ask.Term, ask.Drain); err != nil {
			return t, err
		}
		return n.to.stepDown(ctx, ask.Term)
	})
	if err != nil {
		return &revoke.NodeError{Node: ask.Leader, Op: "retire", Err: err}
	}
	if ask.Drained != nil {
		ask.Drained(ask.Leader, drained)
	}
	t.Mechanism = "retire"
	report(t)
	return nil
}

// retiring is a planned change that begins with retire and goes on with promises,
// as the library's own goes on after its step-down.
func (c *tenure) retiring(host, to int) (reparent.Change, error) {
	change := reparent.Planned(nodeID(to))
	nodes := map[leadership.NodeID]revoke.Promiser{}
	for _, n := range c.nodes {
		nodes[n.id] = &remote{c: c, from: host, to: n}
	}
	push, err := revoke.NewProposal(nodes, revoke.Options{})
	if err != nil {
		return change, err
	}
	first := revoke.Stage{Revoker: retire{c: c, from: host, to: change.To, push: push}, Must: true}
	change.Revoke, err = revoke.Then(first, revoke.Stage{Revoker: push})
	return change, err
}
