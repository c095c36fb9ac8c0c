package stepsim

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// ErrRefused is what a caller gets from a process that does not run: nothing
// was executed.
var ErrRefused = errors.New("stepsim: connection refused")

// ErrLost is what a caller gets when the connection broke: nobody knows.
var ErrLost = fmt.Errorf("stepsim: connection lost: %w", leadership.ErrUnknownOutcome)

// ErrDisk is what a write gets from a disk that failed: it may have been done.
var ErrDisk = fmt.Errorf("stepsim: input/output error: %w", leadership.ErrUnknownOutcome)

// Call carries out h at another process. Request and answer are events of their
// own; h runs with the life of its process and goes on when the caller gave up.
// The error is ErrRefused, ErrLost, ErrKilled, one that wraps
// leadership.ErrUnknownOutcome and the cause of ctx's end, or h's.
func Call[V any](ctx context.Context, from, to *Proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	var zero V
	type result struct {
		v   V
		err error
	}
	s := from.sim
	life := from.life
	if life.Err() != nil {
		return zero, ErrKilled
	}
	ch := make(chan result, 4) // a request that comes twice answers twice
	answer := func(r result) {
		s.post(&Event{kind: reply, from: to, to: from, op: op, life: life, fire: func(h how) {
			if h == broken {
				r = result{err: ErrLost}
			}
			select {
			case ch <- r:
			default:
			}
		}})
	}
	s.post(&Event{kind: request, from: from, to: to, op: op, fire: func(how) {
		if !to.up {
			answer(result{err: ErrRefused})
			return
		}
		target := to.life
		s.Go(func() {
			hctx, cancel := context.WithTimeout(target, s.handler)
			defer cancel()
			v, err := h(hctx)
			if target.Err() != nil {
				v, err = zero, ErrLost
			}
			answer(result{v, err})
		})
	}})
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		return zero, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, context.Cause(ctx))
	case <-life.Done():
		return zero, ErrKilled
	}
}

// Disk carries out a durable write of the process. A crash may come before,
// after, or in the middle of it: then write is called with torn set and must
// leave behind what a torn write leaves. A write that was begun goes on when
// ctx ends, and is waited for.
func (p *Proc) Disk(_ context.Context, op string, write func(torn bool)) error {
	life := p.life
	if life.Err() != nil {
		return ErrKilled
	}
	done := make(chan error, 1)
	p.sim.post(&Event{kind: disk, from: p, to: p, op: op, life: life, fire: func(h how) {
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

// Later lets f happen as an event of the process, unless it dies first. f is
// called by the scheduler and must not block.
func (p *Proc) Later(op string, f func()) {
	p.sim.post(&Event{kind: local, from: p, to: p, op: op, life: p.life, fire: func(how) { f() }})
}
