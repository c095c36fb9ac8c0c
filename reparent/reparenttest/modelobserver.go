package reparenttest

import (
	"context"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// subscribe asks the leader for its log: a member is sent it anyway, an observer
// has to ask. Only where there may be some is it asked for.
func (n *store) subscribe(l leadership.Leadership) {
	if !n.h.w.joins || l.Leader == n.h.ID {
		return
	}
	n.mu.Lock()
	asks := n.asks == l
	n.asks = l
	n.mu.Unlock()
	if asks { // two at once would not be told apart
		return
	}
	n.h.Go(func(life context.Context) {
		defer func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.asks == l {
				n.asks = leadership.Leadership{}
			}
		}()
		for range 4 {
			ctx, cancel := context.WithTimeout(life, 60*time.Millisecond)
			_, err := Send(ctx, n.h, l.Leader, "subscribe "+l.Term.String(), func(_ context.Context, peer Node) (struct{}, error) {
				peer.Client.(*store).subscribed(n.h.ID, l)
				return struct{}{}, nil
			})
			cancel()
			if err == nil || n.acc.Status().Source != l || n.h.Sleep(life, 15*time.Millisecond) != nil {
				return
			}
		}
	})
}

func (n *store) subscribed(id leadership.NodeID, l leadership.Leadership) {
	if n.acc.Status().Source != l {
		return
	}
	n.mu.Lock()
	n.observers[id] = l
	installed := n.installed == l.Term
	n.mu.Unlock()
	if installed { // else it is pushed to when it is
		n.push(l)
	}
}

// pushObservers is push for those who are no members. Callers hold mu.
func (n *store) pushObservers(l leadership.Leadership, seen map[leadership.NodeID]bool) {
	for _, id := range n.h.w.ids {
		if n.observers[id] != l || seen[id] || n.sending[id] || n.installed != l.Term {
			continue
		}
		n.sending[id] = true
		sending := n.sending
		n.h.Go(func(life context.Context) { n.send(life, l, id, sending) })
	}
}

// withObservers is the bug that takes the copies of observers for those of
// members.
func (n *store) withObservers(r *leadership.Rules, have leadership.Set, i int) leadership.Set {
	extra := 0
	for id, at := range n.matched {
		if at >= i && !slices.Contains(r.Ruleset.IDs(), id) {
			extra++
		}
	}
	for m := range r.Members().All() {
		if extra > 0 && !have.Has(m) {
			have = have.With(m)
			extra--
		}
	}
	return have
}
