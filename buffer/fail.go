package buffer

import (
	"context"
	"time"
)

// fail makes the error of a call that ends without being run (again), and
// lets go of its waiter.
func (l *Lane) fail(c *call, why verdict) error {
	waited := l.b.now() - c.arrived
	err := l.failure(c, why, waited)
	if c.w != nil {
		l.recycle(c)
	}
	if hook := l.b.cfg.Hooks.Waited; hook != nil {
		hook(l.key, waited, err)
	}
	return err
}

// failure makes that error. Its frame is kept off the stacks of those that
// wait.
//
//go:noinline
func (l *Lane) failure(c *call, why verdict, waited time.Duration) error {
	h := Wait{Lane: l.key, Waited: waited, Tries: int(c.tries), Unknown: c.unknown, Last: c.err}
	switch why {
	case failAge:
		return &AgeError{h, l.b.cfg.MaxAge}
	case failOutage:
		return &OutageError{h, c.w.deadline}
	case failEvicted, failFull:
		e := &OverflowError{Wait: h, Evicted: why == failEvicted}
		l.lock()
		e.Held, e.Bytes = l.q.n, l.bytes
		l.mu.Unlock()
		return e
	case failClosed:
		return &ClosedError{h}
	}
	e := &CanceledError{Wait: h, Err: c.ctx.Err(), Cause: context.Cause(c.ctx)}
	if e.Err == nil {
		e.Err = context.DeadlineExceeded
	}
	return e
}
