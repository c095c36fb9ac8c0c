package buffer

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// call is one Do off its fast path. It lives on the caller's stack.
type call struct {
	ctx     context.Context
	req     Request
	w       *waiter // nil until it is held for the first time
	v       *view   // what the last try was routed by, nil for no try yet
	err     error   // of the last try
	class   Class
	tries   int
	dials   uint32        // failed ones in a row, for back-off
	timer   *time.Timer   // for back-off; made when first needed
	arrived time.Duration // first hold, on the buffer's clock
	unknown bool          // some try may have been executed
}

// slow is Do from the first failure, or the first need to hold, to its end.
func (l *Lane) slow(ctx context.Context, req Request, fn func(context.Context, leadership.Leadership, string) error, v *view, err error) error {
	c := call{ctx: ctx, req: req, v: v, err: err}
	if v != nil {
		c.tries = 1
	}
	finished := false
	defer func() {
		if !finished { // fn panicked
			l.finish(&c, MaybeExecuted)
		}
	}()
	for {
		if c.v != nil {
			if c.err == nil {
				l.finish(&c, Answered)
				finished = true
				return nil
			}
			c.class = l.b.classify(c.err)
			again := c.class == NotSentYet || c.class == Refused
			if c.class == MaybeExecuted && req.Idempotent && ctx.Err() == nil {
				c.unknown, again = true, true
			}
			if !again {
				l.finish(&c, c.class)
				finished = true
				return c.err
			}
		}
		next, werr := l.next(&c)
		if werr != nil {
			finished = true
			return werr
		}
		c.v = next
		c.tries++
		c.err = fn(ctx, next.lead, next.addr)
	}
}

// finish ends a call that was answered, or whose error is returned as it is.
func (l *Lane) finish(c *call, class Class) {
	if c.err != nil && class == MaybeExecuted {
		if v := l.view.Load(); v.mode != Serving || v != c.v {
			l.leaked.Add(1)
		}
	}
	w := c.w
	if w == nil {
		return
	}
	var fx effects
	l.mu.Lock()
	now := l.b.now()
	if w.role != roleNone && l.mode != Closed {
		if class == Answered {
			l.success(now, w, c.v)
		} else if w.role == roleProbe {
			l.nextProbe = now + l.backoff()
		}
	}
	l.freeSlot(w, c.v)
	l.forget(w)
	if l.cur.Term.Less(l.learned.Term) {
		l.evaluate(now, &fx) // the hint was right
	} else if l.mode != Serving && l.mode != Closed {
		l.step(now, &fx)
	}
	l.mu.Unlock()
	fx.apply(l)
	l.recycle(c)
}

// success takes in that a released request was answered under v.
func (l *Lane) success(now time.Duration, w *waiter, v *view) {
	if l.cur.Term.Less(v.lead.Term) {
		l.learn(v.lead, v.addr)
	} else if v.lead.Term.Less(l.cur.Term) {
		return // it says nothing about the leader of now
	}
	if w.role == roleFlush {
		if l.flushing || l.mode == Serving {
			l.outageOn, l.open = false, false
		}
		if l.answered++; l.flushing && l.answered >= l.width {
			l.widen(now)
		}
		return
	}
	l.decided = false
	l.paused, l.tries, l.outageOn, l.open = false, 0, false, false
	// What came after the probe was sent is not answered by it.
	if l.refused.Compare(l.probeKnew) <= 0 {
		l.refused, l.hint = leadership.Term{}, leadership.Leadership{}
	}
	l.cleared = leadership.MaxTerm(l.cleared, l.probeSeen)
}

// freeSlot ends what w was released for.
func (l *Lane) freeSlot(w *waiter, v *view) {
	if w.role == roleFlush && v.lead.Term == l.cur.Term && l.running > 0 {
		l.running--
	}
	if l.probe == w {
		l.probe = nil
	}
	w.role = roleNone
	if l.mode == Serving && l.running == 0 {
		l.outageOn = false // nobody is left to tell
	}
}

// backoff returns the next delay before a probe when nobody named one.
func (l *Lane) backoff() time.Duration {
	d := backoff(l.tries)
	l.tries++
	return d
}

func (l *Lane) recycle(c *call) {
	w := c.w
	c.w = nil
	w.v = nil
	l.pool.Put(w)
}

// next blocks until the call may run, and returns the view to run it by, or
// the error that ends it.
func (l *Lane) next(c *call) (*view, error) {
	for {
		var fx effects
		fresh := c.w == nil
		if fresh {
			c.w = l.pool.Get().(*waiter)
		}
		w := c.w
		l.mu.Lock()
		now := l.b.now()
		v, why, pause := l.place(now, c, w, fresh, &fx)
		l.mu.Unlock()
		fx.apply(l)
		c.arrived = w.arrived
		switch {
		case why != undecided:
			return nil, l.fail(c, why)
		case v != nil:
			if fresh {
				l.recycle(c)
			}
			return v, nil
		}
		switch why := l.wait(c, w, pause); why {
		case run:
			if c.ctx.Err() != nil {
				l.giveBack(w) // the next one can use the turn
				return nil, l.fail(c, failCanceled)
			}
			if h := l.b.cfg.Hooks.Waited; h != nil {
				h(l.key, l.b.now()-c.arrived, nil)
			}
			return w.v, nil
		case reroute:
			// It left the list of those that back off; its last failure
			// has been dealt with.
			c.v = nil
		case failGone:
			c.w = nil
			return nil, l.fail(c, failCanceled)
		default:
			return nil, l.fail(c, why)
		}
	}
}

// wait blocks until somebody decides w's fate, its own back-off is over, or
// its context ends. After failGone w is not the caller's any more.
func (l *Lane) wait(c *call, w *waiter, pause time.Duration) verdict {
	var own <-chan time.Time
	if pause > 0 {
		if c.timer == nil {
			c.timer = time.NewTimer(pause)
		} else {
			c.timer.Reset(pause)
		}
		defer c.timer.Stop()
		own = c.timer.C
	}
	done := c.ctx.Done()
	for w.state.Load() != stateDecided {
		var tick <-chan time.Time
		if l.driver.Load() == w {
			tick = l.timer.C
		}
		select {
		case <-w.ch:
		case <-tick:
			l.tick()
		case <-own:
			own = nil
			if l.resume(w) {
				return reroute
			}
		case <-done:
			if w.state.CompareAndSwap(stateWaiting, stateGone) {
				l.depart(w)
				return failGone
			}
			done = nil // decided, and about to be told
		}
	}
	return w.verdict
}

// resume ends w's back-off, unless its fate was decided before.
func (l *Lane) resume(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.in != inRetry {
		return false
	}
	l.unlist(w)
	return true
}

// giveBack returns the turn of a released request whose context has ended.
func (l *Lane) giveBack(w *waiter) {
	var fx effects
	l.mu.Lock()
	l.freeSlot(w, w.v)
	l.forget(w)
	l.tally(failCanceled)
	if l.mode != Closed {
		l.step(l.b.now(), &fx)
	}
	l.mu.Unlock()
	fx.apply(l)
}

// fail makes the error of a call that ends without being run (again), and
// lets go of its waiter.
func (l *Lane) fail(c *call, why verdict) error {
	h := Wait{Lane: l.key, Waited: l.b.now() - c.arrived, Tries: c.tries, Unknown: c.unknown, Last: c.err}
	var outage time.Duration
	if c.w != nil {
		outage = c.w.deadline
		l.recycle(c)
	}
	var err error
	switch why {
	case failAge:
		err = &AgeError{h, l.b.cfg.MaxAge}
	case failOutage:
		err = &OutageError{h, outage}
	case failEvicted, failFull:
		s := l.Snapshot()
		err = &OverflowError{Wait: h, Evicted: why == failEvicted, Held: s.Held, Bytes: s.Bytes}
	case failClosed:
		err = &ClosedError{h}
	default:
		e := &CanceledError{Wait: h, Err: c.ctx.Err(), Cause: context.Cause(c.ctx)}
		if e.Err == nil {
			e.Err = context.DeadlineExceeded
		}
		err = e
	}
	if hook := l.b.cfg.Hooks.Waited; hook != nil {
		hook(l.key, h.Waited, err)
	}
	return err
}
