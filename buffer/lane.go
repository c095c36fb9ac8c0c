package buffer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Lane is the queue of one key: of one cluster, whose leader changes
// independently of all others. Buffer.Lane makes one; all methods are safe for
// concurrent use. The zero Lane refuses every request with a *RequestError, and
// learns nothing.
type Lane struct {
	view   atomic.Pointer[view]
	leaked atomic.Uint64

	b    *Buffer
	key  string
	pool sync.Pool // of *waiter; per lane, so that channels stay in their synctest bubble

	// mu guards all below. It is taken by callers of Do off the fast path, by
	// Observe, Learn, Close and Snapshot, and never held across a channel
	// operation, a hook or a request function.
	mu  sync.Mutex
	rec leadership.Record // newest by Version, its slices dropped

	cur         leadership.Leadership // whom to send to: highest term known
	addr        string
	learned     leadership.Leadership // from responses
	learnedAddr string

	mode    State
	resumed uint64 // epoch of the view under which releasing last began

	// The hold.
	heldAt    time.Duration   // since when, for Decide, when refused
	announced leadership.Term // intent this lane holds for, and
	announce  time.Duration   // since when
	cleared   leadership.Term // intent that a probe showed to be over
	refused   leadership.Term // highest Until of any refusal
	routed    leadership.Term // highest that requests were sent to
	hint      leadership.Leadership
	outageOn  bool
	outageAt  time.Duration // first hold since a leader last answered
	open      bool          // the outage cap was reached
	passing   bool          // and requests are let through for it

	// What Record.Decide said, see decide.
	decided   bool
	verdict   leadership.Verdict
	askAgain  time.Duration
	probePace time.Duration

	// The half-open probe.
	paused    bool // the leader refuses at its own term: probe, do not flush
	probe     *waiter
	probeAt   time.Duration
	probeWait time.Duration
	nextProbe time.Duration
	tries     uint32
	hintTurn  bool
	flushing  bool
	ramp      ramp
	running   int // released by flush at the current term, not answered
	peak      int
	seq       uint64
	q         line                   // wait for their turn
	retry     list                   // back off after a failed dial
	driver    atomic.Pointer[waiter] // of q; its goroutine also watches timer
	gone      atomic.Pointer[waiter] // chain of those whose context ended, see depart
	timer     *time.Timer
	armed     time.Duration // what timer is set to, 0 for not
	share     Share         // of the caps, none if it was made too late
	count     int           // held, by the caps' measure
	bytes     int64
	n         Counters

	suspended bool // see suspend
	enrolled  bool // some Join speaks for the lane

	told    leadership.Term // announcement that those who wait know of
	changed chan struct{}   // handed out by Changed, nil for nobody
	quiet   chan struct{}   // waited for by Quiesced, nil for nobody
	gates   []*gate         // of the current term, and of others with turns in flight
}

func newLane(b *Buffer, key string, closed bool) *Lane {
	l := &Lane{b: b, key: key, mode: HoldAll}
	l.q.init(&b.cfg)
	if closed {
		l.mode = Closed
	}
	l.pool.New = func() any { return &waiter{ch: make(chan struct{}, 1)} }
	var fx effects // nobody is there to tell
	l.publish(&fx)
	return l
}

// Key returns the lane's key.
func (l *Lane) Key() string { return l.key }

// Pass returns whom to send to, and whether everything may be sent at once. It
// costs one atomic load. A caller that gets false, or whose request is then
// refused, goes through Do. On a lane that counts it is never true, since a request
// that is not counted would be cut off by a change that waits for those that are:
// see TryEnter.
func (l *Lane) Pass() (Route, bool) {
	v := l.view.Load()
	return Route{v}, v != nil && v.ready && v.gate == nil
}

// Ready reports whether everything may be sent at once, on a lane that counts too:
// one atomic load.
func (l *Lane) Ready() bool {
	v := l.view.Load()
	return v != nil && v.ready
}

// Do runs fn against the current leadership to at addr, and returns its error.
// addr may be empty when only the leader's name is known. fn runs in the
// caller's goroutine, with ctx as it is given, and once more for each proof
// that the last run had no effect:
//
//   - an error that proves non-execution (see Classify) is not returned; the
//     request is sent to the newer leadership if one is known, else held until
//     a leader takes it, in the order of arrival;
//   - NotSent is tried again with back-off;
//   - anything else is returned as it is, unless it is MaybeExecuted and
//     req.Idempotent is set. A proof in it is taken out, by a wrapper that is a
//     leadership.ErrUnknownOutcome, when it is not one about the request: an
//     earlier try may have been executed, the proof is in the cause of ctx, or
//     Config.Classify says MaybeExecuted.
//
// Clients return context.Cause(ctx) for what they cut short, and that may be a
// proof about something else: the refusal of a gate that the caller is in, the
// failure of a call beside this one. So once ctx has ended, what its cause says is
// not said of the request, unless fn says it by an error of its own around the
// cause, as NotSent does. A context that fn derives is not known here: when it ends
// with a cause of its own, fn must not return that as it is if it proves anything,
// but with leadership.ErrUnknownOutcome, or as NotSent.
//
// It ends with a *RequestError, *OverflowError, *OutageError, *AgeError,
// *CanceledError or *ClosedError when the request cannot be held (any longer);
// all of them satisfy leadership.NotExecuted, unless an idempotent request was
// tried and lost. When ctx ends while the request is held, it returns at once
// and the request is forgotten; while fn runs, that is fn's to notice.
func (l *Lane) Do(ctx context.Context, req Request, fn func(ctx context.Context, to leadership.Leadership, addr string) error) error {
	v := l.view.Load()
	if v == nil || ctx == nil || fn == nil || req.Bytes < 0 || !req.Priority.known() {
		return l.badRequest(ctx, &req)
	}
	if v.gate != nil {
		return l.doCounted(ctx, &req, fn, v)
	}
	if !v.passes(req.Unit) {
		return l.slow(ctx, &req, fn, nil, nil)
	}
	err := v.send(ctx, fn)
	if err == nil {
		return nil
	}
	return l.slow(ctx, &req, fn, v, err)
}

// send runs fn against v. It is out of line so that the copies it makes are not
// on the stack of a Do that waits.
//
//go:noinline
func (v *view) send(ctx context.Context, fn func(context.Context, leadership.Leadership, string) error) error {
	return fn(ctx, v.lead, v.addr)
}

func (l *Lane) badRequest(ctx context.Context, req *Request) error {
	switch {
	case l.b == nil:
		return &RequestError{Reason: "the lane is nobody's: Buffer.Lane makes one"}
	case ctx == nil:
		return &RequestError{l.key, "the context is nil"}
	case req.Bytes < 0:
		return &RequestError{l.key, "Bytes is negative"}
	case !req.Priority.known():
		return &RequestError{l.key, fmt.Sprintf("Priority %d is not one of %d to %d", req.Priority, MinPriority, MaxPriority)}
	}
	return &RequestError{l.key, "the request function is nil"}
}

// Observe tells the lane of a registry record. Observations are levels: any
// may be lost, doubled or late. Their versions order them, and a record that
// is not newer than the last is ignored, as is the zero Record.
func (l *Lane) Observe(rec leadership.Record) {
	if l.b == nil {
		return
	}
	var fx effects
	l.lock()
	if rec.Version > l.rec.Version {
		rec.Held, rec.Barred, rec.Ruleset = nil, nil, leadership.Ruleset{}
		l.rec = rec
		l.evaluate(l.b.now(), &fx)
	} else {
		l.n.Stale++
	}
	l.mu.Unlock()
	fx.apply(l)
}

// Learn tells the lane of a leadership that answered a request as such; addr
// may be empty. The highest term wins; the zero Leadership is ignored. Routers
// call it with what responses carry, so that they find the leader while the
// registry is unreachable.
func (l *Lane) Learn(lead leadership.Leadership, addr string) {
	if v := l.view.Load(); v == nil || lead.Term.Less(v.lead.Term) || lead.Term == v.lead.Term && (addr == "" || v.addr != "") {
		return
	}
	var fx effects
	l.lock()
	l.learn(lead, addr)
	l.evaluate(l.b.now(), &fx)
	l.mu.Unlock()
	fx.apply(l)
}

func (l *Lane) learn(lead leadership.Leadership, addr string) {
	switch c := lead.Term.Compare(l.learned.Term); {
	case lead.Leader == "" || c < 0:
	case c > 0:
		l.learned, l.learnedAddr = lead, addr
	case l.learnedAddr == "" && lead == l.learned:
		l.learnedAddr = addr
	}
}

const spins = 100

// lock takes mu. What mu guards is short, and a goroutine that parks for it
// costs many times that, above all when thousands come at once: a Mutex does not
// spin while other goroutines are ready to run.
func (l *Lane) lock() {
	for range spins {
		if l.mu.TryLock() {
			return
		}
	}
	l.mu.Lock()
}

func (l *Lane) close() {
	var fx effects
	l.lock()
	if l.mode != Closed {
		l.setMode(Closed, &fx)
		for l.q.n > 0 {
			l.settle(l.q.oldest(), failClosed, &fx)
		}
		for l.retry.head != nil {
			l.settle(l.retry.head, failClosed, &fx)
		}
		l.disarm()
		l.news(&fx)
	}
	l.mu.Unlock()
	fx.apply(l)
}

// publish replaces the view by one of the current mode and leadership.
func (l *Lane) publish(fx *effects) {
	old := l.view.Load()
	v := &view{lane: l, lead: l.cur, addr: l.addr, mode: l.mode, ready: l.mode == Serving || l.b.cfg.DryRun}
	if l.b.cfg.Counted {
		l.swing(v)
	}
	if old == nil {
		l.view.Store(v)
		return
	}
	v.epoch = old.epoch + 1
	l.view.Store(v)
	if old.lead != v.lead || old.mode != v.mode {
		fx.changed, fx.state, fx.view = true, v.mode, v
		l.notify(fx)
	} else if old.addr != v.addr {
		l.notify(fx)
	}
}

func (l *Lane) setMode(m State, fx *effects) {
	l.mode = m
	l.publish(fx)
}
