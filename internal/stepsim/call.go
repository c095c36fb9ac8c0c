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

// Call carries out h at another process. Request and answer are events of their
// own; h runs with the life of its process and goes on when the caller gave up.
// An answer that nobody waits for any more is no event. The error is
// ErrRefused, ErrLost, ErrKilled, one that wraps leadership.ErrUnknownOutcome
// and the cause of ctx's end, or h's.
func Call[V any](ctx context.Context, from, to *Proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	return call(ctx, from, to, op, false, h)
}

// Ask is Call for an h that changes nothing. A question whose caller gave up is
// no event either, and to have been asked is nothing that a process observes.
func Ask[V any](ctx context.Context, from, to *Proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	return call(ctx, from, to, op, true, h)
}

func call[V any](ctx context.Context, from, to *Proc, op string, pure bool, h func(ctx context.Context) (V, error)) (V, error) {
	var zero V
	type result struct {
		v   V
		err error
	}
	s := from.sim
	life, cause := from.from(ctx)
	if life.Err() != nil {
		return zero, ErrKilled
	}
	ch := make(chan result, 1) // a request that comes twice answers twice: the first counts
	waits := &caller{}
	answer := func(e *Event, r result) {
		content, known := uint64(0), false
		if s.thorough && s.Content != nil {
			content, known = s.Content(r.v, r.err)
		}
		s.post(&Event{content: content, known: known, kind: reply, from: to, to: from, op: op, life: life, caller: waits, cause: e.id, asked: e, fire: func(h how) {
			if h == broken {
				r = result{err: ErrLost}
			}
			select {
			case ch <- r:
			default:
			}
		}})
	}
	req := &Event{kind: request, from: from, to: to, op: op, cause: cause, pure: pure}
	if pure {
		req.caller = waits
	}
	req.arrive = func(e *Event) {
		if !to.up {
			answer(e, result{err: ErrRefused})
			return
		}
		target := to.life
		mark := mix(5, mix(e.id, uint64(time.Since(s.started))))
		to.work.Add(mark)
		s.Go(func() {
			defer to.work.Add(-mark)
			hctx, cancel := context.WithTimeout(context.WithValue(target, originKey{}, &origin{to, target, e.id}), s.handler)
			defer cancel()
			v, err := h(hctx)
			if target.Err() != nil {
				v, err = zero, ErrLost
			}
			answer(e, result{v, err})
		})
	}
	s.post(req)
	defer s.leave(waits)
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		return zero, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, context.Cause(ctx))
	case <-life.Done():
		return zero, ErrKilled
	}
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
	done := make(chan error, 1)
	p.sim.post(&Event{kind: disk, from: p, to: p, op: op, life: life, cause: cause, fire: func(h how) {
		var err error
		if h == refused || h == doubted {
			err = ErrDisk
		}
		if h != refused {
			write(h == broken)
		}
		done <- err
	}})
	select {
	case err := <-done:
		if life.Err() != nil {
			return ErrKilled
		}
		return err
	case <-life.Done():
		return ErrKilled
	}
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
	p.sim.post(&Event{kind: local, from: p, to: p, op: op, life: p.life, fire: func(how) { f() }})
}
