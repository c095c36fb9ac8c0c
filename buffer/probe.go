package buffer

import (
	"context"
	"time"
)

// This file is the probe that is a statement of the host's own (Config.Probe),
// for servers that check no terms. It runs in the goroutine of a request that
// is held and stays held: its place, its age and its caps are not touched.

// candidate returns the first of the queue that is not busy with an earlier
// probe, failing those that are not worth a turn any more.
func (l *Lane) candidate(now time.Duration, fx *effects) *waiter {
	w := l.pick(now, fx)
	for w != nil && w.cancel != nil {
		w = w.next
	}
	return w
}

// askFor makes w's goroutine probe v.
func (l *Lane) askFor(w *waiter, v *view, fx *effects) {
	if fx.asked != nil && fx.asked != w {
		fx.asked.asked.Store(false)
	}
	w.v = v
	w.asked.Store(true)
	fx.asked = w
	l.undrive(w)
}

// unask is called when w leaves the queue: the next in it can probe.
func (l *Lane) unask(w *waiter) {
	if l.b.cfg.Probe == nil {
		return
	}
	w.asked.Store(false)
	if l.probe == w {
		l.probe = nil
	}
}

// undrive frees w from watching the timer. arm finds another.
func (l *Lane) undrive(w *waiter) {
	if l.driver == w {
		l.driver = nil
		w.driving.Store(false)
	}
}

// watcher returns the last in the queue whose goroutine is free to watch the
// timer, nil for none. The last will stay longest.
func (l *Lane) watcher() *waiter {
	w := l.q.tail
	for w != nil && (w.cancel != nil || w.asked.Load()) {
		w = w.prev
	}
	return w
}

// runProbe runs Config.Probe for the lane, in the goroutine of w, unless w was
// settled meanwhile.
func (l *Lane) runProbe(c *call, w *waiter) {
	cfg := &l.b.cfg
	l.mu.Lock()
	w.asked.Store(false) // under the mutex, with cancel: arm must not choose it to watch the timer
	if w.list == nil || l.probe != w {
		var fx effects
		if w.list != nil {
			l.step(l.b.now(), &fx) // it may be needed to watch the timer
		}
		l.mu.Unlock()
		fx.apply(l)
		return
	}
	now := l.b.now()
	// The wait of this request must end on time, too: then the next one
	// probes.
	end := min(l.probeAt+cfg.ProbeTimeout, w.arrived+cfg.MaxAge)
	if l.outageOn && !l.open {
		end = min(end, l.outageAt+cfg.MaxOutage)
	}
	ctx, cancel := context.WithTimeout(c.ctx, end-now)
	w.cancel = cancel // whoever settles w calls it
	v := w.v
	l.mu.Unlock()

	returned := false
	defer func() {
		cancel()
		if !returned { // it panicked
			l.leave(w, failCanceled)
			w.cancel = nil
			l.recycle(c)
		}
	}()
	err := cfg.Probe(ctx, v.lead, v.addr)
	l.probed(c, w, v, err)
	returned = true
}

// probed takes in what a probe found out.
func (l *Lane) probed(c *call, w *waiter, v *view, err error) {
	var class Class
	if err != nil {
		class = l.b.classify(err)
	}
	var fx effects
	l.mu.Lock()
	if w.list != nil {
		w.cancel = nil
	}
	now := l.b.now()
	switch {
	case l.probe != w:
		// It was settled meanwhile, took too long, or asked an older leader.
	case err == nil || class == Refused:
		l.probe = nil
		role := w.role
		w.role = roleProbe
		if err == nil {
			l.success(now, w, v)
		} else {
			l.n.Refused++
			r, _ := refusalIn(err)
			l.refuse(now, w, r, &fx)
		}
		w.role = role
	case c.ctx.Err() != nil:
		// Its own end says nothing about the leader. The next one probes.
		l.nextProbe = now
		l.mu.Unlock()
		l.leave(w, failCanceled)
		return
	default:
		l.probe = nil
		l.nextProbe = now + l.backoff()
	}
	if l.cur.Term.Less(l.learned.Term) {
		l.evaluate(now, &fx)
	} else if l.mode != Closed {
		l.step(now, &fx)
	}
	l.news(&fx)
	l.mu.Unlock()
	fx.apply(l)
}
