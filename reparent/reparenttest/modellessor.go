package reparenttest

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

const (
	// leaseLength is how long a lease lasts on its holder's clock.
	leaseLength = 60 * time.Millisecond
	// leaseRate bounds the rate error of every simulated clock.
	leaseRate = 0.04
)

// leaseOver is how long after a lease was given it is over on its holder's
// clock, counted on the giver's.
func leaseOver() time.Duration {
	d, _ := revoke.LeaseWait(leaseLength, leaseRate)
	return d
}

// lessor gives leases of leadership, in a process of its own. Whom it refuses
// is durable; what it gave is not.
type lessor struct {
	w     *world
	proc  *stepsim.Proc
	floor map[leadership.NodeID]leadership.Term // durable
	given map[leadership.NodeID]time.Duration   // when, on its own clock
	boot  time.Duration
}

func newLessor(w *world) *lessor {
	l := &lessor{w: w, proc: w.sim.Proc("lessor"), floor: map[leadership.NodeID]leadership.Term{}, given: map[leadership.NodeID]time.Duration{}}
	l.boot = -leaseOver()
	l.proc.Boot = func() { l.given, l.boot = map[leadership.NodeID]time.Duration{}, l.proc.Mono() }
	return l
}

// renew gives a lease from now on. Its holder counts from when it asked.
func (l *lessor) renew(t leadership.Term, id leadership.NodeID) error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if f := l.floor[id]; t.Less(f) {
		return &leadership.StaleTermError{Node: id, Asked: t, Promised: f}
	}
	l.given[id] = l.proc.Mono()
	return nil
}

// remoteLessor is the lessor as a coordinator reaches it.
type remoteLessor struct {
	from *stepsim.Proc
	l    *lessor
}

func (r remoteLessor) Expire(ctx context.Context, t leadership.Term, leader leadership.NodeID) (time.Duration, error) {
	return stepsim.Call(ctx, r.from, r.l.proc, "expire "+string(leader)+" "+t.String(), func(context.Context) (time.Duration, error) {
		return r.l.expire(t, leader)
	})
}

func (l *lessor) expire(t leadership.Term, id leadership.NodeID) (time.Duration, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if f := l.floor[id]; t.Less(f) {
		return 0, &leadership.StaleTermError{Node: id, Asked: t, Promised: f}
	}
	l.floor[id] = t
	at, ok := l.given[id]
	if !ok {
		at = l.boot
	}
	return max(0, at+leaseOver()-l.proc.Mono()), nil
}

// mayComplete reports whether the leader holds its lease, on its own clock, and
// has it renewed when not. It is called under mu.
func (n *store) mayComplete(l leadership.Leadership) bool {
	if !n.Leased || n.h.Elapsed() < n.holds {
		return true
	}
	if n.renewing != l.Term {
		n.renewing = l.Term
		n.h.Go(func(life context.Context) { n.renew(life, l) })
	}
	return false
}

// renew asks for a lease, and completes what waited for it. The lease counts
// from when it was asked for: nobody knows when the lessor heard of it.
func (n *store) renew(life context.Context, l leadership.Leadership) {
	lessor := n.h.w.lessor
	for range 6 {
		sent := n.h.Elapsed()
		ctx, cancel := context.WithTimeout(life, 41*time.Millisecond)
		_, err := stepsim.Call(ctx, n.h.proc, lessor.proc, "renew "+l.Term.String(), func(context.Context) (struct{}, error) {
			return struct{}{}, lessor.renew(l.Term, n.h.ID)
		})
		cancel()
		var stale *leadership.StaleTermError
		if err == nil || errors.As(err, &stale) || n.acc.Status().Leads != l.Term || n.h.Sleep(life, 7*time.Millisecond) != nil {
			n.mu.Lock()
			if err == nil {
				n.holds = max(n.holds, sent+leaseLength)
			}
			n.renewed(l)
			n.mu.Unlock()
			if err == nil {
				n.complete(l)
			}
			return
		}
	}
	n.mu.Lock()
	n.renewed(l)
	n.mu.Unlock()
}

// renewed says that nobody asks for a lease of l any more. It is called under
// mu.
func (n *store) renewed(l leadership.Leadership) {
	if n.renewing == l.Term {
		n.renewing = leadership.Term{}
	}
}
