package reparent_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// simRouter is a router's side of the barrier, as a process of its own: it holds
// when the record says so, and acks when nothing is in flight any more.
type simRouter struct {
	c        *cluster
	p        *proc
	b        remoteBarrier
	lease    leadership.RouterLease
	inFlight atomic.Int64
	acked    atomic.Pointer[leadership.Term]
}

// router starts one that has joined before anything else happens.
func (c *cluster) router(name string) *simRouter {
	p := c.s.proc(name)
	r := &simRouter{c: c, p: p, b: remoteBarrier{p, c}, lease: leadership.RouterLease{Router: leadership.RouterID(name), Session: "1", TTL: 100 * time.Millisecond}}
	r.acked.Store(&leadership.Term{})
	if _, err := c.barrier.Join(context.Background(), r.lease); err != nil {
		panic(err)
	}
	p.boot = func() {
		life := p.life
		c.s.wg.Go(func() { r.run(life) })
	}
	p.boot()
	return r
}

func (r *simRouter) run(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _ = r.b.Join(ctx, r.lease)
		rec, err := remoteRegistry{r.p, r.c}.Load(ctx)
		in := rec.Intent
		if err == nil && in.Phase == leadership.Holding && rec.Active.Term.Less(in.Term) && r.inFlight.Load() == 0 {
			r.acked.Store(&in.Term) // before the coordinator can know
			_ = r.b.Ack(ctx, r.lease, in.Term)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// remoteBarrier is the barrier as a process reaches it.
type remoteBarrier struct {
	from *proc
	c    *cluster
}

func (b remoteBarrier) Join(ctx context.Context, l leadership.RouterLease) (bool, error) {
	return rpc(ctx, b.from, b.c.regP, "join", func(ctx context.Context) (bool, error) { return b.c.barrier.Join(ctx, l) })
}

func (b remoteBarrier) Ack(ctx context.Context, l leadership.RouterLease, t leadership.Term) error {
	_, err := rpc(ctx, b.from, b.c.regP, "ack "+t.String(), func(ctx context.Context) (int, error) { return 0, b.c.barrier.Ack(ctx, l, t) })
	return err
}

func (b remoteBarrier) Leave(ctx context.Context, l leadership.RouterLease) error {
	_, err := rpc(ctx, b.from, b.c.regP, "leave", func(ctx context.Context) (int, error) { return 0, b.c.barrier.Leave(ctx, l) })
	return err
}

// Wait has the other side give up a little earlier, so that it can say who was
// late.
func (b remoteBarrier) Wait(ctx context.Context, t leadership.Term) (leadership.RollCall, error) {
	end, bounded := ctx.Deadline()
	var late *leadership.NotQuietError
	call, err := rpc(ctx, b.from, b.c.regP, "quiet "+t.String(), func(ctx context.Context) (call leadership.RollCall, err error) {
		if bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, end.Add(-5*time.Millisecond))
			defer cancel()
		}
		return b.c.barrier.Wait(ctx, t)
	})
	if errors.As(err, &late) {
		call.Late = late.Late
	}
	return call, err
}
