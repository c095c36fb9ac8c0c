package acceptor

import (
	"context"
	"sync"
	"sync/atomic"
)

// shutBit is set in gate.word once nothing may enter any more; the bits below
// it count who is inside.
const shutBit = 1 << 62

// gate is the bracket of one leadership at its leader. Who is inside may decide
// completions, or is writing the marker. shut and the count share one word, so
// that either an entry precedes shut, and the shutter waits for it, or it is
// refused: there is no third case. A gate that was shut never opens again.
type gate struct {
	word atomic.Int64
	idle chan struct{} // holds one token when the last has left a shut gate
	// marked says that the marker of the leadership is in the log.
	marked atomic.Bool

	mu     sync.Mutex // guards cancel; taken by Install and by who shuts
	cancel map[int]context.CancelCauseFunc
	next   int
}

func newGate() *gate {
	return &gate{idle: make(chan struct{}, 1), cancel: map[int]context.CancelCauseFunc{}}
}

func (g *gate) enter() bool {
	if g.word.Add(1)&shutBit == 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.word.Add(-1) == shutBit {
		select {
		case g.idle <- struct{}{}:
		default: // a token is there already
		}
	}
}

func (g *gate) isShut() bool { return g.word.Load()&shutBit != 0 }

// shut refuses all who come later and cancels the writes under way.
func (g *gate) shut(cause error) {
	g.word.Or(shutBit)
	g.mu.Lock()
	cancels := g.cancel
	g.cancel = nil
	g.mu.Unlock()
	for _, cancel := range cancels {
		cancel(cause)
	}
}

// wait returns when nobody is inside a gate that was shut, or ctx ended. One
// goroutine at a time calls it.
func (g *gate) wait(ctx context.Context) error {
	for g.word.Load() != shutBit {
		select {
		case <-g.idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// bind derives a context that also ends when the gate is shut.
func (g *gate) bind(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	g.mu.Lock()
	id := g.next
	g.next++
	late := g.cancel == nil
	if !late {
		g.cancel[id] = cancel
	}
	g.mu.Unlock()
	if late {
		cancel(errShut)
	}
	return ctx, func() {
		g.mu.Lock()
		delete(g.cancel, id)
		g.mu.Unlock()
		cancel(nil)
	}
}

// Completion is an open completion bracket. The zero Completion holds nothing.
type Completion struct{ g *gate }

// Done closes the bracket. It must be called exactly once, after the decision
// is made (the commit index moved, the local read answered), and never before:
// a StepDown or Recruit that waits for it returns right after.
func (c Completion) Done() {
	if c.g != nil {
		c.g.leave()
	}
}
