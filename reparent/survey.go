package reparent

import (
	"context"
	"sync"

	"github.com/tenure-go/tenure/leadership"
)

// survey asks the nodes for their status, all at once and at most Limits.Status
// long. enough, when not nil, ends it early: a leader that hangs must not delay
// the emergency that it is the cause of. The result is in the order of ids.
func (g *Guard) survey(ctx context.Context, ids []leadership.NodeID, enough func([]leadership.Status) bool) []leadership.Status {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Limits.Status)
	defer cancel()
	out := make([]leadership.Status, len(ids))
	for i, id := range ids {
		out[i] = leadership.Status{Node: id}
	}
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	for i, id := range ids {
		n, ok := g.nodes[id]
		if !ok {
			continue
		}
		wg.Go(func() {
			s, err := n.Status.Status(ctx)
			if err != nil || s.Node != id {
				return
			}
			s.Reachable = true
			mu.Lock()
			out[i] = s
			done := enough != nil && enough(out)
			mu.Unlock()
			if done {
				cancel()
			}
		})
	}
	wg.Wait()
	return out
}
