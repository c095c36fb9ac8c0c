//go:build unix

package buffer_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// cpu is what this process has used so far. Other processes disturb it less
// than the time on the wall.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// crowd starts n goroutines of f, and returns when ready says so.
func crowd(n int, f func(i int), ready func() bool) *sync.WaitGroup {
	var wg sync.WaitGroup
	var begun atomic.Int64
	for i := range n {
		wg.Go(func() {
			begun.Add(1)
			f(i)
		})
	}
	for int(begun.Load()) < n || !ready() {
		runtime.Gosched()
	}
	return &wg
}

// BenchmarkCost compares holding, and then flushing or cancelling, with a bare
// select on a channel of each goroutine and a context. Figures are CPU time per
// request, the start and the end of its goroutine included in both.
func BenchmarkCost(b *testing.B) {
	for _, n := range []int{10_000, 30_000, 100_000} {
		for _, end := range []string{"flush", "cancel"} {
			b.Run(fmt.Sprintf("%s/n=%d/floor", end, n), func(b *testing.B) {
				chans := make([]chan struct{}, n)
				for i := range chans {
					chans[i] = make(chan struct{}, 1)
				}
				cost(b, n, func(ctx context.Context, cancel func()) (*sync.WaitGroup, func()) {
					wg := crowd(n, func(i int) {
						select {
						case <-chans[i]:
						case <-ctx.Done():
						}
					}, func() bool { return true })
					if end == "cancel" {
						return wg, cancel
					}
					return wg, func() {
						for _, ch := range chans {
							ch <- struct{}{}
						}
					}
				})
			})
			b.Run(fmt.Sprintf("%s/n=%d/buffer", end, n), func(b *testing.B) {
				_, l := benchLane(b, buffer.Config{MaxHeld: n, MaxAge: time.Minute})
				version := uint64(1)
				cost(b, n, func(ctx context.Context, cancel func()) (*sync.WaitGroup, func()) {
					version++
					l.Observe(intent(version, lead("n1", version-1), version, leadership.Holding, time.Minute))
					wg := crowd(n, func(int) {
						if err := l.Do(ctx, buffer.Request{Unit: true, Bytes: 1}, nop); (err == nil) != (end == "flush") {
							b.Error(err)
						}
					}, func() bool { return l.Snapshot().Held == n })
					version++
					resume := func() { l.Observe(routed(version, lead("n1", version))) }
					if end == "flush" {
						return wg, resume
					}
					return wg, func() { cancel(); wg.Wait(); resume() }
				})
			})
		}
	}
}

func cost(b *testing.B, n int, round func(ctx context.Context, cancel func()) (*sync.WaitGroup, func())) {
	var held, ended time.Duration
	rounds := 0
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		t0 := cpu()
		wg, end := round(ctx, cancel)
		t1 := cpu()
		end()
		wg.Wait()
		held, ended = held+t1-t0, ended+cpu()-t1
		rounds++
		cancel()
	}
	per := float64(rounds * n)
	b.ReportMetric(float64(held)/per, "hold-cpu-ns/req")
	b.ReportMetric(float64(ended)/per, "end-cpu-ns/req")
	b.ReportMetric(float64(held+ended)/per, "cpu-ns/req")
}

// BenchmarkEvict has a full lane, and each arrival displaces another.
func BenchmarkEvict(b *testing.B) {
	for _, o := range []buffer.Overflow{buffer.RejectNew, buffer.EvictOldest, buffer.EvictLowestPriority, buffer.EvictNearestDeadline} {
		for _, n := range []int{100, 10_000} {
			b.Run(fmt.Sprintf("%s/held=%d", o, n), func(b *testing.B) {
				buf, l := benchLane(b, buffer.Config{MaxHeld: n, MaxAge: time.Minute, Overflow: o, Flush: buffer.Flush{Start: n, Max: n}})
				l.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				wait := func(ctx context.Context, p buffer.Priority) {
					_ = l.Do(ctx, buffer.Request{Unit: true, Priority: p}, nop)
				}
				wg := crowd(n, func(int) { wait(ctx, 0) }, func() bool { return l.Snapshot().Held == n })
				later, cancelLater := context.WithTimeout(context.Background(), 2*time.Hour)
				defer cancelLater()
				began := cpu()
				rounds := 0
				for b.Loop() {
					rounds++
					if o == buffer.RejectNew {
						wait(ctx, 0)
						continue
					}
					var more sync.WaitGroup
					for range 64 {
						more.Go(func() { wait(later, 1) })
					}
					for s := l.Snapshot(); s.Evicted+s.Overflow < uint64(rounds*64); s = l.Snapshot() {
						runtime.Gosched()
					}
				}
				per := float64(rounds)
				if o != buffer.RejectNew {
					per *= 64
				}
				b.ReportMetric(float64(cpu()-began)/per, "cpu-ns/arrival")
				buf.Close()
				wg.Wait()
			})
		}
	}
}

// BenchmarkMemory tells what a held request keeps alive beyond a goroutine that
// waits on a channel.
func BenchmarkMemory(b *testing.B) {
	const n = 20_000
	live := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	var floor, ours float64
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		before := live()
		block := make(chan struct{})
		wg := crowd(n, func(int) {
			select {
			case <-block:
			case <-ctx.Done():
			}
		}, func() bool { return true })
		floor = float64(live().HeapAlloc-before.HeapAlloc) / n
		cancel()
		wg.Wait()

		_, l := benchLane(b, buffer.Config{MaxHeld: n, MaxAge: time.Minute})
		l.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		ctx, cancel = context.WithCancel(context.Background())
		before = live()
		wg = crowd(n, func(int) { _ = l.Do(ctx, buffer.Request{Unit: true}, nop) }, func() bool { return l.Snapshot().Held == n })
		ours = float64(live().HeapAlloc-before.HeapAlloc) / n
		cancel()
		wg.Wait()
	}
	b.ReportMetric(floor, "floor-B/req")
	b.ReportMetric(ours, "live-B/req")
}
