package buffer

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Route is whom to send to, as a lane knew it at one moment. It is one word,
// safe for concurrent use, and never changes. The zero Route names nobody.
type Route struct{ v *view }

// To returns the leadership.
func (r Route) To() leadership.Leadership {
	to := new(leadership.Leadership) // stays on the stack; two copies would cost more
	if r.v != nil {
		to = &r.v.lead
	}
	return *to
}

// Addr returns where its leader is reached; empty when only its name is known.
func (r Route) Addr() string {
	if r.v == nil {
		return ""
	}
	return r.v.addr
}

// Turn is the leave to send one request. Lane.Enter returns it for callers
// that cannot put their request into a function, as Lane.Do wants it: drivers,
// interceptors, proxies.
//
//	turn, err := lane.Enter(ctx, req)
//	for err == nil {
//		if err = send(turn.To(), turn.Addr()); err == nil {
//			break
//		}
//		err = turn.Retry(ctx, err) // nil: send again
//	}
//	turn.Done(err)
//
// Every turn must be ended, by Done or by a Retry that returns an error. One
// that is dropped keeps its part of the caps and, if it was held, its flush
// slot until a new leadership is known; on a lane that counts (Config.Counted)
// Quiesced then waits for it for ever.
//
// A Turn may be moved, not copied: only one copy may be used. It is not safe
// for concurrent use. The zero Turn is nobody's: Answered and Done do nothing,
// Current is false, Retry returns a *TurnError.
type Turn struct {
	// v comes first and alone is written by an Enter that need not wait: the
	// struct is copied in words of the size they were written in, which a
	// processor forwards from its stores without waiting for them.
	v   *view   // nil: nobody's
	w   *waiter // nil unless it was held
	req Request
	// gen is w's when w was taken. When another copy of the turn ended it, w
	// is somebody else's by now.
	gen      uint32
	retries  uint32
	dials    uint32        // failed ones in a row
	began    time.Duration // when it was released, if it was held
	unknown  bool          // some try may have been executed
	answered bool
	over     bool
	kept     bool // the lane keeps something of it: it was held, or is counted
}

// Enter waits, as Do does, until the request may be sent, and returns its
// turn. The errors are those of Do, and nothing was sent then. A turn that
// need not wait is given without a look at ctx.
func (l *Lane) Enter(ctx context.Context, req Request) (t Turn, err error) {
	t.req = req // so small that it is inlined
	err = t.start(ctx, l)
	return
}

func (t *Turn) start(ctx context.Context, l *Lane) error {
	v := l.view.Load()
	if v == nil || t.req.Bytes < 0 || !v.passes(t.req.Unit) || !t.req.Priority.known() {
		return t.wait(ctx, l)
	}
	t.v = v
	if v.gate != nil {
		t.kept = true // before the count, which waits for all stores anyway
		if !l.enter(v.gate) {
			return t.wait(ctx, l)
		}
	}
	return nil
}

// wait is start off its fast path.
func (t *Turn) wait(ctx context.Context, l *Lane) error {
	if l.b == nil || ctx == nil || t.req.Bytes < 0 || !t.req.Priority.known() {
		return t.bad(ctx, l)
	}
	var c call
	c.ctx = ctx
	c.req = t.req
	if l.b.cfg.DryRun {
		l.haunt(&c)
	} else if err := l.next(&c); err != nil {
		*t = Turn{}
		return err
	}
	t.take(&c)
	return nil
}

// bad returns why the request cannot be run, and leaves the turn nobody's.
func (t *Turn) bad(ctx context.Context, l *Lane) error {
	err := l.badRequest(ctx, &t.req)
	*t = Turn{}
	return err
}

// take takes over what a wait has left.
//
//go:noinline
func (t *Turn) take(c *call) {
	w := c.w
	t.v, t.w, t.req, t.dials, t.began = c.v, w, c.req, c.dials, c.began
	t.retries, t.unknown = c.tries, c.unknown
	t.kept = w != nil || t.v.gate != nil || t.v.final
	if w != nil {
		t.gen = w.gen()
	}
}

// give is take the other way round.
//
//go:noinline
func (t *Turn) give(c *call) {
	c.v, c.w, c.req, c.dials, c.began = t.v, t.w, t.req, t.dials, t.began
	c.tries, c.unknown = t.retries, t.unknown
}

// live reports whether the turn is somebody's and not over.
func (t *Turn) live() bool {
	return t.v != nil && !t.over && (t.w == nil || t.w.gen() == t.gen)
}

// To returns the leadership to send to. It changes with each Retry and stays
// readable after the end of the turn.
func (t *Turn) To() leadership.Leadership { return Route{t.v}.To() }

// Addr returns where the leader of To is reached; empty when only its name is
// known.
func (t *Turn) Addr() string { return Route{t.v}.Addr() }

// Current reports whether the lane knows of no newer leadership than To. A
// unit that lives on asks it before it goes on with a connection.
func (t *Turn) Current() bool {
	return t.v != nil && !t.v.lead.Term.Less(t.v.lane.view.Load().lead.Term)
}

// Retry reports that the try at To failed with err.
//
// When err proves that the try had no effect (see Classify), or is
// MaybeExecuted and the request Idempotent, the request waits in its old
// place, with its old age and the deadline it came with, for its next turn.
// Retry then returns nil: send again, to the new To. The wait ends with ctx.
//
// Otherwise the turn is over, as after Done, and Retry returns err when err
// is final, without a proof that is not about the whole request (see Lane.Do), or
// the error of this package that ended the wait. ctx is the one that the try ran
// under. After Answered the request has no old place any more and waits as a new
// one.
//
// Retry of a turn that is over, and with a nil err or ctx, returns a *TurnError.
// The turn is over then, as after Done(err).
func (t *Turn) Retry(ctx context.Context, err error) error {
	if !t.live() || err == nil || ctx == nil {
		return t.misused(err)
	}
	var c call
	c.ctx = ctx
	t.give(&c)
	if err = t.v.lane.again(&c, err); err != nil {
		t.over = true
		return err
	}
	t.take(&c)
	t.answered = false
	return nil
}

func (t *Turn) misused(err error) error {
	switch {
	case t.v == nil:
		return &TurnError{Reason: "the turn is nobody's"}
	case err == nil && t.live():
		t.Done(nil)
		return &TurnError{t.v.lane.key, "Retry without an error"}
	case t.live():
		t.Done(err)
		return &TurnError{t.v.lane.key, "Retry without a context"}
	}
	return &TurnError{t.v.lane.key, "the turn is over"}
}

// Answered says that the leader took the request, while its caller goes on
// with it: a transaction that has begun, a stream that is open. Its flush slot
// is free for the next, it holds no part of the caps, and it is no probe any
// more. On a lane that counts it stays counted until Done. A second Answered
// is a no-op.
func (t *Turn) Answered() {
	if t.answered || !t.live() {
		return
	}
	t.answered = true
	if t.w != nil {
		var c call
		t.give(&c)
		t.w = nil
		t.v.lane.finish(&c, Answered)
	}
}

// Done ends the turn with the outcome of the request as its caller sees it:
// nil when it was answered. Unlike Retry it never waits. An error is
// classified and tells the lane what it tells Do: a refusal that is not
// retried makes the lane hold all the same. Done does not know the request's
// context: an err that may be its cause, and be a proof of something else, is
// told as leadership.ErrUnknownOutcome. A second Done is a no-op.
func (t *Turn) Done(err error) {
	if !t.kept && err == nil {
		t.over = true
		return
	}
	t.done(err)
}

func (t *Turn) done(err error) {
	if err == nil && t.w == nil && !t.over && t.v != nil && !t.v.final {
		t.over = true
		t.v.lane.uncount(t.v)
		return
	}
	if !t.live() {
		return
	}
	t.over = true
	var c call
	t.give(&c)
	t.v.lane.end(&c, err)
}

// Leader returns the newest leadership that the lane knows, and its address,
// whether or not requests may be sent there now.
func (l *Lane) Leader() (leadership.Leadership, string) {
	r := Route{l.view.Load()}
	return r.To(), r.Addr()
}

// Changed returns a channel that is closed when the lane's state, leadership,
// address or announcement differs from what it was at this call. It is a
// level, not an event: take the channel, look, then wait. Several changes may
// be one close.
func (l *Lane) Changed() <-chan struct{} {
	l.lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Announced returns the term of the announced change that the lane holds for,
// zero for none.
func (l *Lane) Announced() leadership.Term {
	l.lock()
	defer l.mu.Unlock()
	return l.told
}

// announcement is what Announced returns. It copies no record.
func (l *Lane) announcement() leadership.Term {
	in, routed := &l.rec.Intent, l.rec.Routed.Term
	if top := leadership.MaxTerm(l.rec.Active.Term, routed); top.Compare(l.learned.Term) <= 0 {
		routed = l.learned.Term
	}
	if l.mode == Closed || in.Phase != leadership.Holding || in.Term.Compare(l.cleared) <= 0 || in.Term.Compare(routed) <= 0 {
		return leadership.Term{}
	}
	return in.Term
}

// news tells those who wait for Changed or Quiesced when the announcement is
// another.
func (l *Lane) news(fx *effects) {
	if a := l.announcement(); a != l.told {
		l.told = a
		l.notify(fx)
	}
}

func (l *Lane) notify(fx *effects) {
	if l.changed != nil {
		fx.news, l.changed = l.changed, nil
	}
	l.notifyQuiet(fx)
}
