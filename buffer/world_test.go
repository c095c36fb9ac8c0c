package buffer_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func term(n uint64) leadership.Term {
	if n == 0 {
		return leadership.Term{}
	}
	return leadership.Term{Num: n, Proposer: "c1"}
}

func lead(node string, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: leadership.NodeID(node), Term: term(n)}
}

// routed is a record in which l leads and nothing is under way.
func routed(version uint64, l leadership.Leadership) leadership.Record {
	return leadership.Record{Version: version, Mode: leadership.Full, Fence: l.Term, Active: l, Routed: l, Addr: string(l.Leader) + ":1"}
}

// intent is routed with an intent of term n.
func intent(version uint64, l leadership.Leadership, n uint64, phase leadership.Phase, holdFor time.Duration) leadership.Record {
	r := routed(version, l)
	r.Fence = term(n)
	r.Intent = leadership.Intent{Term: term(n), By: "c1", Kind: leadership.KindPlanned, Phase: phase, HoldFor: holdFor}
	return r
}

// bubble runs f in a synctest bubble. It panics there when f leaves a
// goroutine behind.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// world is one leader behind a lane: it takes requests routed to its
// leadership, refuses all others, and remembers the order.
type world struct {
	t    *testing.T
	b    *buffer.Buffer
	lane *buffer.Lane
	wg   sync.WaitGroup

	mu      sync.Mutex
	serves  leadership.Leadership // the leadership that takes requests
	refusal *leadership.Refusal   // what it answers instead, nil to take them
	service time.Duration
	order   []string // names in order of start, refused tries not included
	tries   []string
	errs    map[string]error
	ended   map[string]time.Time
	running int
	peak    int
}

func newWorld(t *testing.T, cfg buffer.Config) *world {
	t.Helper()
	b, err := buffer.New(cfg)
	require.NoError(t, err)
	w := &world{t: t, b: b, lane: b.Lane("k"), serves: lead("n1", 1), errs: map[string]error{}, ended: map[string]time.Time{}}
	w.lane.Observe(routed(1, lead("n1", 1)))
	return w
}

// handle is the request function of a request by this name.
func (w *world) handle(name string) func(context.Context, leadership.Leadership, string) error {
	return func(ctx context.Context, to leadership.Leadership, _ string) error {
		w.mu.Lock()
		w.tries = append(w.tries, name)
		if to != w.serves || w.refusal != nil {
			r := w.refusal
			if to != w.serves || r == nil {
				r = &leadership.Refusal{Term: to.Term, Until: w.serves.Term}
			}
			w.mu.Unlock()
			return r
		}
		w.order = append(w.order, name)
		w.running++
		w.peak = max(w.peak, w.running)
		d := w.service
		w.mu.Unlock()
		if d > 0 {
			time.Sleep(d)
		}
		w.mu.Lock()
		w.running--
		w.mu.Unlock()
		return nil
	}
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// refuse makes the leader refuse with until (0 to take requests again).
func (w *world) refuse(until uint64) {
	w.set(func() {
		w.refusal = nil
		if until > 0 {
			w.refusal = &leadership.Refusal{Term: w.serves.Term, Until: term(until)}
		}
	})
}

// crown makes l the leadership that takes requests; nobody is told.
func (w *world) crown(l leadership.Leadership) {
	w.set(func() { w.serves, w.refusal = l, nil })
}

// start sends a request from a goroutine of its own and returns when it is
// held or done.
func (w *world) start(ctx context.Context, name string, req buffer.Request) {
	w.wg.Add(1)
	go func() {
		defer w.wg.Done()
		err := w.lane.Do(ctx, req, w.handle(name))
		w.set(func() { w.errs[name], w.ended[name] = err, time.Now() })
	}()
	synctest.Wait()
}

func (w *world) startMany(prefix string, n int) (names []string) {
	for i := range n {
		name := fmt.Sprintf("%s%04d", prefix, i)
		names = append(names, name)
		w.start(context.Background(), name, buffer.Request{Bytes: 1})
	}
	return names
}

// started returns who reached a leader that took them, in order, once all is
// quiet; tried returns the same for every try, and load how many run.
func (w *world) started() (names []string) {
	synctest.Wait()
	w.set(func() { names = slices.Clone(w.order) })
	return names
}

func (w *world) tried() (names []string) {
	synctest.Wait()
	w.set(func() { names = slices.Clone(w.tries) })
	return names
}

func (w *world) load() (n int) {
	synctest.Wait()
	w.set(func() { n = w.running })
	return n
}

// err takes out the error of a request that is over.
func (w *world) err(name string) (err error) {
	w.set(func() {
		err = w.errs[name]
		delete(w.errs, name)
	})
	return err
}

// done waits for all requests and checks that none failed.
func (w *world) done() {
	w.t.Helper()
	w.wg.Wait()
	for name, err := range w.errs {
		require.NoError(w.t, err, name)
	}
	s := w.lane.Snapshot()
	require.Zero(w.t, s.Held)
	require.Zero(w.t, s.Retrying)
	require.Zero(w.t, s.Bytes)
}
