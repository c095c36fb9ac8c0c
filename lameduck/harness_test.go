package lameduck_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A candidate is something to measure: start is called once per worker and
// returns what does n operations.
type candidate struct {
	name  string
	start func() func(n int)
}

// line is a word that shares its cache line with nothing.
type line struct {
	_ [64]byte
	n atomic.Int64
	_ [64]byte
}

// ownLine is the floor of everything that counts in and out: two atomic
// read-modify-writes on a cache line of the worker's own.
var ownLine = candidate{"two atomic adds on an own line", func() func(int) {
	l := new(line)
	return func(n int) {
		for range n {
			l.n.Add(1)
			l.n.Add(-1)
		}
	}
}}

func sharedLine() candidate {
	l := new(line)
	return candidate{"two atomic adds on a shared line", func() func(int) {
		return func(n int) {
			for range n {
				l.n.Add(1)
				l.n.Add(-1)
			}
		}
	}}
}

// sides measures the candidates in turn, round after round, so that what else
// the machine does hits all of them, and returns nanoseconds per operation and
// worker, by round.
func sides(b *testing.B, workers, ops int, cs ...candidate) [][]float64 {
	b.Helper()
	run := make([][]func(int), len(cs))
	for i, c := range cs {
		for range workers {
			f := c.start()
			f(ops / 10)
			run[i] = append(run[i], f)
		}
	}
	took := make([][]float64, len(cs))
	for b.Loop() {
		for i, fs := range run {
			took[i] = append(took[i], float64(together(fs, ops).Nanoseconds())/float64(ops))
		}
	}
	return took
}

func together(fs []func(int), ops int) time.Duration {
	if len(fs) == 1 {
		from := time.Now()
		fs[0](ops)
		return time.Since(from)
	}
	var ready, done sync.WaitGroup
	var begin atomic.Bool
	ready.Add(len(fs))
	for _, f := range fs {
		done.Go(func() {
			ready.Done()
			for !begin.Load() {
				runtime.Gosched()
			}
			f(ops)
		})
	}
	ready.Wait()
	from := time.Now()
	begin.Store(true)
	done.Wait()
	return time.Since(from)
}

func median(of []float64) float64 {
	s := slices.Sorted(slices.Values(of))
	return s[len(s)/2]
}

// ratio is the median of the ratios of the rounds.
func ratio(subject, base []float64) float64 {
	r := make([]float64, len(subject))
	for i := range r {
		r[i] = subject[i] / base[i]
	}
	return median(r)
}

// versus measures subject against base and reports the ratio as unit. With more
// than one worker the run must show in the same rounds that sharing a line
// costs: else both processors may be one core, and nothing is reported.
func versus(b *testing.B, workers, ops int, unit string, base, subject candidate) {
	b.Helper()
	cs := []candidate{base, subject}
	if workers > 1 {
		cs = append(cs, longer(ownLine, ops), longer(sharedLine(), ops))
	}
	took := sides(b, workers, ops, cs...)
	b.ReportMetric(median(took[1]), "ns/op")
	b.ReportMetric(median(took[0]), "base-ns/op")
	if workers > 1 {
		control := ratio(took[3], took[2])
		b.ReportMetric(control, "x-control")
		if control < 2 {
			b.ReportMetric(1, "inconclusive")
			b.Logf("inconclusive: two workers on one line cost only %.2f of two on their own", control)
			return
		}
	}
	b.ReportMetric(ratio(took[1], took[0]), unit)
}

// longer makes each operation of c so many that ops of them take long enough
// for two workers to meet.
func longer(c candidate, ops int) candidate {
	times := max(1, 50_000/ops)
	return candidate{c.name, func() func(int) {
		f := c.start()
		return func(n int) { f(n * times) }
	}}
}

// onProcs runs f at one and at two processors.
func onProcs(b *testing.B, f func(b *testing.B, procs int)) {
	b.Helper()
	for _, procs := range []int{1, 2} {
		b.Run(fmt.Sprintf("procs=%d", procs), func(b *testing.B) {
			if procs > runtime.NumCPU() {
				b.Skip("not so many processors")
			}
			before := runtime.GOMAXPROCS(procs)
			defer runtime.GOMAXPROCS(before)
			f(b, procs)
		})
	}
}

// allocs reports what one f allocates; the rounds of versus are no operations.
func allocs(b *testing.B, f func()) {
	b.Helper()
	const runs = 1000
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	b.ReportMetric(float64((after.Mallocs-before.Mallocs)/runs), "allocs/op")
	b.ReportMetric(float64((after.TotalAlloc-before.TotalAlloc)/runs), "B/op")
}
