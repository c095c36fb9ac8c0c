package reparent

import (
	"context"
	"sync"

	"github.com/tenure-go/tenure/leadership"
)

// survey asks the nodes for their status, all at once and at most Limits.Status
// long. enough, when not nil, ends it early: a leader that hangs must not delay
// the emergency that it is the cause of. It is called after each answer, by the
// goroutine that called survey, until it returns true. The result is in the
// order of ids.
func (g *Guard) survey(ctx context.Context, ids []leadership.NodeID, enough func([]leadership.Status) bool) []leadership.Status {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Limits.Status)
	defer cancel()
	type answer struct {
		from int
		leadership.Status
	}
	out := make([]leadership.Status, len(ids))
	answers := make(chan answer, len(ids))
	var wg sync.WaitGroup
	asked := 0
	for i, id := range ids {
		out[i].Node = id
		n, ok := g.nodes[id]
		if !ok {
			continue
		}
		asked++
		wg.Go(func() {
			s, err := n.Status.Status(ctx)
			s.Reachable = err == nil && s.Node == id
			answers <- answer{i, s}
		})
	}
	for range asked {
		a := <-answers
		if !a.Reachable {
			continue
		}
		if out[a.from] = a.Status; enough != nil && enough(out) {
			enough = nil
			cancel()
		}
	}
	wg.Wait()
	return out
}

// promising is what a node would say that promised t and is as it said.
func promising(s leadership.Status, t leadership.Term) leadership.Testimony {
	return leadership.Testimony{
		Node: s.Node, Incarnation: s.Incarnation, Term: t, Kind: leadership.Promised,
		Read: &s.Position, Markers: s.Markers, BelowFloor: s.BelowFloor,
	}
}
