// Package gates measures what it costs to admit and count a request, to refuse it,
// and to learn that the last one has ended: the gate of package lameduck beside
// what is used in its place.
package gates

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	vtrpcpb "vitess.io/vitess/go/vt/proto/vtrpc"
	"vitess.io/vitess/go/vt/vterrors"

	"github.com/tenure-go/tenure/lameduck"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

const (
	group = "Gate"
	floor = "two atomic adds on an own line"
)

// Measure returns the rows of the group.
func Measure(ctx context.Context, o report.Options) ([]report.Row, error) {
	o = o.Filled()
	var rows []report.Row
	for _, part := range []func(report.Options) ([]report.Row, error){enterExit, refusal, server, contexts, notice, httpNotice} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := part(o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	o.Log.Info("gates measured", "rows", len(rows))
	return rows, nil
}

func mustEnter(enter func(lameduck.Kind) (lameduck.Token, error)) {
	tok, err := enter(lameduck.Single)
	if err != nil {
		panic(err)
	}
	tok.Exit()
}

// sides are the ways to count a request in and out, and to be able to refuse it.
func sides() []measure.Side {
	cells, g := &lameduck.Gate{}, &lameduck.Gate{}
	var rw, rwg sync.RWMutex
	var wg sync.WaitGroup
	var closed bool
	packed := new(measure.Line)
	return []measure.Side{
		{Name: "cell", Start: func() func(int) {
			c := cells.Cell()
			return func(n int) {
				for range n {
					tok, err := c.Enter(lameduck.Single)
					if err != nil {
						panic(err)
					}
					tok.Exit()
				}
			}
		}},
		measure.Same("gate", func(n int) {
			for range n {
				tok, err := g.Enter(lameduck.Single)
				if err != nil {
					panic(err)
				}
				tok.Exit()
			}
		}),
		{Name: floor, Start: measure.OwnLine().Start},
		measure.Same("one packed word", func(n int) {
			for range n {
				if packed.N.Add(2)&1 != 0 {
					panic("closed")
				}
				packed.N.Add(-2)
			}
		}),
		measure.Same("RWMutex and flag", func(n int) {
			for range n {
				rw.RLock()
				if closed {
					panic("closed")
				}
				rw.RUnlock()
			}
		}),
		measure.Same("WaitGroup behind RWMutex and flag", func(n int) {
			for range n {
				rwg.RLock()
				if closed {
					panic("closed")
				}
				wg.Add(1)
				rwg.RUnlock()
				wg.Done()
			}
		}),
		measure.Same("WaitGroup, which cannot refuse", func(n int) {
			for range n {
				wg.Add(1)
				wg.Done()
			}
		}),
	}
}

func enterExit(o report.Options) ([]report.Row, error) {
	rows := entered(o, 1, 1.3)
	if runtime.GOMAXPROCS(0) > 1 {
		rows = append(rows, entered(o, 2, 1.4)...)
	}
	return rows, nil
}

// entered measures Enter and Exit with so many workers. With more than one, the
// run must show in the same rounds that sharing a line costs: else both processors
// may be one core, or were not there at once, and nothing is decided.
func entered(o report.Options, workers int, most float64) []report.Row {
	all := sides()
	if workers > 1 {
		all = append(all, measure.OwnLine(), measure.SharedLine())
	}
	chunk := o.Chunk()
	if workers > 1 {
		chunk *= 4 // workers must overlap although one is woken after the other
	}
	took := measure.PerOp(3*o.Rounds, workers, chunk, all...)
	row := func(i int, name, bar string, want bool) report.Row {
		r := report.Row{
			Group: group, Name: fmt.Sprintf("Enter and Exit, workers: %d, %s", workers, name), Unit: "ns CPU",
			Ours: took[i].Median(), Allocs: measure.Allocs(all[i]), Ratio: took[i].Over(took[2]),
			Bar: report.Bar{Text: bar, Want: want},
		}
		for j := 2; j < 7; j++ {
			r.Theirs = append(r.Theirs, report.Theirs{Name: all[j].Name, Value: took[j].Median(), Allocs: measure.Allocs(all[j])})
		}
		r.Met = r.Ratio <= most && r.Allocs == 0
		if workers > 1 {
			r.Unit = "ns"
			control := took[8].Over(took[7])
			r.Inconclusive = want && control < 3
			r.Note = fmt.Sprintf("check: two workers on one line cost %.1fx two on their own, and must cost 3x", control)
		}
		return r
	}
	return []report.Row{
		row(0, "a cell per worker", fmt.Sprintf("at most %gx %s, 0 allocations", most, floor), true),
		row(1, "one gate", "", false),
	}
}

// refusal is what it costs to say no.
func refusal(o report.Options) ([]report.Row, error) {
	g := &lameduck.Gate{}
	if _, err := g.Drain(context.Background(), lameduck.Plan{}); err != nil {
		return nil, err
	}
	all := []measure.Side{
		measure.Same("gate", func(n int) {
			for range n {
				if _, err := g.Enter(lameduck.Single); err == nil {
					panic("admitted")
				}
			}
		}),
		measure.Same("the error that vttablet makes", func(n int) {
			for range n {
				if vterrors.New(vtrpcpb.Code_CLUSTER_EVENT, vterrors.ShuttingDown) == nil {
					panic("no error")
				}
			}
		}),
	}
	took := measure.PerOp(3*o.Rounds, 1, o.Chunk(), all...)
	r := report.Row{
		Group: group, Name: "refusal", Unit: "ns CPU", Ours: took[0].Median(), Allocs: measure.Allocs(all[0]),
		Theirs: []report.Theirs{{Name: all[1].Name, Value: took[1].Median(), Allocs: measure.Allocs(all[1])}},
		Ratio:  took[0].Over(took[1]),
		Bar:    report.Bar{Text: "at most 20 ns, 0 allocations", Want: true},
		Note:   "vttablet's gate is not exported; it makes this error, with its stack, for each request that it refuses",
	}
	r.Met = r.Ours <= 20 && r.Allocs == 0
	return []report.Row{r}, nil
}

// server is a goroutine per request, with a gate around each and without.
func server(o report.Options) ([]report.Row, error) {
	g := &lameduck.Gate{}
	var rw sync.RWMutex
	var wg sync.WaitGroup
	var closed bool
	line := new(measure.Line)
	serve := func(name string, handle func()) measure.Side {
		return measure.Same(name, func(n int) {
			answer := make(chan struct{})
			for range n {
				go func() {
					handle()
					answer <- struct{}{}
				}()
				<-answer
			}
		})
	}
	all := []measure.Side{
		serve("no gate", func() {}),
		serve("gate", func() { mustEnter(g.Enter) }),
		serve("WaitGroup behind RWMutex and flag", func() {
			rw.RLock()
			if closed {
				panic("closed")
			}
			wg.Add(1)
			rw.RUnlock()
			wg.Done()
		}),
		serve(floor, func() { line.N.Add(1); line.N.Add(-1) }),
	}
	took := measure.PerOp(6*o.Rounds, 1, o.Chunk(), all...)
	r := report.Row{
		Group: group, Name: "a goroutine per request, with a gate over without", Unit: "x", Allocs: -1,
		Ours: took[1].Over(took[0]),
		Theirs: []report.Theirs{
			{Name: all[2].Name, Value: took[2].Over(took[0]), Allocs: -1},
			{Name: all[3].Name, Value: took[3].Over(took[0]), Allocs: -1},
		},
		Bar:  report.Bar{Text: "at most 1.05", Want: true},
		Note: fmt.Sprintf("without: %.0f ns a request", took[0].Median()),
	}
	r.Ratio = took[1].Over(took[2])
	r.Met = r.Ours <= 1.05
	if least := r.Theirs[1].Value; least > 1.05 {
		r.Floor = fmt.Sprintf("%s cost %.2fx", floor, least)
	}
	return []report.Row{r}, nil
}

// contexts is the form of a request that must learn of the end of its leadership.
// Both sides do the same with the context that they get.
func contexts(o report.Options) ([]report.Row, error) {
	parent, stop := context.WithCancel(context.Background())
	defer stop()
	var rows []report.Row
	// The least that a context of its own can be: its parent, the gate it belongs
	// to, and whether it has ended.
	type object struct {
		parent context.Context
		of     [3]*lameduck.Gate
		over   uint64
	}
	var kept *object
	defer func() { runtime.KeepAlive(kept) }()
	for _, use := range []struct {
		name, note string
		most       float64
		with       func(context.Context) bool
	}{
		{"handed down", "", 0.25, func(ctx context.Context) bool { return ctx != nil }},
		{"asked whether it has ended", "", 0.25, func(ctx context.Context) bool { return ctx.Err() == nil }},
		{
			"waited for", "ours becomes one of package context then, and is registered with the gate that gives it its cause", 1,
			func(ctx context.Context) bool { return ctx.Done() != nil },
		},
	} {
		g := &lameduck.Gate{}
		all := []measure.Side{
			measure.Same("token context", func(n int) {
				for range n {
					tok, err := g.Enter(lameduck.Single)
					if err != nil || !use.with(tok.Context(parent)) {
						panic("refused")
					}
					tok.Exit()
				}
			}),
			measure.Same("gate and context.WithCancel", func(n int) {
				for range n {
					tok, err := g.Enter(lameduck.Single)
					ctx, cancel := context.WithCancel(parent)
					if err != nil || !use.with(ctx) {
						panic("refused")
					}
					cancel()
					tok.Exit()
				}
			}),
			measure.Same("gate and an object", func(n int) {
				for range n {
					tok, err := g.Enter(lameduck.Single)
					if err != nil {
						panic("refused")
					}
					kept = &object{parent: parent, of: [3]*lameduck.Gate{g}, over: 1}
					tok.Exit()
				}
			}),
		}
		took := measure.PerOp(3*o.Rounds, 1, o.Chunk(), all...)
		r := report.Row{
			Group: group, Name: "Enter, a context that ends with the leadership, Exit; the context is " + use.name, Unit: "ns CPU",
			Ours: took[0].Median(), Allocs: measure.Allocs(all[0]),
			Theirs: []report.Theirs{{Name: all[1].Name, Value: took[1].Median(), Allocs: measure.Allocs(all[1])}},
			Ratio:  took[0].Over(took[1]),
			Bar:    report.Bar{Text: fmt.Sprintf("at most %gx", use.most), Want: true},
			Note:   use.note,
		}
		r.Met = r.Ratio <= use.most
		if least := took[2].Over(took[1]); use.most < 1 {
			r.Theirs = append(r.Theirs, report.Theirs{Name: all[2].Name, Value: took[2].Median(), Allocs: measure.Allocs(all[2])})
			if least > use.most {
				r.Floor = fmt.Sprintf("%s costs %.2fx", all[2].Name, least)
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}
