package buffer_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/lameduck"
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

// line is a word on a cache line of its own.
type line struct {
	_ [64]byte
	n atomic.Uint64
	_ [64]byte
}

// row is one candidate of a table. worker returns what one worker calls, so
// that a worker may hold a line of its own. floor names the row that it cannot
// be faster than.
type row struct {
	name, floor string
	worker      func() func(n int)
}

// shared is a row whose workers call the same function.
func shared(name, floor string, f func(n int)) row {
	return row{name, floor, func() func(int) { return f }}
}

const (
	benchRounds = 15
	benchChunk  = time.Millisecond
)

// run lets workers run n operations each, and returns the time per operation
// of one worker.
func (r row) run(workers, n int) float64 {
	if workers == 1 {
		f := r.worker()
		start := time.Now()
		f(n)
		return float64(time.Since(start)) / float64(n)
	}
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for range workers {
		ready.Add(1)
		done.Go(func() {
			f := r.worker()
			ready.Done()
			<-start
			f(n)
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	return float64(time.Since(began)) / float64(n)
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// table measures all rows in turns, so that a change of the machine's mood
// meets all of them, and reports medians: the time per operation, and the
// ratio to the row's floor of the same round.
func table(b *testing.B, workers int, rows []row) {
	ns := map[string][]float64{}
	chunk := map[string]int{}
	long := float64(benchChunk)
	if workers > 1 {
		long *= 10 // workers must overlap although one is woken after the other
	}
	for _, r := range rows {
		n := 100
		for r.run(workers, n)*float64(n) < long/2 {
			n *= 2
		}
		chunk[r.name] = n
	}
	for range benchRounds {
		for _, r := range rows {
			ns[r.name] = append(ns[r.name], r.run(workers, chunk[r.name]))
		}
	}
	ratio := func(r row) float64 {
		var v []float64
		for i, x := range ns[r.name] {
			v = append(v, x/ns[r.floor][i])
		}
		return median(v)
	}
	suffix := ""
	for _, r := range rows {
		if workers > 1 && r.name == "control=one-word" && ratio(r) < 2 {
			// The workers do not run at once, or share a core: what follows
			// shows nothing about sharing.
			suffix = "/inconclusive"
		}
	}
	for _, r := range rows {
		f := r.worker()
		allocs := testing.AllocsPerRun(100, func() { f(1) })
		b.Run(r.name+suffix, func(b *testing.B) {
			b.ReportMetric(median(ns[r.name]), "ns/op")
			b.ReportMetric(allocs, "mallocs/op")
			if r.floor != "" {
				b.ReportMetric(ratio(r), "x-floor")
			}
		})
	}
}

func idleRows(b *testing.B) []row {
	buf, l := benchLane(b, buffer.Config{})
	_, counted := benchLane(b, buffer.Config{Counted: true})
	for i := range 1000 {
		buf.Lane(fmt.Sprint("key", i)).Observe(routed(1, lead("n1", 1)))
	}
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	type target struct {
		l  leadership.Leadership
		ok bool
	}
	var p atomic.Pointer[target]
	p.Store(&target{lead("n1", 1), true})
	var byKey sync.Map
	byKey.Store("k", &target{lead("n1", 1), true})
	gate := &lameduck.Gate{}
	ctx := context.Background()
	enter := func(l *buffer.Lane) func(n int) {
		return func(n int) {
			for range n {
				turn, err := l.Enter(ctx, buffer.Request{})
				if err != nil {
					b.Error(err)
				}
				turn.Done(nil)
			}
		}
	}
	do := func(l *buffer.Lane) func(n int) {
		return func(n int) {
			for range n {
				_ = l.Do(ctx, buffer.Request{}, nop)
			}
		}
	}
	return []row{
		{"floor=own-line", "", func() func(int) {
			w := new(line)
			return func(n int) {
				for range n {
					w.n.Add(2)
					w.n.Add(^uint64(1))
				}
			}
		}},
		{"control=one-word", "floor=own-line", func() func() func(int) {
			w := new(line)
			return func() func(int) {
				return func(n int) {
					for range n {
						w.n.Add(2)
						w.n.Add(^uint64(1))
					}
				}
			}
		}()},
		shared("floor=load", "", func(n int) {
			k := 0
			for range n {
				if p.Load().ok {
					k++
				}
			}
			runtime.KeepAlive(k)
		}),
		shared("Ready", "floor=load", func(n int) {
			k := 0
			for range n {
				if l.Ready() {
					k++
				}
			}
			runtime.KeepAlive(k)
		}),
		shared("Pass", "floor=load", func(n int) {
			var r buffer.Route
			for range n {
				if to, ok := l.Pass(); ok {
					r = to
				}
			}
			runtime.KeepAlive(r)
		}),
		shared("floor=load+copy", "", func(n int) {
			var to leadership.Leadership
			for range n {
				if t := p.Load(); t.ok {
					to = t.l
					runtime.KeepAlive(&to)
				}
			}
		}),
		shared("Pass+To", "floor=load+copy", func(n int) {
			var to leadership.Leadership
			for range n {
				if r, ok := l.Pass(); ok {
					to = r.To()
					runtime.KeepAlive(&to)
				}
			}
		}),
		shared("Do", "floor=load+copy", do(l)),
		shared("Enter+Done", "floor=load", enter(l)),
		shared("gate", "floor=own-line", func(n int) {
			for range n {
				tok, err := gate.Enter(lameduck.Single)
				if err != nil {
					b.Error(err)
				}
				tok.Exit()
			}
		}),
		shared("counted-Enter+Done", "gate", enter(counted)),
		shared("counted-Do", "gate", do(counted)),
		shared("counted-TryEnter+Leave", "gate", func(n int) {
			for range n {
				e, ok := counted.TryEnter()
				if !ok {
					b.Error("not ready")
				}
				e.Leave()
			}
		}),
		shared("floor=sync.Map", "", func(n int) {
			for range n {
				if v, ok := byKey.Load("k"); ok {
					runtime.KeepAlive(v.(*target).ok)
				}
			}
		}),
		shared("Lane+Pass", "floor=sync.Map", func(n int) {
			for range n {
				_, _ = buf.Lane("k").Pass()
			}
		}),
		shared("Lane+Pass-1000-keys", "floor=sync.Map", func(n int) {
			for i := range n {
				_, _ = buf.Lane(keys[i%len(keys)]).Pass()
			}
		}),
	}
}

// atProcs runs f at GOMAXPROCS 1 and 2.
func atProcs(b *testing.B, f func(b *testing.B, procs int)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2} {
		runtime.GOMAXPROCS(procs)
		b.Run(fmt.Sprintf("procs=%d", procs), func(b *testing.B) { f(b, procs) })
	}
}

// BenchmarkIdle is what a request costs while nothing is held: one worker.
func BenchmarkIdle(b *testing.B) {
	atProcs(b, func(b *testing.B, _ int) { table(b, 1, idleRows(b)) })
}

// BenchmarkIdleParallel is the same with two workers, each of which runs all
// the operations. Its rows mean something only when two workers on one word
// cost twice those on words of their own.
func BenchmarkIdleParallel(b *testing.B) {
	atProcs(b, func(b *testing.B, _ int) { table(b, 2, idleRows(b)) })
}
