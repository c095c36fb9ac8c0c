package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// lagged is a registry whose news arrive late.
type lagged struct {
	leadership.Registry
	lag time.Duration
}

func (l lagged) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	rec, err := l.Registry.Wait(ctx, after)
	time.Sleep(l.lag)
	return rec, err
}

// barrierRun is what planned changes cost the requests of two routers in front of
// servers that cannot refuse.
type barrierRun struct {
	failed []error
	cut    int // requests that a server broke off
	twice  int // requests that ran more than once, or never
	claims int // changes that claim to have cost nothing
	runs   int
}

func runAtBarrier(t *rapid.T, waits bool) (out barrierRun) {
	ms := func(label string, hi int) time.Duration {
		return time.Duration(rapid.IntRange(0, hi).Draw(t, label)) * time.Millisecond
	}
	// All is drawn before anything runs, so that a run which rapid gives up
	// leaves nothing behind in its bubble.
	lags := []time.Duration{ms("lag", 50), ms("lag", 50)}
	n := rapid.IntRange(20, 120).Draw(t, "requests")
	takes := rapid.SliceOfN(rapid.IntRange(0, 60), n, n).Draw(t, "takes")
	calm := make([]time.Duration, rapid.IntRange(1, 3).Draw(t, "changes"))
	to := make([]leadership.NodeID, len(calm))
	for i := range calm {
		calm[i], to[i] = ms("calm", 120), rapid.SampledFrom([]leadership.NodeID{"n1", "n2", "n3"}).Draw(t, "to")
	}
	c, err := newPlainCluster(waits)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var beside, requests sync.WaitGroup
	var lanes []*buffer.Lane
	for i := range 2 {
		b, err := buffer.New(buffer.Config{Counted: true})
		if err != nil {
			t.Fatal(err)
		}
		lane := b.Lane("plain")
		lanes = append(lanes, lane)
		reg := lagged{&c.reg, lags[i]}
		joined := make(chan struct{})
		if waits {
			var once sync.Once
			beside.Go(func() {
				_ = b.Join(ctx, &c.barrier, &c.reg, buffer.Router{
					ID: leadership.RouterID(fmt.Sprintf("r%d", i)), Suspended: func(error) { once.Do(func() { close(joined) }) },
				}, lane)
			})
			<-joined
		}
		beside.Go(func() { _ = b.Follow(ctx, reg, lane) })
	}

	var mu sync.Mutex
	requests.Go(func() {
		for id := range n {
			time.Sleep(time.Duration(id%7) * time.Millisecond)
			requests.Go(func() {
				d := time.Duration(takes[id]) * time.Millisecond
				err := lanes[id%2].Do(context.Background(), buffer.Request{Unit: id%3 == 0}, func(_ context.Context, to leadership.Leadership, _ string) error {
					return c.servers[to.Leader].call(id, d, to)
				})
				if err != nil {
					mu.Lock()
					out.failed = append(out.failed, err)
					mu.Unlock()
				}
			})
		}
	})
	at := leadership.NodeID("n1")
	for i, to := range to {
		time.Sleep(calm[i])
		ch := reparent.Refresh()
		if to != at {
			ch, at = reparent.Planned(to), to
		}
		rep, err := c.guard.Run(context.Background(), ch)
		if err != nil {
			mu.Lock()
			out.failed = append(out.failed, fmt.Errorf("%w\n%s", err, rep))
			mu.Unlock()
			break
		}
		out.runs++
		if rep.Quiet != nil && rep.Quiet.Claimed {
			out.claims++
		}
	}
	requests.Wait()
	stop()
	beside.Wait()
	for id := range n {
		ran := 0
		for _, s := range c.servers {
			ran += s.ran[id]
		}
		if ran != 1 {
			out.twice++
		}
	}
	for _, s := range c.servers {
		out.cut += s.cuts
	}
	return out
}

// TestG7_APlainServerIsSteppedDownWithNothingInFlight changes leaders that
// cannot refuse and that break off what is under way, beneath two routers under
// load, of which news reach one later than the other: no request fails, none is
// broken off, and every one runs exactly once.
func TestG7_APlainServerIsSteppedDownWithNothingInFlight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			out := runAtBarrier(t, true)
			if len(out.failed) > 0 || out.cut > 0 || out.twice > 0 {
				t.Fatalf("%d requests failed, %d were broken off, %d did not run once: %v", len(out.failed), out.cut, out.twice, errors.Join(out.failed...))
			}
			if out.claims != out.runs {
				t.Fatalf("%d of %d changes claim it", out.claims, out.runs)
			}
		})
	})
}

// The test above says something only if the same load fails without a barrier.
func TestWithoutABarrierAPlainServerBreaksRequestsOff(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var failed, cut, claims int
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			out := runAtBarrier(t, false)
			mu.Lock()
			defer mu.Unlock()
			failed, cut, claims = failed+len(out.failed), cut+out.cut, claims+out.claims
		})
	})
	t.Logf("%d requests failed, %d were broken off", failed, cut)
	if failed == 0 || cut == 0 || claims > 0 {
		t.Errorf("%d requests failed, %d were broken off, %d changes claim otherwise: nothing is shown by the other test", failed, cut, claims)
	}
}
