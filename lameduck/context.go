package lameduck

import (
	"context"
	"sync/atomic"
	"time"
)

// era is the time from one cancellation of a gate's contexts, or its start, to
// the undo of the next. A context belongs to the era it was made in, so that
// a drain need not find it to cancel it, and an undo does not revive it.
type era struct {
	cause atomic.Pointer[CancelledError] // set once, when the gate reaches Cancelled
}

// tokenContext is the context of a token. Most are never waited for, only
// handed down and asked for their values: those cost one allocation and no
// registration. The first call of Done makes a real one, of package context,
// which every later question goes to: its children and context.Cause work as
// for any other.
type tokenContext struct {
	parent context.Context
	cell   *Cell
	s      *slot // nil for a plain single
	era    *era
	also   *tokenContext // an older one of the same token
	// real is set once, by whoever first needs it.
	real atomic.Pointer[waited]
	gen  uint32
	// over is set by Exit when nothing had cancelled the context before.
	over atomic.Bool
}

// waited is a tokenContext that somebody waits for.
type waited struct {
	context.Context
	cancel     context.CancelCauseFunc
	of         *tokenContext
	prev, next *waited // guarded by of.cell.mu
	linked     bool    // guarded by of.cell.mu
}

// Context returns a copy of parent that is cancelled when the gate reaches
// Cancelled, or when the unit is ended while idle: database/sql rolls a
// transaction back when its context ends. The cause (context.Cause) is then a
// *CancelledError, which says why and proves nothing. It also ends with parent
// and with Exit of this very token variable. For the zero Token it is parent. A
// nil parent counts as context.Background.
//
// It costs one allocation. Only when it is waited for (Done, or whatever is
// derived from it and can end) is it registered with its parent and the gate.
func (t *Token) Context(parent context.Context) context.Context {
	if parent == nil {
		parent = context.Background()
	}
	c := t.cell()
	if c == nil {
		return parent
	}
	x := &tokenContext{parent: parent, cell: c, s: t.s, era: c.gate.presentEra(), also: t.ctx, gen: t.ref.gen()}
	t.ctx, t.fast = x, nil
	return x
}

// Deadline is that of the parent.
func (x *tokenContext) Deadline() (time.Time, bool) { return x.parent.Deadline() }

// Value is that of the parent, but for what package context keeps there.
func (x *tokenContext) Value(key any) any {
	if r := x.real.Load(); r != nil {
		return r.Value(key)
	}
	if x.ended() != running {
		return x.wait().Value(key)
	}
	return x.parent.Value(key)
}

// Done makes the context a real one.
func (x *tokenContext) Done() <-chan struct{} {
	if r := x.real.Load(); r != nil {
		return r.Done()
	}
	return x.wait().Done()
}

// Err makes the context a real one when it is not nil, so that no later answer
// differs.
func (x *tokenContext) Err() error {
	r := x.real.Load()
	if r != nil {
		if err := r.Err(); err != nil {
			return err
		}
	}
	if x.ended() == running && (r != nil || x.parent.Err() == nil) {
		return nil
	}
	return x.wait().Err()
}

// An ending is what ended a tokenContext, its parent aside.
type ending uint8

const (
	running ending = iota
	exited
	unitEnded
	cancelled
)

func (x *tokenContext) ended() ending {
	// First Exit: what happens to gate and slot later is not its business.
	if x.over.Load() {
		return exited
	}
	if x.s != nil {
		if st := x.s.state.Load(); uint32(st>>slotGen) == x.gen && st&slotEnded != 0 {
			return unitEnded
		}
	}
	if x.era.cause.Load() != nil {
		return cancelled
	}
	return running
}

// cause is that of an ending, nil for context.Canceled.
func (x *tokenContext) cause(e ending) error {
	switch e {
	case unitEnded:
		return x.cell.gate.lastRefusal().ended
	case cancelled:
		return x.era.cause.Load()
	}
	return nil
}

// wait returns the real context, which is cancelled if x has ended.
func (x *tokenContext) wait() *waited {
	r := x.real.Load()
	if r == nil {
		// Made outside any lock: the parent may be anybody's code.
		ctx, cancel := context.WithCancelCause(x.parent)
		r = &waited{Context: ctx, cancel: cancel, of: x}
		if x.real.CompareAndSwap(nil, r) {
			r.link()
		} else {
			cancel(nil)
			r = x.real.Load()
		}
	}
	// Looked at after real was set and linked: whoever ends the context from
	// now on finds it, whoever did before is seen here.
	if e := x.ended(); e != running {
		r.unlink()
		r.cancel(x.cause(e))
	}
	return r
}

// release ends the contexts of a token that exits.
func (x *tokenContext) release() {
	for ; x != nil; x = x.also {
		if x.ended() != running && x.real.Load() == nil {
			x.wait() // it keeps its cause
		}
		x.over.Store(true)
		if r := x.real.Load(); r != nil {
			r.unlink()
			r.cancel(nil)
		}
	}
}

func (r *waited) link() {
	c := r.of.cell
	c.mu.Lock()
	defer c.mu.Unlock()
	r.linked, r.next = true, c.watched
	if r.next != nil {
		r.next.prev = r
	}
	c.watched = r
}

func (r *waited) unlink() {
	r.of.cell.mu.Lock()
	defer r.of.cell.mu.Unlock()
	r.remove()
}

// remove is called with the cell's mu held.
func (r *waited) remove() {
	if !r.linked {
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		r.of.cell.watched = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next, r.linked = nil, nil, false
}

// take removes from the cell every context that has ended, and returns what
// cancels them.
func (c *Cell) take(into []func()) []func() {
	c.mu.Lock()
	var ended []*waited
	for r := c.watched; r != nil; {
		next := r.next
		if r.of.ended() != running {
			r.remove()
			ended = append(ended, r)
		}
		r = next
	}
	c.mu.Unlock()
	for _, r := range ended {
		into = append(into, func() { r.of.wait() })
	}
	return into
}

// presentEra is the era of contexts that are made now.
func (g *Gate) presentEra() *era {
	e := g.era.Load()
	if e == nil {
		g.era.CompareAndSwap(nil, new(era))
		e = g.era.Load()
	}
	return e
}
