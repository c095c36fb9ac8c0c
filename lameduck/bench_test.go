package lameduck_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

func enterExit(b *testing.B, enter func(lameduck.Kind) (lameduck.Token, error)) func(int) {
	return func(n int) {
		for range n {
			tok, err := enter(lameduck.Single)
			if err != nil {
				b.Error(err)
			}
			tok.Exit()
		}
	}
}

// gates are what an entry and its exit can be counted with.
func gates(b *testing.B) []candidate {
	g, cells := &lameduck.Gate{}, &lameduck.Gate{}
	var rw, rwg sync.RWMutex
	var wg sync.WaitGroup
	var closed bool
	var packed line
	return []candidate{
		{"own-cell", func() func(int) {
			c := cells.Cell()
			return func(n int) {
				for range n {
					tok, err := c.Enter(lameduck.Single)
					if err != nil {
						b.Error(err)
					}
					tok.Exit()
				}
			}
		}},
		{"gate", func() func(int) {
			return func(n int) {
				for range n {
					tok, err := g.Enter(lameduck.Single)
					if err != nil {
						b.Error(err)
					}
					tok.Exit()
				}
			}
		}},
		{"packed-word", func() func(int) {
			return func(n int) {
				for range n {
					if packed.n.Add(2)&1 != 0 {
						b.Error("closed")
					}
					packed.n.Add(-2)
				}
			}
		}},
		{"RWMutex-flag", func() func(int) {
			return func(n int) {
				for range n {
					rw.RLock()
					if closed {
						b.Error("closed")
					}
					rw.RUnlock()
				}
			}
		}},
		{"WaitGroup-RWMutex", func() func(int) {
			return func(n int) {
				for range n {
					rwg.RLock()
					if closed {
						b.Error("closed")
					}
					wg.Add(1)
					rwg.RUnlock()
					wg.Done()
				}
			}
		}},
		{"no-gate", func() func(int) {
			return func(n int) {
				for range n {
					if closed {
						b.Error("closed")
					}
				}
			}
		}},
	}
}

// One entry and its exit, against two atomic adds on a line of the worker's
// own. Targets: own-cell 1.3 serial, 1.4 with two workers.
func BenchmarkEnterExit(b *testing.B) {
	onProcs(b, func(b *testing.B, procs int) {
		for workers := 1; workers <= procs; workers++ {
			for _, c := range gates(b) {
				b.Run(c.name+"/workers="+string(rune('0'+workers)), func(b *testing.B) {
					versus(b, workers, 50_000, "x-floor", ownLine, c)
					f := c.start()
					allocs(b, func() { f(1) })
				})
			}
		}
	})
}

// The gate that all share against the other ways to share one. Two workers are
// real only at two processors.
func BenchmarkSharedGateAgainst(b *testing.B) {
	onProcs(b, func(b *testing.B, procs int) {
		cs := gates(b)
		for _, c := range cs[2:5] {
			b.Run(c.name, func(b *testing.B) {
				versus(b, procs, 50_000, "x-"+c.name, c, cs[1])
			})
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
			refused := func(n int) {
				for range n {
					if _, err := g.Enter(lameduck.Single); err == nil {
						b.Error("admitted")
					}
				}
			}
			versus(b, 1, 20_000, "x-floor", ownLine, candidate{"refusal", func() func(int) { return refused }})
			allocs(b, func() { refused(1) })
		})
	}
}

// The context form against the same gate and a context.WithCancel of the
// request's context. Target: 0.25 when nobody waits for it.
func BenchmarkContext(b *testing.B) {
	type key struct{}
	parent, stop := context.WithCancel(context.WithValue(context.Background(), key{}, 1))
	defer stop()
	g := &lameduck.Gate{}
	withCancel := candidate{"gate and WithCancel", func() func(int) {
		return func(n int) {
			for range n {
				tok, _ := g.Enter(lameduck.Single)
				ctx, cancel := context.WithCancel(parent)
				if ctx.Err() != nil || ctx.Value(key{}) != 1 {
					b.Error("ended")
				}
				cancel()
				tok.Exit()
			}
		}
	}}
	form := func(use func(context.Context) bool) func(int) {
		return func(n int) {
			for range n {
				tok, _ := g.Enter(lameduck.Single)
				if !use(tok.Context(parent)) {
					b.Error("ended")
				}
				tok.Exit()
			}
		}
	}
	for _, bc := range []struct {
		name string
		use  func(context.Context) bool
	}{
		{"made", func(context.Context) bool { return true }},
		{"asked", func(ctx context.Context) bool { return ctx.Err() == nil && ctx.Value(key{}) == 1 }},
		{"waited-for", func(ctx context.Context) bool { return ctx.Done() != nil && ctx.Err() == nil }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			f := form(bc.use)
			versus(b, 1, 5_000, "x-WithCancel", withCancel, candidate{bc.name, func() func(int) { return f }})
			allocs(b, func() { f(1) })
		})
	}
}

func BenchmarkUnitWithOneContinuation(b *testing.B) {
	c := (&lameduck.Gate{}).Cell()
	f := func(n int) {
		for range n {
			u, _ := c.Enter(lameduck.Unit)
			k, err := u.Continue()
			if err != nil {
				b.Error(err)
			}
			k.Exit()
			u.Exit()
		}
	}
	// Its floor is two floors: a unit and a request are counted in and out.
	versus(b, 1, 10_000, "x-floor", ownLine, candidate{"unit", func() func(int) { return f }})
	allocs(b, func() { f(1) })
}

func BenchmarkEnterInfo(b *testing.B) {
	g := &lameduck.Gate{}
	f := enterExit(b, func(k lameduck.Kind) (lameduck.Token, error) {
		return g.EnterInfo(k, lameduck.Info{Label: "x"})
	})
	versus(b, 1, 5_000, "x-floor", ownLine, candidate{"info", func() func(int) { return f }})
	allocs(b, func() { f(1) })
}

// A goroutine per request, with a gate around each and without. Target: 1.05.
func BenchmarkGoroutinePerRequest(b *testing.B) {
	g := &lameduck.Gate{}
	server := func(handle func()) func() func(int) {
		return func() func(int) {
			return func(n int) {
				answer := make(chan struct{})
				for range n {
					go func() {
						handle()
						answer <- struct{}{}
					}()
					<-answer
				}
			}
		}
	}
	bare := candidate{"bare", server(func() {})}
	gated := candidate{"gated", server(func() {
		tok, err := g.Enter(lameduck.Single)
		if err != nil {
			b.Error(err)
		}
		tok.Exit()
	})}
	onProcs(b, func(b *testing.B, procs int) { versus(b, procs, 3_000, "x-bare", bare, gated) })
}

// Time from just before the last exit until the waiter has returned: Drain,
// and sync.WaitGroup in turn. Target: p99 of Drain 100 us.
func BenchmarkDrainNotice(b *testing.B) {
	onProcs(b, func(b *testing.B, _ int) {
		var drains, waits []time.Duration
		for b.Loop() {
			for range 20 {
				drains = append(drains, drainNotice(b))
				waits = append(waits, waitNotice())
			}
		}
		for _, q := range []struct {
			name string
			at   float64
		}{{"p50", 0.50}, {"p99", 0.99}} {
			d, w := quantile(drains, q.at), quantile(waits, q.at)
			b.ReportMetric(float64(d.Nanoseconds())/1e3, q.name+"-us")
			b.ReportMetric(float64(d)/float64(w), q.name+"-x-WaitGroup")
		}
	})
}

func quantile(of []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(of))
	return s[int(float64(len(s)-1)*q)]
}

func drainNotice(b *testing.B) time.Duration {
	g := &lameduck.Gate{}
	tok, _ := g.Enter(lameduck.Single)
	end := make(chan time.Time, 1)
	go func() {
		if _, err := g.Drain(context.Background(), lameduck.Plan{All: time.Minute}); err != nil {
			b.Error(err)
		}
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
	return (<-end).Sub(from)
}

func waitNotice() time.Duration {
	var wg sync.WaitGroup
	wg.Add(1)
	begun, end := make(chan struct{}), make(chan time.Time, 1)
	go func() {
		close(begun)
		wg.Wait()
		end <- time.Now()
	}()
	<-begun
	from := time.Now()
	wg.Done()
	return (<-end).Sub(from)
}
