package reparenttest

import (
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// BenchmarkChanges simulates changes of leader in clusters of five. Without
// clients nothing fails; with them it is what Run does for a seed: rival
// coordinators, all faults, the healing and the check of the history. Changes
// are counted per second of processor time, so that what else the machine does
// matters less; compare two figures of one run only.
//
// Of the time without clients about a quarter is the guard's own work, a third
// is allocation with its collection, a tenth the growth of stacks of goroutines
// that the code under test starts, and a tenth the checks; the scheduler's own
// steps are less than that.
func BenchmarkChanges(b *testing.B) {
	b.Run("peace", func(b *testing.B) {
		const each = 20
		changes, began := 0, cpuTime()
		for b.Loop() {
			alone(b, func() {
				sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
				defer sim.Close()
				w, err := newWorld(sim, LogStore(), 5, leadership.Majority())
				if err == nil {
					err = w.bootstrap()
				}
				if err != nil {
					b.Error(err)
					return
				}
				_, g, err := w.coordinator("c1", nil)
				if err != nil {
					b.Error(err)
					return
				}
				if err := sim.Do(maxSteps, func() {
					for range each {
						w.run(g, reparent.Emergency())
					}
				}); err != nil {
					b.Error(err)
				}
				changes += len(w.grants)
			})
		}
		b.ReportMetric(float64(changes)/(cpuTime()-began).Seconds(), "changes/cpu-s")
		b.ReportAllocs()
	})
	b.Run("faults", func(b *testing.B) {
		f := Everything()
		f.Nodes = 5
		h := LogStore()
		h.Policy = leadership.Majority()
		changes, seed, began := 0, uint64(0), cpuTime()
		for b.Loop() {
			seed++
			alone(b, func() {
				sim, w, err := h.chaos(seed, stepsim.Seed(seed, stepsim.Swarm(seed)), f, &tally{}, false)
				if err != nil {
					b.Error(err)
				}
				_ = sim
				changes += len(w.grants)
			})
		}
		b.ReportMetric(float64(changes)/(cpuTime()-began).Seconds(), "changes/cpu-s")
		b.ReportAllocs()
	})
}

// alone runs f in a bubble: synctest.Test wants a *testing.T, which a benchmark
// has not.
func alone(b *testing.B, f func()) {
	b.Helper()
	t := &testing.T{}
	synctest.Test(t, func(*testing.T) { f() })
}
