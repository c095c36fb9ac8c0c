package lameduck

import "context"

// watch is a context that a drain may have to cancel.
type watch struct {
	cancel     context.CancelCauseFunc
	c          *Cell
	s          *slot // nil for a plain single
	gen        uint32
	also       *watch // an older one of the same token
	prev, next *watch // guarded by c.mu
	linked     bool   // guarded by c.mu
}

// Context returns a copy of parent that is cancelled when the gate reaches
// Cancelled, with the *leadership.Refusal as its cause (context.Cause), or
// when the unit is ended while idle, with a *RestartUnitError; database/sql
// rolls a transaction back when its context ends. It also ends with parent and
// with Exit of this very token variable. For the zero Token it is parent.
func (t *Token) Context(parent context.Context) context.Context {
	c := t.c
	if c == nil {
		return parent
	}
	ctx, cancel := context.WithCancelCause(parent)
	w := &watch{cancel: cancel, c: c, s: t.s, gen: t.ref.gen(), also: t.watch}
	t.watch = w
	c.mu.Lock()
	cause := c.cause
	if cause == nil {
		w.linked, w.next = true, c.watched
		if w.next != nil {
			w.next.prev = w
		}
		c.watched = w
	}
	c.mu.Unlock()
	if cause != nil {
		cancel(cause)
	}
	return ctx
}

func (w *watch) release() {
	for ; w != nil; w = w.also {
		w.c.mu.Lock()
		w.unlink()
		w.c.mu.Unlock()
		w.cancel(nil)
	}
}

// unlink is called with c.mu held.
func (w *watch) unlink() {
	if !w.linked {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		w.c.watched = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.linked = nil, nil, false
}

// takeAll returns every context of the cell, and has those made later
// cancelled with cause at once.
func (c *Cell) takeAll(cause error, into []func()) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cause = cause
	for c.watched != nil {
		w := c.watched
		w.unlink()
		cancel := w.cancel
		into = append(into, func() { cancel(cause) })
	}
	return into
}

// takeEnded returns the contexts of ended units.
func (c *Cell) takeEnded(cause error, into []func()) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := c.watched; w != nil; {
		next := w.next
		if w.s != nil {
			if st := w.s.state.Load(); uint32(st>>slotGen) == w.gen && st&slotEnded != 0 {
				cancel := w.cancel
				w.unlink()
				into = append(into, func() { cancel(cause) })
			}
		}
		w = next
	}
	return into
}

func (c *Cell) clearCause() {
	c.mu.Lock()
	c.cause = nil
	c.mu.Unlock()
}
