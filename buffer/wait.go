package buffer

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// call is one wait for a turn. It lives on the caller's stack, together with
// every frame below it while the call waits: they are kept so small that a
// goroutine that does little else waits on the stack it was born with.
type call struct {
	ctx     context.Context
	req     Request
	w       *waiter       // nil until it is held for the first time
	v       *view         // what the last try was routed by, nil for no try yet
	err     error         // of the last try
	arrived time.Duration // first hold, on the buffer's clock
	began   time.Duration // last try that was released
	tries   uint32
	dials   uint32 // failed ones in a row, for back-off
	class   Class
	unknown bool // some try may have been executed

	// What ctx said before the lane's lock was taken for this place.
	ended    bool
	deadline time.Duration // 0 for none
}

// slow is Do from the first failure, or the first need to hold or count, to
// its end.
func (l *Lane) slow(ctx context.Context, req *Request, fn func(context.Context, leadership.Leadership, string) error, v *view, err error) error {
	var c call // filled field by field: a literal is made elsewhere and copied
	c.ctx = ctx
	c.req = *req
	c.v = v
	if v == nil {
		if l.b.cfg.DryRun {
			l.haunt(&c)
		} else if err = l.next(&c); err != nil {
			return err
		}
		err = l.try(&c, fn)
	}
	for err != nil {
		if err = l.again(&c, err); err != nil {
			return err
		}
		err = l.try(&c, fn)
	}
	l.end(&c, nil)
	return nil
}

// try runs fn, and ends the call when it panics. It is out of line like send.
//
//go:noinline
func (l *Lane) try(c *call, fn func(context.Context, leadership.Leadership, string) error) error {
	returned := false
	defer func() {
		if !returned {
			l.end(c, leadership.ErrUnknownOutcome)
		}
	}()
	err := c.v.send(c.ctx, fn)
	returned = true
	return err
}

// again takes in that the try by c.v failed with err, and waits for the next
// turn if there may be one. An error ends the call.
func (l *Lane) again(c *call, err error) error {
	if l.b.cfg.DryRun {
		l.end(c, err)
		return err
	}
	c.err, c.class = err, l.b.judge(c.ctx, err)
	c.tries++
	harmless := c.class == NotSentYet || c.class == Refused
	if c.class == MaybeExecuted && c.req.Idempotent && c.ctx.Err() == nil {
		c.unknown, harmless = true, true
	}
	if !harmless || c.v.final { // see PassThrough
		l.finish(c, c.class)
		l.uncount(c.v)
		return c.final(err)
	}
	return l.next(c)
}

// end ends a call whose turn is not asked for again.
func (l *Lane) end(c *call, err error) {
	if c.w != nil || err != nil || c.v.final {
		c.err, c.class = err, Answered
		if err != nil {
			c.class = l.b.judge(c.ctx, err)
		}
		if l.b.cfg.DryRun {
			l.seen(c)
		} else {
			l.finish(c, c.class)
		}
	}
	l.uncount(c.v)
}

// finish ends a call that was answered, or whose error goes to its caller.
func (l *Lane) finish(c *call, class Class) {
	if c.err != nil && class == MaybeExecuted {
		if v := l.view.Load(); v.mode != Serving || v != c.v {
			l.leaked.Add(1)
		}
	}
	held := c.w != nil
	switch {
	case held || c.v.final:
	case class == Refused:
		c.w = l.pool.Get().(*waiter) // only to say what was refused
		c.w.role = roleNone
	default:
		return
	}
	w := c.w
	var fx effects
	l.lock()
	now := l.b.now()
	switch {
	case l.mode == Closed:
	case c.v.final:
		if class == Answered && c.v.lead.Term == l.cur.Term {
			l.answered(c.v.seen, c.v.knew)
		}
	case class == Refused:
		l.failed(now, c, w, &fx)
	case w.role == roleNone:
	case class == Answered:
		l.success(now, c, &fx)
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
	if w != nil {
		l.recycle(c)
	}
}

// success takes in that a released request was answered under v.
func (l *Lane) success(now time.Duration, c *call, fx *effects) {
	w, v := c.w, c.v
	if l.cur.Term.Less(v.lead.Term) {
		l.learn(v.lead, v.addr)
	} else if v.lead.Term.Less(l.cur.Term) {
		return // it says nothing about the leader of now
	}
	if w.role == roleFlush {
		if l.flushing || l.mode == Serving {
			l.outageOn, l.open = false, false
		}
		if l.flushing && v.epoch >= l.ramp.cut {
			l.answeredIn(now, now-c.began, fx)
		}
		return
	}
	l.answered(v.seen, v.knew)
}

// answered ends what held the lane when a request was sent that the leader of
// now answered: an announcement seen and a refusal known then. What came after
// it was sent is not answered by it.
func (l *Lane) answered(seen, knew leadership.Term) {
	l.decided = false
	l.paused, l.tries, l.outageOn, l.open, l.passing = false, 0, false, false, false
	if l.refused.Compare(knew) <= 0 {
		l.refused, l.hint = leadership.Term{}, leadership.Leadership{}
	}
	l.cleared = leadership.MaxTerm(l.cleared, seen)
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
	w.used()
	l.pool.Put(w)
}

// next blocks until the call may run by c.v, or returns the error that ends it.
func (l *Lane) next(c *call) error {
	for {
		why, pause := l.enqueue(c)
		if why == undecided {
			if pause > 0 || l.driver.Load() == c.w {
				why = l.watch(c, pause)
			} else {
				why = l.wait(c)
			}
			if why == run {
				why = l.start(c)
			}
		}
		switch why {
		case run:
			return nil
		case reroute:
			// It left the list of those that back off, or has probed: its last
			// failure has been dealt with.
			c.v = nil
		default:
			return l.fail(c, why)
		}
	}
}

// enqueue finds the call a place, see place.
//
//go:noinline
func (l *Lane) enqueue(c *call) (why verdict, pause time.Duration) {
	var fx effects
	fresh, tried := c.w == nil, c.v
	if fresh {
		c.w = l.pool.Get().(*waiter)
	}
	c.look(l.b)
	l.lock()
	v, why, pause := l.place(l.b.now(), c, fresh, &fx)
	l.mu.Unlock()
	fx.apply(l)
	if tried != nil {
		l.uncount(tried)
	}
	c.arrived = c.w.arrived
	if v != nil {
		c.v, why = v, run
		if fresh {
			l.recycle(c)
		}
	}
	return why, pause
}

// look takes down what ctx says.
//
//go:noinline
func (c *call) look(b *Buffer) {
	c.ended = c.ctx.Err() != nil
	if d, ok := c.ctx.Deadline(); ok {
		c.deadline = d.Sub(b.epoch)
	}
}

// start takes the turn of a released request, or gives it back when its
// context has ended.
//
//go:noinline
func (l *Lane) start(c *call) verdict {
	if c.ctx.Err() != nil {
		l.giveBack(c.w) // the next one can use the turn
		return failCanceled
	}
	if c.w.role == roleProbe && l.b.cfg.Probe != nil {
		return l.inquire(c)
	}
	if h := l.b.cfg.Hooks.Waited; h != nil {
		h(l.key, l.b.now()-c.arrived, nil)
	}
	c.v, c.began = c.w.v, l.b.now()
	return run
}

// wait blocks until somebody decides the fate of the call's waiter, or its
// context ends. After failGone the waiter is not the caller's any more.
func (l *Lane) wait(c *call) verdict {
	w := c.w
	for w.state() != stateDecided {
		select {
		case <-w.ch:
			if l.driver.Load() == w {
				return l.watch(c, 0)
			}
		case <-c.ctx.Done():
			if l.abandon(c) {
				return failGone
			}
			<-w.ch // decided, and about to be told
		}
	}
	return w.verdict
}

// watch is wait for a call that watches the lane's timer as well, or that backs
// off.
func (l *Lane) watch(c *call, pause time.Duration) verdict {
	var own <-chan time.Time
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		own = timer.C
	}
	w := c.w
	for w.state() != stateDecided {
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
			if l.rested(w) {
				return reroute
			}
		case <-c.ctx.Done():
			if l.abandon(c) {
				return failGone
			}
			<-w.ch
		}
	}
	return w.verdict
}

// abandon gives the call's waiter up to the lane, unless it was decided before.
//
//go:noinline
func (l *Lane) abandon(c *call) bool {
	if !c.w.move(stateGone) {
		return false
	}
	l.depart(c.w)
	c.w = nil
	return true
}

// rested ends w's back-off, unless its fate was decided before.
func (l *Lane) rested(w *waiter) bool {
	l.lock()
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
	l.lock()
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
