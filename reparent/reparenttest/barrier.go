package reparenttest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// BarrierRouter is the process of a router in front of leaders that cannot
// refuse: it has joined a leadership.Barrier, at which changes of this cluster
// wait, and says that it is quiet when a change holds and nothing of its own is
// in flight. Its methods may be called by any goroutine, but Crash.
type BarrierRouter struct {
	w     *world
	p     *stepsim.Proc
	b     remoteBarrier
	lease leadership.RouterLease

	mu    sync.Mutex // guards what follows
	busy  bool
	acked leadership.Term
}

// routerLease is how long a router counts that says nothing.
const routerLease = 100 * time.Millisecond

// barrierRouter starts one that has joined before anything else happens. The
// first one makes the barrier.
func (w *world) barrierRouter(name string) (*BarrierRouter, error) {
	if w.barrier == nil {
		w.barrier = &leadership.MemoryBarrier{}
	}
	p := w.sim.Proc(name)
	r := &BarrierRouter{w: w, p: p, b: remoteBarrier{p, w}, lease: leadership.RouterLease{Router: leadership.RouterID(name), Session: "1", TTL: routerLease}}
	if _, err := w.barrier.Join(context.Background(), r.lease); err != nil {
		return nil, err
	}
	p.Boot = func() { p.Background(r.run) }
	p.Boot()
	return r, nil
}

func (r *BarrierRouter) run(life context.Context) {
	reg := remoteRegistry{r.p, r.w}
	for {
		_, _ = r.b.Join(life, r.lease)
		rec, err := reg.Load(life)
		if in := rec.Intent; err == nil && in.Phase == leadership.Holding && rec.Active.Term.Less(in.Term) && r.quiet(in.Term) {
			_ = r.b.Ack(life, r.lease, in.Term)
		}
		// No two routers do anything at one moment.
		if sleep(life, r.p, 5*time.Millisecond+time.Duration(7*r.p.Index())*time.Nanosecond) != nil {
			return
		}
	}
}

// quiet notes what is about to be acked, when nothing is in flight: before the
// coordinator can know.
func (r *BarrierRouter) quiet(t leadership.Term) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return false
	}
	r.acked = t
	return true
}

// Busy says whether a request is in flight that does not end.
func (r *BarrierRouter) Busy(busy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = busy
}

// Acked is the last term that it was quiet for, zero for none.
func (r *BarrierRouter) Acked() leadership.Term {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

// Crash kills it. Its lease lapses 100ms later. Like Cluster.Crash it is called
// between two calls of Do, or in Meanwhile.
func (r *BarrierRouter) Crash() { r.p.Crash() }

// remoteBarrier is the barrier as a process reaches it: it is kept where the
// registry is.
type remoteBarrier struct {
	from *stepsim.Proc
	w    *world
}

func (b remoteBarrier) Join(ctx context.Context, l leadership.RouterLease) (bool, error) {
	return stepsim.Call(ctx, b.from, b.w.regProc, "join", func(ctx context.Context) (bool, error) { return b.w.barrier.Join(ctx, l) })
}

func (b remoteBarrier) Ack(ctx context.Context, l leadership.RouterLease, t leadership.Term) error {
	_, err := stepsim.Call(ctx, b.from, b.w.regProc, "ack "+t.String(), func(ctx context.Context) (struct{}, error) { return struct{}{}, b.w.barrier.Ack(ctx, l, t) })
	return err
}

func (b remoteBarrier) Leave(ctx context.Context, l leadership.RouterLease) error {
	_, err := stepsim.Call(ctx, b.from, b.w.regProc, "leave", func(ctx context.Context) (struct{}, error) { return struct{}{}, b.w.barrier.Leave(ctx, l) })
	return err
}

// Wait has the other side give up a little earlier, so that it can say who was
// late.
func (b remoteBarrier) Wait(ctx context.Context, t leadership.Term) (leadership.RollCall, error) {
	end, bounded := ctx.Deadline()
	call, err := stepsim.Call(ctx, b.from, b.w.regProc, "quiet "+t.String(), func(ctx context.Context) (leadership.RollCall, error) {
		if bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, end.Add(-5*time.Millisecond))
			defer cancel()
		}
		return b.w.barrier.Wait(ctx, t)
	})
	var late *leadership.NotQuietError
	if errors.As(err, &late) {
		call.Late = late.Late
	}
	return call, err
}

// noteQuiet counts what changes said of routers.
func (w *world) noteQuiet(rep *reparent.Report) {
	if q := rep.Quiet; q != nil {
		w.counts["waited for routers, claimed "+strconv.FormatBool(q.Claimed)]++
	}
}
