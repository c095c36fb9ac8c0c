package buffers

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/tenure-go/tenure/buffer"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// parked is the floor of all that hold: a goroutine that waits for a channel and a
// context.
const parked = "parked goroutine"

// series are the episodes of one side, a value per round.
type series struct {
	hold, end, mallocs, live, warm measure.Timing
}

func (s *series) add(e measure.Episode) {
	s.hold, s.end, s.mallocs = append(s.hold, e.Hold), append(s.end, e.End), append(s.mallocs, e.Mallocs)
}

func (s *series) both() measure.Timing {
	sum := make(measure.Timing, len(s.hold))
	for i := range sum {
		sum[i] = s.hold[i] + s.end[i]
	}
	return sum
}

// episodes runs the holders in turns.
func episodes(rounds, n int, how measure.How, hs ...measure.Holder) ([]series, error) {
	if _, err := measure.Run(hs[0], n, how); err != nil { // goroutines are made once and used again
		return nil, err
	}
	all := make([]series, len(hs))
	for range rounds {
		for i, h := range hs {
			e, err := measure.Run(h, n, how)
			if err != nil {
				return nil, err
			}
			all[i].add(e)
		}
	}
	return all, nil
}

// heaps adds to the series what is alive while requests are held, and what an
// episode allocates right after another.
func heaps(all []series, rounds, n int, hs ...measure.Holder) error {
	for range rounds {
		for i, h := range hs {
			e, err := measure.Run(h, n, measure.How{Live: true})
			if err != nil {
				return err
			}
			all[i].live = append(all[i].live, e.Live)
			warm, err := measure.WarmMallocs(h, n)
			if err != nil {
				return err
			}
			all[i].warm = append(all[i].warm, warm)
		}
	}
	return nil
}

// holding is what a request costs that is held and released.
func holding(o report.Options, ks *keyspaces) ([]report.Row, error) {
	sizes := []int{10_000, 100_000}
	if o.Quick {
		sizes = []int{1_000}
	}
	var rows []report.Row
	for _, n := range sizes {
		for _, concurrency := range []int{1, 64} {
			t, err := newLane(buffer.Config{
				MaxHeld: n, MaxAge: time.Hour, MaxOutage: time.Hour,
				Flush: buffer.Flush{Start: concurrency, Max: concurrency},
			})
			if err != nil {
				return nil, err
			}
			s := newShard(ks.next(), vtConfig(n, concurrency))
			hs := []measure.Holder{measure.NewParked(n), t, s}
			got, err := episodes(o.Rounds, n, measure.How{}, hs...)
			if err == nil && concurrency > 1 {
				err = heaps(got, (o.Rounds+1)/2, n, hs...)
			}
			s.buf.Shutdown()
			if err != nil {
				return nil, err
			}
			o.Log.Info("held and flushed", "requests", n, "concurrency", concurrency)
			rows = append(rows, holdRows(n, concurrency, got[0], got[1], got[2])...)
		}
	}
	return rows, nil
}

// held is a row of what both sides cost per request. Its floor may be nil.
func held(name, unit string, ours, theirs, floor measure.Timing, scale, most float64) report.Row {
	r := report.Row{
		Group: group, Name: name, Unit: unit, Allocs: -1,
		Ours:   ours.Median() * scale,
		Theirs: []report.Theirs{{Name: vtgate, Value: theirs.Median() * scale, Allocs: -1}},
		Ratio:  ours.Over(theirs),
		Bar:    report.Bar{Text: fmt.Sprintf("at most %gx", most), Want: true},
	}
	r.Met = r.Ratio <= most
	if floor != nil {
		r.Theirs = append(r.Theirs, report.Theirs{Name: parked, Value: floor.Median() * scale, Allocs: -1})
		if least := floor.Over(theirs); least > most {
			r.Floor = fmt.Sprintf("a parked goroutine costs %.2fx", least)
		}
	}
	return r
}

func holdRows(n, concurrency int, floor, ours, theirs series) []report.Row {
	row := func(name, unit string, ours, theirs, floor measure.Timing, scale, most float64) report.Row {
		return held(fmt.Sprintf("%s, %d requests", name, n), unit, ours, theirs, floor, scale, most)
	}
	flush := row(fmt.Sprintf("flush, drain concurrency %d", concurrency), "us CPU", ours.end, theirs.end, floor.end, 1e-3, 0.5)
	if concurrency == 1 {
		return []report.Row{flush}
	}
	above := func(s series) measure.Timing { return s.both().Less(floor.both()) }
	hold := row("hold", "us CPU", ours.hold, theirs.hold, floor.hold, 1e-3, 0.45)
	sum := row("hold and flush above a parked goroutine", "us CPU", above(ours), above(theirs), nil, 1e-3, 0.25)
	sum.Note = fmt.Sprintf("drain concurrency %d", concurrency)
	heap := row("heap while held, above a parked goroutine", "bytes", ours.live.Less(floor.live), theirs.live.Less(floor.live), nil, 1, 0.65)
	objects := func(name string, ours, theirs measure.Timing, most float64) report.Row {
		r := row(name, "objects", ours, theirs, nil, 1, math.Inf(1))
		r.Bar.Text, r.Met = fmt.Sprintf("at most %g", most), math.Round(r.Ours) <= most
		return r
	}
	first := objects("heap objects per held request, first episode", ours.mallocs.Less(floor.mallocs), theirs.mallocs.Less(floor.mallocs), 2)
	later := objects("heap objects per held request, an episode right after another", ours.warm.Less(floor.warm), theirs.warm.Less(floor.warm), 0)
	later.Note = "a garbage collection or two between them empty our pool, and it is the first again"
	return []report.Row{hold, flush, sum, heap, first, later}
}

// storms cancels all held requests at once.
func storms(o report.Options, ks *keyspaces) ([]report.Row, error) {
	n, large := 30_000, 300_000
	if o.Quick {
		n, large = 3_000, 10_000
	}
	lanes := make([]*lane, 2)
	for i, room := range []int{n, large} {
		var err error
		if lanes[i], err = newLane(buffer.Config{MaxHeld: room, MaxAge: time.Hour, MaxOutage: time.Hour}); err != nil {
			return nil, err
		}
	}
	s := newShard(ks.next(), vtConfig(n, 1))
	defer s.buf.Shutdown()
	cancel := measure.How{Cancel: true}
	got, err := episodes((o.Rounds+1)/2, n, cancel, measure.NewParked(n), lanes[0], s)
	if err != nil {
		return nil, err
	}
	storm := held(fmt.Sprintf("cancel storm, %d requests", n), "ms CPU", got[1].end, got[2].end, got[0].end, float64(n)/1e6, 0.2)
	storm.Bar.Text += " and 50 ms"
	storm.Met = storm.Met && storm.Ours <= 50
	if least := got[0].end.Median() * float64(n) / 1e6; storm.Floor == "" && least > 50 {
		storm.Floor = fmt.Sprintf("parked goroutines take %.1f ms", least)
	}
	storm.Note = "until the last goroutine has ended"
	o.Log.Info("cancelled", "requests", n)
	runtime.GC()
	big, err := episodes((o.Rounds+2)/3, large, cancel, measure.NewParked(large), lanes[1])
	if err != nil {
		return nil, err
	}
	flat := report.Row{
		Group: group, Name: fmt.Sprintf("cancel storm, a request of %d over one of %d", large, n), Unit: "x", Allocs: -1,
		Ours:   big[1].end.Median() / got[1].end.Median(),
		Theirs: []report.Theirs{{Name: parked, Value: big[0].end.Median() / got[0].end.Median(), Allocs: -1}},
		Bar:    report.Bar{Text: "at most 1.5, or that of the parked goroutines", Want: true},
		Note:   "1 is linear; vtgate's is quadratic and is not run at this size",
	}
	flat.Ratio = report.Over(flat.Ours, flat.Theirs[0].Value)
	flat.Met = flat.Ours <= 1.5 || flat.Ratio <= 1.1
	return []report.Row{storm, flat}, nil
}
