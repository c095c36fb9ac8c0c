// Package measure holds what the rows are measured with: operations of a few
// nanoseconds, and episodes in which many goroutines wait at once. All sides of a
// row are measured in turns, round after round, so that whatever else the machine
// does meets all of them.
package measure

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Side is one way to do an operation.
type Side struct {
	Name string
	// Start is called once per worker, and returns what does n operations.
	Start func() func(n int)
}

// Same is a side whose workers share everything.
func Same(name string, f func(n int)) Side {
	return Side{Name: name, Start: func() func(int) { return f }}
}

// Timing is what one side took, a value per round.
type Timing []float64

// Median of the rounds.
func (t Timing) Median() float64 { return Quantile(t, 0.5) }

// Over is the median of the ratios of the rounds.
func (t Timing) Over(base Timing) float64 {
	n := min(len(t), len(base))
	ratios := make([]float64, n)
	for i := range n {
		ratios[i] = t[i] / base[i]
	}
	return Quantile(ratios, 0.5)
}

// Less is what t took beyond base in the same round, not below zero.
func (t Timing) Less(base Timing) Timing {
	n := min(len(t), len(base))
	above := make(Timing, n)
	for i := range n {
		above[i] = max(0, t[i]-base[i])
	}
	return above
}

// Quantile returns the value below which q of the values are, NaN for none.
func Quantile(of []float64, q float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(of))
	return s[int(float64(len(s)-1)*q+0.5)]
}

// PerOp measures the sides with as many workers each. The result holds, for each
// side, the nanoseconds per operation of one worker: CPU time of the process for a
// single worker, which other processes disturb less, and time on the wall for
// several. chunk is how long one side is measured at a time.
func PerOp(rounds, workers int, chunk time.Duration, sides ...Side) []Timing {
	run := make([][]func(int), len(sides))
	ops := make([]int, len(sides))
	for i, s := range sides {
		for range workers {
			run[i] = append(run[i], s.Start())
		}
		ops[i] = 64
		for {
			// What else the process does meanwhile, a collection of garbage, must not
			// pass for the cost of a few operations.
			took := together(run[i], ops[i])
			for range 2 {
				took = min(took, together(run[i], ops[i]))
			}
			if took >= chunk/4 {
				ops[i] = max(1, int(float64(ops[i])*float64(chunk)/float64(took)))
				break
			}
			ops[i] *= 2
		}
	}
	out := make([]Timing, len(sides))
	for range rounds {
		for i := range sides {
			took := together(run[i], ops[i])
			out[i] = append(out[i], float64(took.Nanoseconds())/float64(ops[i]))
		}
	}
	return out
}

// together lets all do n operations at once, and returns how long the slowest took.
func together(fs []func(int), n int) time.Duration {
	if len(fs) == 1 {
		from := CPU()
		fs[0](n)
		return CPU() - from
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
			f(n)
		})
	}
	ready.Wait()
	from := time.Now()
	begin.Store(true)
	done.Wait()
	return time.Since(from)
}

// Allocs returns the heap objects that one operation makes.
func Allocs(s Side) float64 {
	const n = 1000
	f := s.Start()
	f(10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f(n)
	runtime.ReadMemStats(&after)
	return math.Floor(float64(after.Mallocs-before.Mallocs) / n)
}

// Line is a word that shares its cache line with nothing.
type Line struct {
	_ [64]byte
	N atomic.Int64
	_ [64]byte
}

// OwnLine is the floor of everything that counts in and out: two atomic
// read-modify-writes on a line of the worker's own.
func OwnLine() Side {
	return Side{Name: "two atomic adds, own line", Start: func() func(int) { return inOut(new(Line)) }}
}

// SharedLine is the same on one line for all workers.
func SharedLine() Side {
	l := new(Line)
	return Side{Name: "two atomic adds, one line", Start: func() func(int) { return inOut(l) }}
}

func inOut(l *Line) func(int) {
	return func(n int) {
		for range n {
			l.N.Add(1)
			l.N.Add(-1)
		}
	}
}
