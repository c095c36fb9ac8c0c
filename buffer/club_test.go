package buffer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// flaky is a barrier that can be out of reach, hang, or lose what it knows.
type flaky struct {
	mu   sync.Mutex
	b    leadership.Barrier
	err  error
	hang chan struct{} // not even the context ends a call; nil: none hangs
	slow time.Duration // how long an answer takes
}

func (f *flaky) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *flaky) now() (leadership.Barrier, error) {
	f.mu.Lock()
	b, err, hang := f.b, f.err, f.hang
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return b, err
}

func (f *flaky) Join(ctx context.Context, l leadership.RouterLease) (bool, error) {
	b, err := f.now()
	if err != nil {
		return false, err
	}
	defer time.Sleep(f.slow)
	return b.Join(ctx, l)
}

func (f *flaky) Ack(ctx context.Context, l leadership.RouterLease, t leadership.Term) error {
	b, err := f.now()
	if err != nil {
		return err
	}
	return b.Ack(ctx, l, t)
}

func (f *flaky) Leave(ctx context.Context, l leadership.RouterLease) error {
	b, err := f.now()
	if err != nil {
		return err
	}
	return b.Leave(ctx, l)
}

func (f *flaky) Wait(ctx context.Context, t leadership.Term) (leadership.RollCall, error) {
	b, err := f.now()
	if err != nil {
		return leadership.RollCall{}, err
	}
	return b.Wait(ctx, t)
}

// ledger is a registry of one record that a test writes as it likes.
type ledger struct {
	mu   sync.Mutex
	rec  leadership.Record
	err  error
	hang chan struct{} // not even the context ends a load; nil: none hangs
	news chan struct{}
}

func (r *ledger) put(rec leadership.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec = rec
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
}

func (r *ledger) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *ledger) Load(context.Context) (leadership.Record, error) {
	r.mu.Lock()
	rec, err, hang := r.rec, r.err, r.hang
	r.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return rec, err
}

func (r *ledger) Swap(context.Context, uint64, leadership.Record) (leadership.Record, error) {
	return leadership.Record{}, errors.ErrUnsupported
}

func (r *ledger) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	for {
		r.mu.Lock()
		rec, err := r.rec, r.err
		if r.news == nil {
			r.news = make(chan struct{})
		}
		news := r.news
		r.mu.Unlock()
		if err != nil || rec.Version > after {
			return rec, err
		}
		select {
		case <-ctx.Done():
			return leadership.Record{}, context.Cause(ctx)
		case <-news:
		}
	}
}

// club is a world whose lane has joined a barrier.
type club struct {
	*world
	barrier *flaky
	reg     *ledger
	heard   []error // by Router.Suspended
	stop    context.CancelCauseFunc
	ended   chan error
}

const clubTTL = time.Second

func newClub(t *testing.T) *club {
	t.Helper()
	c := &club{
		world:   newWorld(t, buffer.Config{Counted: true, MaxAge: time.Minute}),
		barrier: &flaky{b: &leadership.MemoryBarrier{}}, reg: &ledger{},
	}
	c.reg.put(routed(1, lead("n1", 1)))
	t.Cleanup(func() { // also when a check failed
		if c.stop != nil {
			c.stop(nil)
		}
		c.wg.Wait()
	})
	return c
}

func (c *club) join(more ...*buffer.Lane) {
	ctx, stop := context.WithCancelCause(bg)
	c.stop, c.ended = stop, make(chan error, 1)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.ended <- c.b.Join(ctx, c.barrier, c.reg, buffer.Router{ID: "r1", TTL: clubTTL, Suspended: func(err error) {
			c.set(func() { c.heard = append(c.heard, err) })
		}}, append([]*buffer.Lane{c.lane}, more...)...)
	}()
	synctest.Wait()
}

// leaves ends the Join and returns its error.
func (c *club) leaves(why error) error {
	c.stop(why)
	return <-c.ended
}

// late reports who a Wait for term n waits for, now.
func (c *club) late(n uint64) leadership.RollCall {
	ctx, cancel := context.WithCancel(bg)
	synctest.Wait()
	done := make(chan leadership.RollCall, 1)
	go func() {
		rc, _ := c.barrier.b.Wait(ctx, term(n))
		done <- rc
	}()
	synctest.Wait()
	cancel()
	return <-done
}

func (c *club) state() buffer.State {
	synctest.Wait()
	return c.lane.Snapshot().State
}

func (c *club) told() (errs []error) {
	synctest.Wait()
	c.set(func() { errs = slices.Clone(c.heard) })
	return errs
}

var r1 = []leadership.RouterID{"r1"}

// held is a record in which a change of term n holds.
func held(version uint64, l leadership.Leadership, n uint64) leadership.Record {
	return intent(version, l, n, leadership.Holding, time.Minute)
}
