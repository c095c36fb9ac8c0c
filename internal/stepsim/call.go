package stepsim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// ErrRefused is what a caller gets from a process that does not run: nothing
// was executed.
var ErrRefused = errors.New("stepsim: connection refused")

// ErrLost is what a caller gets when the connection broke: nobody knows.
var ErrLost = fmt.Errorf("stepsim: connection lost: %w", leadership.ErrUnknownOutcome)

// ErrDisk is what a write gets from a disk that failed: it may have been done.
var ErrDisk = fmt.Errorf("stepsim: input/output error: %w", leadership.ErrUnknownOutcome)

// caller is the end of a call at which somebody waits.
type caller struct{ left bool } // guarded by Sim.mu

// origin says, in the context of a handler, which life of which process it
// belongs to and what it was asked: a handler that outlives its process must
// not act in the next life, and two handlers of one process that do the same in
// one step are told apart by it.
type origin struct {
	proc  *Proc
	life  context.Context
	cause uint64
}

type originKey struct{}

// from returns the life that a caller of p acts in, and what made it act.
func (p *Proc) from(ctx context.Context) (context.Context, uint64) {
	if o, ok := ctx.Value(originKey{}).(*origin); ok && o.proc == p {
		return o.life, o.cause
	}
	return p.life, 0
}

// Cause identifies the request that the handler with this context answers, the
// same in every run of an exploration; 0 for none.
func Cause(ctx context.Context) uint64 {
	if o, ok := ctx.Value(originKey{}).(*origin); ok {
		return o.cause
	}
	return 0
}

// Alive reports whether the process that a handler with this context belongs to
// still lives the life in which it was asked. A handler that a crash woke runs on
// for a moment, in which another life may have begun, and what it would do then
// never happened. It is true for any other context.
func Alive(ctx context.Context) bool {
	o, ok := ctx.Value(originKey{}).(*origin)
	return !ok || o.life.Err() == nil
}

// Call carries out h at another process. Request and answer are events of their
// own; h runs with the life of its process and goes on when the caller gave up.
// An answer that nobody waits for any more is no event. The error is
// ErrRefused, ErrLost, ErrKilled, one that wraps leadership.ErrUnknownOutcome
// and the cause of ctx's end, or h's.
func Call[V any](ctx context.Context, from, to *Proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	return call(ctx, 0, from, to, op, false, h)
}

// CallFor is Call for a caller that gives up after d, as it would at the end of
// a context with that timeout.
func CallFor[V any](ctx context.Context, d time.Duration, from, to *Proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	return call(ctx, d, from, to, op, false, h)
}

// Ask is Call for an h that changes nothing. A question whose caller gave up is
// no event either, and to have been asked is nothing that a process observes.
func Ask[V any](ctx context.Context, from, to *Proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	return call(ctx, 0, from, to, op, true, h)
}

func call[V any](ctx context.Context, d time.Duration, from, to *Proc, op string, pure bool, h func(ctx context.Context) (V, error)) (V, error) {
	var zero V
	s := from.sim
	life, cause := from.from(ctx)
	if life.Err() != nil {
		return zero, ErrKilled
	}
	// A request that comes twice answers twice: the first answer counts.
	x := &exchange[V]{life: life, h: h, got: make(chan *answer[V], 1)}
	x.Event = Event{kind: request, from: from, to: to, op: op, cause: cause, pure: pure, what: x}
	if pure {
		x.Event.caller = &x.end
	}
	s.post(&x.Event)
	defer s.leave(&x.end)
	var late <-chan time.Time
	if d > 0 {
		t := s.alarm(d)
		defer s.silence(t)
		late = t.C
	}
	select {
	case r := <-x.got:
		return r.v, r.err
	case <-ctx.Done():
		return zero, &unknownError{context.Cause(ctx)}
	case <-late:
		return zero, &unknownError{context.DeadlineExceeded}
	case <-life.Done():
		return zero, ErrKilled
	}
}

// alarm returns a timer that goes off after d, one that was silenced if there
// is any.
func (s *Sim) alarm(d time.Duration) *time.Timer {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.alarms) - 1
	if n < 0 {
		return time.NewTimer(d)
	}
	t := s.alarms[n]
	s.alarms = s.alarms[:n]
	t.Reset(d)
	return t
}

func (s *Sim) silence(t *time.Timer) {
	t.Stop()
	s.mu.Lock()
	s.alarms = append(s.alarms, t)
	s.mu.Unlock()
}

// unknownError is what a caller gets who gave up.
type unknownError struct{ cause error }

func (e *unknownError) Error() string {
	return leadership.ErrUnknownOutcome.Error() + ": " + e.cause.Error()
}

func (e *unknownError) Unwrap() []error { return []error{leadership.ErrUnknownOutcome, e.cause} }

// exchange is a call with its request.
type exchange[V any] struct {
	Event
	end  caller
	life context.Context // of the caller
	h    func(ctx context.Context) (V, error)
	got  chan *answer[V] // capacity 1
}

// happen lets a request arrive: it begins a handler. e is the request or a twin.
func (x *exchange[V]) happen(e *Event, _ how) {
	if !x.to.up {
		x.answer(e, &answer[V]{err: ErrRefused})
		return
	}
	s, target := x.to.sim, x.to.life
	now := time.Now()
	mark := mix(5, mix(e.id, uint64(now.Sub(s.started))))
	x.to.work.Add(mark)
	s.start(&handling[V]{x: x, asked: e, mark: mark, ctx: handlerContext{origin: origin{x.to, target, e.id}, until: now.Add(s.handler)}})
}

// answer posts what the caller is to be told.
func (x *exchange[V]) answer(asked *Event, a *answer[V]) {
	s := x.from.sim
	a.Event = Event{kind: reply, from: x.to, to: x.from, op: x.op, life: x.life, caller: &x.end, cause: asked.id, asked: asked, what: a}
	if s.thorough && s.Content != nil {
		a.content, a.known = s.Content(a.v, a.err)
	}
	a.got = x.got
	s.post(&a.Event)
}

// answer is a reply on its way.
type answer[V any] struct {
	Event
	got chan *answer[V]
	v   V
	err error
}

// happen lets a reply arrive, or its loss be noticed.
func (a *answer[V]) happen(_ *Event, h how) {
	got := a.got
	if h == broken {
		a = &answer[V]{err: ErrLost}
	}
	select {
	case got <- a:
	default:
	}
}

// handling is a request that is being answered.
type handling[V any] struct {
	x     *exchange[V]
	asked *Event
	mark  uint64
	ctx   handlerContext
}

func (r *handling[V]) run() {
	x := r.x
	defer x.to.work.Add(-r.mark)
	defer r.ctx.end()
	a := &answer[V]{}
	a.v, a.err = x.h(&r.ctx)
	if r.ctx.life.Err() != nil {
		a = &answer[V]{err: ErrLost}
	}
	x.answer(r.asked, a)
}

func (s *Sim) leave(c *caller) {
	s.mu.Lock()
	c.left = true
	s.mu.Unlock()
}

// Disk carries out a durable write of the process. A crash may come before,
// after, or in the middle of it: then write is called with torn set and must
// leave behind what a torn write leaves. A write that was begun goes on when
// ctx ends, and is waited for.
func (p *Proc) Disk(ctx context.Context, op string, write func(torn bool)) error {
	life, cause := p.from(ctx)
	if life.Err() != nil {
		return ErrKilled
	}
	d := &diskWrite{write: write, done: make(chan error, 1)}
	d.Event = Event{kind: disk, from: p, to: p, op: op, life: life, cause: cause, what: d}
	p.sim.post(&d.Event)
	select {
	case err := <-d.done:
		if life.Err() != nil {
			return ErrKilled
		}
		return err
	case <-life.Done():
		return ErrKilled
	}
}

type diskWrite struct {
	Event
	write func(torn bool)
	done  chan error // capacity 1
}

func (d *diskWrite) happen(_ *Event, h how) {
	var err error
	if h == refused || h == doubted {
		err = ErrDisk
	}
	if h != refused {
		d.write(h == broken)
	}
	d.done <- err
}

// Background starts f as part of the present life of the process. Its context
// ends with that life, and Close waits for f.
func (p *Proc) Background(f func(ctx context.Context)) {
	ctx := context.WithValue(p.life, originKey{}, &origin{p, p.life, 0})
	p.sim.Go(func() { f(ctx) })
}

// Later lets f happen as an event of the process, unless it dies first. f is
// called by the scheduler and must not block.
func (p *Proc) Later(op string, f func()) {
	p.sim.post(&Event{kind: local, from: p, to: p, op: op, life: p.life, what: later(f)})
}

// Yield returns when an event of the process that it posts happens: what two of
// its goroutines would do in one step is then done in two. Like a write it is
// waited for when ctx ends.
func (p *Proc) Yield(ctx context.Context, op string) error {
	life, cause := p.from(ctx)
	if life.Err() != nil {
		return ErrKilled
	}
	done := make(chan struct{})
	p.sim.post(&Event{kind: local, from: p, to: p, op: op, life: life, cause: cause, what: later(func() { close(done) })})
	select {
	case <-done:
		return nil
	case <-life.Done():
		return ErrKilled
	}
}

type later func()

func (f later) happen(*Event, how) { f() }
