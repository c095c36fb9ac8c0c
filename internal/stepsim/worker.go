package stepsim

import (
	"context"
	"sync"
	"time"
)

// worker is a goroutine of a run. Between two jobs it waits, durably blocked:
// most of what a job costs is the growth of a fresh goroutine's stack.
type worker chan job // capacity 1

type job interface{ run() }

type function func()

func (f function) run() { f() }

// Go starts f as a goroutine that Close waits for.
func (s *Sim) Go(f func()) { s.start(function(f)) }

func (s *Sim) start(j job) {
	defer s.Shaken()
	s.mu.Lock()
	s.busy++
	if n := len(s.idle) - 1; n >= 0 {
		w := s.idle[n]
		s.idle = s.idle[:n]
		s.mu.Unlock()
		w <- j
		return
	}
	s.mu.Unlock()
	w := make(worker, 1)
	w <- j
	s.workers.Go(func() { s.work(w) })
}

// deep makes room on the stack of its goroutine, at once and while there is
// next to nothing to copy: what handlers call needs more than 4 KiB.
//
//go:noinline
func deep(i int) byte {
	var room [6 << 10]byte
	return room[i%len(room)]
}

// work does jobs until Close.
func (s *Sim) work(w worker) {
	deep(len(w))
	for j := range w {
		if !s.do(w, j) {
			return
		}
	}
}

// do does a job, which may end its goroutine, and reports whether w waits for
// another.
func (s *Sim) do(w worker, j job) (again bool) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if again = again && !s.closed; again {
			s.idle = append(s.idle, w)
		}
		if s.busy--; s.busy == 0 && s.quiet != nil {
			close(s.quiet)
			s.quiet = nil
		}
	}()
	j.run()
	return true
}

// join waits until no job is left.
func (s *Sim) join() {
	s.mu.Lock()
	quiet := s.quiet
	if quiet == nil && s.busy > 0 {
		quiet = make(chan struct{})
		s.quiet = quiet
	}
	s.mu.Unlock()
	if quiet != nil {
		<-quiet
	}
}

// dismiss ends the goroutines of a run that is over.
func (s *Sim) dismiss() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, w := range idle {
		close(w)
	}
	s.workers.Wait()
}

// handlerContext is the context of a handler: it ends with the life of its
// process, when the handler returns, or when the handler took too long. Most
// handlers never wait for any of that, and a timer is made for those that do.
type handlerContext struct {
	origin
	until time.Time

	mu     sync.Mutex // guards what follows, for moments
	inner  context.Context
	cancel context.CancelFunc
	ended  bool
}

// full returns the context that does the waiting.
func (c *handlerContext) full() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithDeadline(c.life, c.until)
		if c.ended {
			c.cancel()
		}
	}
	return c.inner
}

// end cancels the context: the handler has returned.
func (c *handlerContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements context.Context.
func (c *handlerContext) Deadline() (time.Time, bool) { return c.until, true }

// Done implements context.Context.
func (c *handlerContext) Done() <-chan struct{} { return c.full().Done() }

// Err implements context.Context.
func (c *handlerContext) Err() error {
	c.mu.Lock()
	whole := c.inner != nil || c.ended || !time.Now().Before(c.until)
	c.mu.Unlock()
	if whole {
		return c.full().Err()
	}
	return c.life.Err()
}

// Value implements context.Context.
func (c *handlerContext) Value(key any) any {
	if _, ok := key.(originKey); ok {
		return &c.origin
	}
	return c.full().Value(key)
}
