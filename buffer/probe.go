package buffer

import (
	"context"
	"time"
)

// This file is the probe that is a statement of the host's own (Config.Probe),
// for servers that check no terms. It runs in the goroutine of a request that
// is held and stays held: its place, its age and its caps are not touched.

// candidate returns whose turn it is, failing those that are not worth one any
// more: claimed, to be sent itself, or, with Config.Probe, the first that is not
// busy with an earlier probe.
func (l *Lane) candidate(now time.Duration, fx *effects) *waiter {
	if l.b.cfg.Probe == nil {
		return l.pick(now, fx)
	}
	for {
		w := l.except(l.q.next, func(w *waiter) bool { return w.cancel != nil })
		switch {
		case w == nil:
			return nil
		case w.deadline != 0 && w.deadline <= now+l.b.cfg.MinService:
			l.settle(w, failDeadline, fx)
		case w.state.Load() == stateGone:
			l.unlist(w)
		default:
			return w
		}
	}
}

// except returns the first of the queue, in the order of which, that is not
// busy. Those few that are leave the queue for that moment.
func (l *Lane) except(which func() *waiter, busy func(*waiter) bool) *waiter {
	w := which()
	var aside *waiter // chained by next
	for ; w != nil && busy(w); w = which() {
		l.q.remove(w)
		w.next, aside = aside, w
	}
	for aside != nil {
		v := aside
		aside, v.next = v.next, nil
		l.q.insert(v)
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
	if l.driver.Load() == w {
		l.driver.Store(nil)
	}
}

// watcher returns one of those that will wait longest, whose goroutine is free
// to watch the timer; nil for none.
func (l *Lane) watcher() *waiter {
	if l.b.cfg.Probe == nil {
		return l.q.last()
	}
	return l.except(l.q.last, func(w *waiter) bool { return w.cancel != nil || w.asked.Load() })
}

// runProbe runs Config.Probe for the lane, in the goroutine of w, unless w was
// settled meanwhile. It reports whether w is the lane's, its context having ended.
func (l *Lane) runProbe(c *call, w *waiter) bool {
	cfg := &l.b.cfg
	l.lock()
	w.asked.Store(false) // under the mutex, with cancel: arm must not choose it to watch the timer
	if w.in == inNone || l.probe != w {
		var fx effects
		if w.in != inNone {
			l.step(l.b.now(), &fx) // it may be needed to watch the timer
		}
		l.mu.Unlock()
		fx.apply(l)
		return false
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
			l.desert(c, w)
		}
	}()
	err := cfg.Probe(ctx, v.lead, v.addr)
	gone := l.probed(c, w, v, err)
	returned = true
	return gone
}

// desert ends the wait of a call whose Config.Probe panicked.
func (l *Lane) desert(c *call, w *waiter) {
	if l.abandon(c) {
		return
	}
	for w.state.Load() != stateDecided {
		<-w.ch
	}
	w.cancel = nil
	if w.verdict == run {
		l.giveBack(w)
	}
	l.recycle(c)
}

// probed takes in what a probe found out.
func (l *Lane) probed(c *call, w *waiter, v *view, err error) (gone bool) {
	var class Class
	if err != nil {
		class = l.b.classify(err)
	}
	var fx effects
	l.lock()
	if w.in != inNone {
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
			l.success(now, &call{w: w, v: v}, &fx)
		} else {
			l.n.Refused++
			r, _ := refusalIn(err)
			l.refuse(now, c, w, r, &fx)
		}
		w.role = role
	case c.ctx.Err() != nil:
		// Its own end says nothing about the leader. The next one probes.
		l.nextProbe = now
		l.mu.Unlock()
		return l.abandon(c)
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
	return false
}
