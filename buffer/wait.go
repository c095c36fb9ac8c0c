package buffer

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// call is one wait for a turn. It lives on the caller's stack.
type call struct {
	ctx     context.Context
	req     Request
	w       *waiter // nil until it is held for the first time
	v       *view   // what the last try was routed by, nil for no try yet
	err     error   // of the last try
	class   Class
	tries   int
	unknown bool // some try may have been executed
}

// slow is Do from the first failure, or the first need to hold or count, to
// its end.
func (l *Lane) slow(ctx context.Context, req Request, fn func(context.Context, leadership.Leadership, string) error, v *view, err error) error {
	t := Turn{v: v, req: req, kept: true}
	if v == nil {
		if werr := t.wait(ctx, l); werr != nil {
			return werr
		}
	}
	defer t.abandon()
	if v == nil {
		err = fn(ctx, t.v.lead, t.v.addr)
	}
	for err != nil {
		if err = t.Retry(ctx, err); err != nil {
			return err
		}
		err = fn(ctx, t.v.lead, t.v.addr)
	}
	t.Done(nil)
	return nil
}

// abandon ends a turn whose request function panicked.
func (t *Turn) abandon() {
	if !t.over {
		t.Done(leadership.ErrUnknownOutcome)
	}
}

// finish ends a call that was answered, or whose error goes to its caller.
func (l *Lane) finish(c *call, class Class) {
	if c.err != nil && class == MaybeExecuted {
		if v := l.view.Load(); v.mode != Serving || v != c.v {
			l.leaked.Add(1)
		}
	}
	held := c.w != nil
	if !held {
		if class != Refused {
			return
		}
		c.w = l.pool.Get().(*waiter) // only to say what was refused
		c.w.unit, c.w.role = c.req.Unit, roleNone
	}
	w := c.w
	var fx effects
	l.mu.Lock()
	now := l.b.now()
	switch {
	case l.mode == Closed:
	case class == Refused:
		l.failure(now, c, w, &fx)
	case w.role == roleNone:
	case class == Answered:
		l.success(now, w, c.v)
	case w.role == roleProbe:
		l.nextProbe = now + l.backoff()
	}
	if held {
		l.freeSlot(w, c.v)
		l.forget(w)
	}
	if l.cur.Term.Less(l.learned.Term) {
		l.evaluate(now, &fx) // the hint was right
	} else if l.mode != Serving && l.mode != Closed {
		l.step(now, &fx)
	}
	l.news(&fx)
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
	w.gen.Add(1)
	l.pool.Put(w)
}

// next blocks until the call may run, and returns the view to run it by, or
// the error that ends it.
func (l *Lane) next(c *call) (*view, error) {
	tried := c.v
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
		if tried != nil {
			l.uncount(tried)
			tried = nil
		}
		switch {
		case why != undecided:
			return nil, l.fail(c, why)
		case v != nil:
			if fresh {
				l.recycle(c)
			}
			return v, nil
		}
		why = l.wait(c, w, pause)
		if why == run && w.role == roleProbe && l.b.cfg.Probe != nil && c.ctx.Err() == nil {
			why = l.inquire(c)
		}
		switch why {
		case run:
			if c.ctx.Err() != nil {
				l.giveBack(w) // the next one can use the turn
				return nil, l.fail(c, failCanceled)
			}
			if h := l.b.cfg.Hooks.Waited; h != nil {
				h(l.key, l.b.now()-w.arrived, nil)
			}
			return w.v, nil
		case reroute:
			// It left the list of those that back off, or has probed: its last
			// failure has been dealt with.
			c.v = nil
		default:
			return nil, l.fail(c, why)
		}
	}
}

// wait blocks until somebody decides w's fate, its own back-off is over, or
// its context ends.
func (l *Lane) wait(c *call, w *waiter, pause time.Duration) verdict {
	var own <-chan time.Time
	if pause > 0 {
		if w.timer == nil {
			w.timer = time.NewTimer(pause)
		} else {
			w.timer.Reset(pause)
		}
		defer w.timer.Stop()
		own = w.timer.C
	}
	for w.state.Load() != stateDecided {
		var tick <-chan time.Time
		if w.driving.Load() {
			tick = l.timer.C
		}
		select {
		case <-w.ch:
		case <-tick:
			l.tick()
		case <-own:
			own = nil
			l.leave(w, reroute)
		case <-c.ctx.Done():
			l.leave(w, failCanceled)
		}
	}
	return w.verdict
}

// leave takes w out of its list for a reason of its own, unless its fate was
// decided before. Either way it is published when leave returns.
func (l *Lane) leave(w *waiter, why verdict) {
	var fx effects
	l.mu.Lock()
	if w.list == nil {
		l.mu.Unlock()
		for w.state.Load() != stateDecided {
			<-w.ch
		}
		return
	}
	q := w.list == &l.q
	w.list.remove(w)
	w.verdict = why
	w.state.Store(stateDecided)
	if why > reroute {
		l.forget(w)
		l.tally(why)
	}
	drove := l.driver == w
	if drove {
		l.driver = nil
		w.driving.Store(false)
	}
	if q && (drove || l.q.head == nil) {
		l.step(l.b.now(), &fx)
	}
	l.mu.Unlock()
	fx.apply(l)
}

// giveBack returns the turn of a released request whose context has ended.
func (l *Lane) giveBack(w *waiter) {
	var fx effects
	l.mu.Lock()
	counted := w.role != roleProbe || l.b.cfg.Probe == nil
	l.freeSlot(w, w.v)
	l.forget(w)
	l.tally(failCanceled)
	if l.mode != Closed {
		l.step(l.b.now(), &fx)
	}
	l.mu.Unlock()
	fx.apply(l)
	if counted {
		l.uncount(w.v)
	}
}

// fail makes the error of a call that ends without being run (again), and
// lets go of its waiter.
func (l *Lane) fail(c *call, why verdict) error {
	w := c.w
	h := Wait{Lane: l.key, Waited: l.b.now() - w.arrived, Tries: c.tries, Unknown: c.unknown, Last: c.err}
	outage := w.outage
	l.recycle(c)
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
