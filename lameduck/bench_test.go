package lameduck_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

type line struct {
	_ [64]byte
	n atomic.Int64
	_ [64]byte
}

// Each candidate is one entry and its exit. worker returns what one worker
// calls, so that a worker may hold a line of its own.
type candidate struct {
	name   string
	worker func() func()
}

func candidates(b *testing.B) []candidate {
	g, cells := &lameduck.Gate{}, &lameduck.Gate{}
	var rw sync.RWMutex
	var wg sync.WaitGroup
	var closed bool
	var packed line
	return []candidate{
		{"floor-2-RMW-own-line", func() func() {
			l := new(line)
			return func() { l.n.Add(1); l.n.Add(-1) }
		}},
		{"gate-own-cell", func() func() {
			c := cells.Cell()
			return func() {
				tok, err := c.Enter(lameduck.Single)
				if err != nil {
					b.Error(err)
				}
				tok.Exit()
			}
		}},
		{"gate", func() func() {
			return func() {
				tok, err := g.Enter(lameduck.Single)
				if err != nil {
					b.Error(err)
				}
				tok.Exit()
			}
		}},
		{"packed-atomic", func() func() {
			return func() {
				if packed.n.Add(2)&1 != 0 {
					b.Error("closed")
				}
				packed.n.Add(-2)
			}
		}},
		{"RWMutex-flag", func() func() {
			return func() {
				rw.RLock()
				if closed {
					b.Error("closed")
				}
				rw.RUnlock()
			}
		}},
		{"WaitGroup-RWMutex", func() func() {
			return func() {
				rw.RLock()
				if !closed {
					wg.Add(1)
				}
				rw.RUnlock()
				wg.Done()
			}
		}},
	}
}

func BenchmarkSerial(b *testing.B) {
	for _, c := range candidates(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			f := c.worker()
			for b.Loop() {
				f()
			}
		})
	}
}

func BenchmarkParallel(b *testing.B) {
	for _, c := range candidates(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				f := c.worker()
				for pb.Next() {
					f()
				}
			})
		})
	}
}

func BenchmarkUnitWithOneContinuation(b *testing.B) {
	g := &lameduck.Gate{}
	c := g.Cell()
	b.ReportAllocs()
	for b.Loop() {
		u, _ := c.Enter(lameduck.Unit)
		k, err := u.Continue()
		if err != nil {
			b.Fatal(err)
		}
		k.Exit()
		u.Exit()
	}
}

func BenchmarkEnterInfo(b *testing.B) {
	g := &lameduck.Gate{}
	b.ReportAllocs()
	for b.Loop() {
		tok, _ := g.EnterInfo(lameduck.Single, lameduck.Info{Label: "x"})
		tok.Exit()
	}
}

func BenchmarkContext(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.Run("gate", func(b *testing.B) {
		g := &lameduck.Gate{}
		b.ReportAllocs()
		for b.Loop() {
			tok, _ := g.Enter(lameduck.Single)
			_ = tok.Context(ctx)
			tok.Exit()
		}
	})
	b.Run("WithCancel", func(b *testing.B) {
		g := &lameduck.Gate{}
		b.ReportAllocs()
		for b.Loop() {
			tok, _ := g.Enter(lameduck.Single)
			_, stop := context.WithCancel(ctx)
			stop()
			tok.Exit()
		}
	})
}

func BenchmarkRefusal(b *testing.B) {
	for _, bc := range []struct {
		name string
		plan lameduck.Plan
	}{{"drained", lameduck.Plan{}}, {"drained-with-expiry", lameduck.Plan{Expire: time.Hour}}} {
		b.Run(bc.name, func(b *testing.B) {
			g := &lameduck.Gate{}
			if _, err := g.Drain(context.Background(), bc.plan); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Enter(lameduck.Single); err == nil {
					b.Fatal("admitted")
				}
			}
		})
	}
}

// Time from just before the last Exit until Drain has returned.
func BenchmarkDrainNotice(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		g := &lameduck.Gate{}
		tok, _ := g.Enter(lameduck.Single)
		end := make(chan time.Time)
		go func() {
			_, _ = g.Drain(context.Background(), lameduck.Plan{All: time.Minute})
			end <- time.Now()
		}()
		for {
			changed := g.Changed() // before the look, so that no change is missed
			if g.State().Phase == lameduck.DrainAll {
				break
			}
			<-changed
		}
		from := time.Now()
		tok.Exit()
		took = append(took, (<-end).Sub(from))
	}
	report(b, took)
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50-us", 0.50}, {"p90-us", 0.90}, {"p99-us", 0.99}} {
		d := took[int(float64(len(took)-1)*q.at)]
		b.ReportMetric(float64(d.Nanoseconds())/1e3, q.name)
	}
}
