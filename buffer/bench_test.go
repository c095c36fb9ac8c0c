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

func nop(context.Context, leadership.Leadership, string) error { return nil }

func benchLane(b *testing.B, cfg buffer.Config) (*buffer.Buffer, *buffer.Lane) {
	b.Helper()
	buf, err := buffer.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	l := buf.Lane("k")
	l.Observe(routed(1, lead("n1", 1)))
	return buf, l
}

func BenchmarkIdle(b *testing.B) {
	buf, l := benchLane(b, buffer.Config{})
	b.Run("floor=atomic-pointer", func(b *testing.B) {
		type target struct {
			l  leadership.Leadership
			ok bool
		}
		var p atomic.Pointer[target]
		p.Store(&target{lead("n1", 1), true})
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			t := p.Load()
			if to, ok := t.l, t.ok; ok {
				n += len(to.Leader)
			}
		}
		runtime.KeepAlive(n)
	})
	b.Run("Pass", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if r, ok := l.Pass(); ok {
				to := r.To()
				n += len(to.Leader)
			}
		}
		runtime.KeepAlive(n)
	})
	b.Run("Ready", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if l.Ready() {
				n++
			}
		}
		runtime.KeepAlive(n)
	})
	b.Run("Do", func(b *testing.B) {
		b.ReportAllocs()
		ctx := context.Background()
		for b.Loop() {
			_ = l.Do(ctx, buffer.Request{}, nop)
		}
	})
	b.Run("Lane+Pass", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = buf.Lane("k").Pass()
		}
	})
	b.Run("Pass-parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = l.Pass()
			}
		})
	})
}

// BenchmarkHoldFlush holds n requests and releases them; the floor parks and
// wakes as many goroutines on a channel each, with the same context. Figures
// are per request, the start of its goroutine included.
func BenchmarkHoldFlush(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("floor/n=%d", n), func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			chans := make([]chan struct{}, n)
			for i := range chans {
				chans[i] = make(chan struct{}, 1)
			}
			b.ReportAllocs()
			var m meter
			for b.Loop() {
				var wg sync.WaitGroup
				var parked atomic.Int64
				m.start()
				for i := range n {
					wg.Go(func() {
						parked.Add(1)
						select {
						case <-chans[i]:
						case <-ctx.Done():
						}
					})
				}
				for int(parked.Load()) < n {
					runtime.Gosched()
				}
				for _, ch := range chans {
					ch <- struct{}{}
				}
				wg.Wait()
				m.stop()
			}
			m.report(b, n)
		})
		b.Run(fmt.Sprintf("buffer/n=%d", n), func(b *testing.B) {
			_, l := benchLane(b, buffer.Config{MaxHeld: n, MaxAge: time.Minute})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			version := uint64(1)
			b.ReportAllocs()
			var m meter
			for b.Loop() {
				version++
				l.Observe(intent(version, lead("n1", version-1), version, leadership.Holding, time.Minute))
				var wg sync.WaitGroup
				m.start()
				for range n {
					wg.Go(func() {
						if err := l.Do(ctx, buffer.Request{Unit: true, Bytes: 1}, nop); err != nil {
							b.Error(err)
						}
					})
				}
				for l.Snapshot().Held < n {
					runtime.Gosched()
				}
				flush := time.Now()
				version++
				l.Observe(routed(version, lead("n1", version)))
				wg.Wait()
				m.flush += time.Since(flush)
				m.stop()
			}
			m.report(b, n)
			b.ReportMetric(float64(m.flush)/float64(m.rounds*n), "flush-ns/req")
		})
	}
}

// BenchmarkCancelStorm holds n requests and cancels them all.
func BenchmarkCancelStorm(b *testing.B) {
	for _, n := range []int{10_000, 30_000, 100_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			_, l := benchLane(b, buffer.Config{MaxHeld: n, MaxAge: time.Minute})
			l.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
			var storm time.Duration
			rounds := 0
			for b.Loop() {
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() { _ = l.Do(ctx, buffer.Request{Unit: true}, nop) })
				}
				for l.Snapshot().Held < n {
					runtime.Gosched()
				}
				start := time.Now()
				cancel()
				wg.Wait()
				storm += time.Since(start)
				rounds++
			}
			b.ReportMetric(float64(storm.Milliseconds())/float64(rounds), "storm-ms")
			b.ReportMetric(float64(storm)/float64(rounds*n), "storm-ns/req")
		})
	}
}

// meter measures mallocs and time of rounds.
type meter struct {
	rounds  int
	mallocs uint64
	at      time.Time
	total   time.Duration
	flush   time.Duration
	ms      runtime.MemStats
}

func (m *meter) start() {
	runtime.ReadMemStats(&m.ms)
	m.mallocs -= m.ms.Mallocs
	m.at = time.Now()
}

func (m *meter) stop() {
	m.total += time.Since(m.at)
	runtime.ReadMemStats(&m.ms)
	m.mallocs += m.ms.Mallocs
	m.rounds++
}

func (m *meter) report(b *testing.B, n int) {
	b.ReportMetric(float64(m.total)/float64(m.rounds*n), "ns/req")
	b.ReportMetric(float64(m.mallocs)/float64(m.rounds*n), "mallocs/req")
}
