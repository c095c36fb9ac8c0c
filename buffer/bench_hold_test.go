package buffer_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// episode is what one hold of n requests costs: from the start of their
// goroutines until all are held, and from the change (of leader, or of their
// context) until all have ended.
type episode struct {
	hold, end      time.Duration
	mallocs, bytes uint64
}

// measure runs an episode. wait must return when all are held.
func measure(n int, call func(i int), wait, end func()) (e episode) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		wg.Go(func() { call(i) })
	}
	wait()
	e.hold = time.Since(start)
	start = time.Now()
	end()
	wg.Wait()
	e.end = time.Since(start)
	runtime.ReadMemStats(&after)
	e.mallocs, e.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return e
}

// parked is the floor: n goroutines that wait on a channel each or for a
// context, as a held request must.
func parked(n int, cancelled bool) episode {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	chans := make([]chan struct{}, n)
	for i := range chans {
		chans[i] = make(chan struct{}, 1)
	}
	var arrived atomic.Int64
	return measure(n, func(i int) {
		arrived.Add(1)
		select {
		case <-chans[i]:
		case <-ctx.Done():
		}
	}, func() { until(func() bool { return int(arrived.Load()) == n }) }, func() {
		if cancelled {
			cancel()
			return
		}
		for _, ch := range chans {
			ch <- struct{}{}
		}
	})
}

func until(f func() bool) {
	for !f() {
		runtime.Gosched()
	}
}

// holder holds n requests in one lane, once and again.
type holder struct {
	l       *buffer.Lane
	version uint64
}

func (h *holder) announce() {
	h.version++
	h.l.Observe(intent(h.version, lead("n1", h.version-1), h.version, leadership.Holding, time.Hour))
}

func (h *holder) route() {
	h.version++
	h.l.Observe(routed(h.version, lead("n1", h.version)))
}

func (h *holder) episode(b *testing.B, n int, cancelled bool) episode {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h.announce()
	e := measure(n, func(int) {
		if err := h.l.Do(ctx, buffer.Request{Unit: true, Bytes: 1}, nop); (err != nil) != cancelled {
			b.Error(err)
		}
	}, func() { until(func() bool { return h.l.Snapshot().Held == n }) }, func() {
		if cancelled {
			cancel()
		} else {
			h.route()
		}
	})
	if cancelled {
		h.route()
	}
	return e
}

// episodes measures floor and buffer in turns, and returns medians per
// request, in nanoseconds.
type episodes struct {
	floorHold, floorEnd, hold, end []float64
	xHold, xEnd                    []float64
	mallocs, bytes                 []float64 // above the floor
	firstMallocs                   float64
}

func compare(b *testing.B, n int, cancelled bool) (s episodes) {
	_, l := benchLane(b, buffer.Config{MaxHeld: n, MaxBytes: int64(n), MaxAge: time.Hour, MaxOutage: time.Hour})
	h := &holder{l: l, version: 1}
	parked(n, cancelled) // goroutines are made once and used again
	per := func(d time.Duration) float64 { return float64(d) / float64(n) }
	for i := range max(3, min(15, 100_000/n)) {
		f, e := parked(n, cancelled), h.episode(b, n, cancelled)
		s.floorHold, s.floorEnd = append(s.floorHold, per(f.hold)), append(s.floorEnd, per(f.end))
		s.hold, s.end = append(s.hold, per(e.hold)), append(s.end, per(e.end))
		s.xHold, s.xEnd = append(s.xHold, float64(e.hold)/float64(f.hold)), append(s.xEnd, float64(e.end)/float64(f.end))
		m := (float64(e.mallocs) - float64(f.mallocs)) / float64(n)
		if i == 0 {
			s.firstMallocs = m
		}
		s.mallocs = append(s.mallocs, m)
		s.bytes = append(s.bytes, (float64(e.bytes)-float64(f.bytes))/float64(n))
	}
	return s
}

// BenchmarkHoldFlush holds n requests and releases them. The floor parks and
// wakes as many goroutines. Mallocs and bytes are above it; first-mallocs are
// those of the first episode of a lane.
func BenchmarkHoldFlush(b *testing.B) {
	atProcs(b, func(b *testing.B, _ int) {
		for _, n := range []int{1_000, 10_000, 100_000} {
			s := compare(b, n, false)
			b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
				b.ReportMetric(median(s.hold)+median(s.end), "ns/op")
				b.ReportMetric(median(s.hold), "hold-ns/req")
				b.ReportMetric(median(s.xHold), "hold-x-floor")
				b.ReportMetric(median(s.end), "flush-ns/req")
				b.ReportMetric(median(s.xEnd), "flush-x-floor")
				b.ReportMetric(median(s.floorHold), "floor-hold-ns/req")
				b.ReportMetric(median(s.floorEnd), "floor-flush-ns/req")
				b.ReportMetric(median(s.mallocs), "mallocs/req")
				b.ReportMetric(s.firstMallocs, "first-mallocs/req")
				b.ReportMetric(median(s.bytes), "B/req")
			})
		}
	})
}

// BenchmarkCancelStorm holds n requests and cancels them all at once. x-1e4 is
// the time per request over that of the smallest storm: a linear cancel keeps
// it flat.
func BenchmarkCancelStorm(b *testing.B) {
	atProcs(b, func(b *testing.B, _ int) {
		var first float64
		for _, n := range []int{10_000, 30_000, 100_000} {
			s := compare(b, n, true)
			if first == 0 {
				first = median(s.end)
			}
			b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
				b.ReportMetric(median(s.end), "ns/op")
				b.ReportMetric(median(s.end)*float64(n)/1e6, "storm-ms")
				b.ReportMetric(median(s.end)/first, "x-1e4")
				b.ReportMetric(median(s.xEnd), "x-floor")
			})
		}
	})
}

// BenchmarkOverflow sends ten times what may be held. Extra goroutines are
// those beyond the callers.
func BenchmarkOverflow(b *testing.B) {
	const room = 1_000
	_, l := benchLane(b, buffer.Config{MaxHeld: room, MaxAge: time.Hour, MaxOutage: time.Hour})
	h := &holder{l: l, version: 1}
	var took []float64
	extra := 0
	for range 7 {
		h.announce()
		before := runtime.NumGoroutine()
		var refused, held sync.WaitGroup
		for range room {
			held.Go(func() { _ = l.Do(context.Background(), buffer.Request{Unit: true}, nop) })
		}
		until(func() bool { return l.Snapshot().Held == room })
		start := time.Now()
		var ended atomic.Int64
		for range 9 * room {
			refused.Go(func() {
				if err := l.Do(context.Background(), buffer.Request{Unit: true}, nop); err == nil {
					b.Error("there was no room")
				}
				ended.Add(1)
			})
		}
		refused.Wait()
		took = append(took, float64(time.Since(start))/(9*room))
		until(func() bool { return runtime.NumGoroutine() <= before+room || ended.Load() < 9*room })
		extra = max(extra, runtime.NumGoroutine()-before-room)
		h.route()
		held.Wait()
	}
	b.ReportMetric(median(took), "ns/op")
	b.ReportMetric(float64(extra), "extra-goroutines")
}
