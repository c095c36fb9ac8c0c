package buffer

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Router is how a process takes part in a leadership.Barrier.
type Router struct {
	// ID names the process; no other that is alive may have the same.
	ID leadership.RouterID
	// TTL is for how long a planned change waits for this process when it has
	// died, and roughly for how long the barrier may be out of reach before its
	// lanes hold. 0 means 2s. It should be below the coordinator's limit for
	// the wait (reparent.Limits.Quiet), or a process that died ends the change.
	TTL time.Duration
	// Suspended, when set, is called with the reason when the lanes begin to
	// hold because the lease is lost, and with nil when they go on, the first
	// time included. It must not block.
	Suspended func(err error)

	_ struct{}
}

// Join takes part in the barrier for lanes that count (Config.Counted) and follow
// one cluster, whose leader cannot refuse, until ctx ends. It keeps the lease of
// r, and acks the term of an announced change as soon as none of the lanes has a
// request in flight that was routed below it. It runs in the caller's
// goroutine, beside Follow, which tells the lanes of changes; what else it
// starts has ended when it returns.
//
// The lanes hold from the call on until they have joined and reg, the registry
// that they follow, has told them a record that was loaded after that: a
// change that was announced before is not missed. Requests that were let
// through before the call are waited for, but no change knew of them: begin
// with Join, and call Follow when r.Suspended was called with nil.
//
// When the barrier does not answer, the lanes hold again from
// leadership.RouterLease.Usable after the last renewal on, until barrier and
// registry have both answered again. A barrier that is down for long thus stops
// requests, whose wait the lanes' caps end: it should be as available as the
// registry. That is the price of a planned change without errors; no data depends
// on it.
//
// When ctx ends the lanes are left holding, for the next Join. The lease is
// given back, for which at most a quarter of TTL is used, unless requests are in
// flight: it lapses then, and a change waits for that. Join returns
//
//   - context.Cause(ctx) when ctx ends, and a *ClosedError when the buffer is closed;
//   - a *ConfigError when ctx, barrier or reg is nil, no lane is given, or one is of
//     another buffer, does not count, runs dry, or has joined already;
//   - a *leadership.RouterLeaseError for an ID or a TTL that no router can
//     have;
//   - an error wrapping leadership.ErrClosed when the barrier or the registry is
//     closed for good.
func (b *Buffer) Join(ctx context.Context, barrier leadership.Barrier, reg leadership.Registry, r Router, lanes ...*Lane) error {
	if ctx == nil {
		return errNoContext
	}
	if r.TTL == 0 {
		r.TTL = 2 * time.Second
	}
	m := &member{
		barrier: barrier, reg: reg, lanes: lanes, told: r.Suspended,
		lease: leadership.RouterLease{Router: r.ID, Session: rand.Text(), TTL: r.TTL},
		work:  make(chan bool), done: make(chan result), fresh: make(chan struct{}, 1),
	}
	if err := b.joinable(m); err != nil {
		return err
	}
	defer b.disjoin(m)
	for _, l := range lanes {
		l.suspend()
	}
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { m.toil(ctx) })
	wg.Go(func() { stop(m.acks(ctx)) })
	err := m.keep(ctx)
	stop(err)
	wg.Wait()
	m.leave(ctx)
	return err
}

// joinable enrols the lanes, each of which has one Join speak for it at a time.
func (b *Buffer) joinable(m *member) error {
	switch {
	case m.barrier == nil:
		return &ConfigError{"barrier", "is nil"}
	case m.reg == nil:
		return &ConfigError{"registry", "is nil"}
	}
	if err := b.ours(m.lanes); err != nil {
		return err
	}
	switch {
	case !b.cfg.Counted:
		return &ConfigError{"Counted", "is not set: the lanes do not know what is in flight"}
	case b.cfg.DryRun:
		return &ConfigError{"DryRun", "is set: the lanes hold nothing, so they cannot be quiet"}
	}
	if err := m.lease.Validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, l := range m.lanes {
		if l.enrolled {
			for _, l := range m.lanes[:i] {
				l.enrolled = false
			}
			return &ConfigError{"lanes", "has one that has joined already: " + l.key}
		}
		l.enrolled = true
	}
	return nil
}

func (b *Buffer) disjoin(m *member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range m.lanes {
		l.enrolled = false
	}
}

// member is one Join. The goroutine of its caller alone decides whether the lanes
// may send: it watches the clock and waits for nobody. Calls to the barrier and
// the registry, which may hang, are made by a second one, and a third acks.
type member struct {
	barrier leadership.Barrier
	reg     leadership.Registry
	lease   leadership.RouterLease
	lanes   []*Lane
	told    func(error) // nil for nobody

	work  chan bool     // what to call next: true to load, false to renew
	done  chan result   // what that came to
	fresh chan struct{} // capacity 1: the lease is a new one, and has acked nothing

	// Of keep alone.
	until  time.Time // when the lanes may not send any more
	passes bool      // they may send: they joined, loaded, and have not lapsed since
}

// result is what a call came to.
type result struct {
	load  bool
	began time.Time
	fresh bool
	rec   leadership.Record
	err   error
}

// toil makes one call after the other, until ctx ends.
func (m *member) toil(ctx context.Context) {
	for {
		r := result{}
		select {
		case <-ctx.Done():
			return
		case r.load = <-m.work:
		}
		call, cancel := context.WithTimeout(ctx, m.lease.Renew())
		r.began = time.Now()
		if r.load {
			r.rec, r.err = m.reg.Load(call)
		} else {
			r.fresh, r.err = m.barrier.Join(call, m.lease)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case m.done <- r:
		}
	}
}

// keep keeps the lease, and suspends the lanes before it may have lapsed.
func (m *member) keep(ctx context.Context) error {
	lapse, due := time.NewTimer(m.lease.Usable()), time.NewTimer(0)
	defer lapse.Stop()
	defer due.Stop()
	failed := errors.New("buffer: the lease was not renewed in time")
	for {
		call, load := false, false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-lapse.C:
			m.suspend(failed)
		case <-due.C:
			call = true
		case r := <-m.done:
			switch {
			case r.err != nil:
				if final(r.err) {
					return r.err
				}
				failed = r.err
				due.Reset(m.pause())
			case r.load:
				m.resume(r.rec)
				due.Reset(m.lease.Renew())
			default:
				m.renewed(r)
				lapse.Reset(time.Until(m.until))
				call, load = !m.passes, true
				due.Reset(time.Until(r.began.Add(m.lease.Renew())))
			}
		}
		if call {
			due.Stop() // until this one is over
			select {
			case m.work <- load:
			case <-ctx.Done():
			}
		}
	}
}

// renewed takes in that the lease lasts from r.began on. When it is a new one, or
// the old one may have lapsed before, changes may have been announced that
// counted without us.
func (m *member) renewed(r result) {
	if r.fresh || !time.Now().Before(m.until) {
		m.suspend(&leadership.RouterLapsedError{Router: m.lease.Router})
	}
	m.until = r.began.Add(m.lease.Usable())
	if r.fresh {
		select {
		case m.fresh <- struct{}{}:
		default:
		}
	}
}

// suspend makes the lanes hold.
func (m *member) suspend(why error) {
	if !m.passes {
		return
	}
	m.passes = false
	for _, l := range m.lanes {
		l.suspend()
	}
	if m.told != nil {
		m.told(why)
	}
}

// resume lets the lanes go on, by a record that was loaded under the lease, unless
// that is over by now. No renewal runs beside a load: what is left of the lease now
// was there when the load began.
func (m *member) resume(rec leadership.Record) {
	if !time.Now().Before(m.until) {
		return
	}
	m.passes = true
	for _, l := range m.lanes {
		l.Observe(rec)
		l.resume()
	}
	if m.told != nil {
		m.told(nil)
	}
}

// pause is how long after a failed call to make the next.
func (m *member) pause() time.Duration {
	return min(max(m.lease.Renew()/4, minBackoff), followMax)
}

// final reports whether an error of the barrier or the registry will not pass.
func final(err error) bool {
	var bad *leadership.RouterLeaseError
	return errors.As(err, &bad) || errors.Is(err, leadership.ErrClosed)
}

// acks acks the terms of announced changes, until ctx ends or the buffer is closed.
func (m *member) acks(ctx context.Context) error {
	first := m.lanes[0] // all follow one cluster: what is announced to it is to all
	var acked leadership.Term
	for {
		changed := first.Changed()
		if first.view.Load().mode == Closed {
			return &ClosedError{Wait{Lane: first.key}}
		}
		var again <-chan time.Time
		if t := first.Announced(); !t.IsZero() && t != acked {
			if m.ack(ctx, t) == nil {
				acked = t
				continue
			}
			again = time.After(m.pause())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-again:
		case <-m.fresh:
			acked = leadership.Term{}
		}
	}
}

// ack waits until every lane is quiet for t, and says so. What one lane said stays
// true while the others are waited for, as long as the hold that is acked: the
// coordinator looks whether that still stands.
func (m *member) ack(ctx context.Context, t leadership.Term) error {
	for _, l := range m.lanes {
		if err := l.Quiesced(ctx, t); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, m.lease.Renew())
	defer cancel()
	return m.barrier.Ack(ctx, m.lease, t)
}

// leave gives the lease back, unless somebody may be using it yet.
func (m *member) leave(ctx context.Context) {
	for _, l := range m.lanes {
		l.suspend()
	}
	for _, l := range m.lanes {
		if !l.idle() {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.lease.Renew())
	defer cancel()
	_ = m.barrier.Leave(ctx, m.lease) // else it lapses
}
