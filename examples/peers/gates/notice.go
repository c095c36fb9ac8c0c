package gates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tenure-go/tenure/lameduck"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// notice is how long after the last exit the waiter knows.
func notice(o report.Options) ([]report.Row, error) {
	n := 60 * o.Rounds
	var drains, waits measure.Timing
	for range n {
		d, err := drainNotice()
		if err != nil {
			return nil, err
		}
		drains, waits = append(drains, d), append(waits, waitNotice())
	}
	row := func(name string, q float64, bar report.Bar) report.Row {
		r := report.Row{
			Group: group, Name: "last Exit until the drain returns, " + name, Unit: "us", Allocs: -1, Bar: bar,
			Ours:   measure.Quantile(drains, q),
			Theirs: []report.Theirs{{Name: "WaitGroup", Value: measure.Quantile(waits, q), Allocs: -1}},
		}
		r.Ratio = report.Over(r.Ours, r.Theirs[0].Value)
		return r
	}
	p99 := row("99th percentile", 0.99, report.Bar{Text: "at most 100 us", Want: true})
	p99.Met = p99.Ours <= 100
	if p99.Ours > 100 && p99.Theirs[0].Value > 100 {
		p99.Inconclusive = true
		p99.Note = "a WaitGroup took as long: the processors were busy with something else"
	}
	return []report.Row{row("median", 0.5, report.Bar{}), p99}, nil
}

// settle is the time in which the waiter goes to sleep: one that has not is told
// for nothing.
const settle = 200 * time.Microsecond

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func drainNotice() (float64, error) {
	g := &lameduck.Gate{}
	tok, err := g.Enter(lameduck.Single)
	if err != nil {
		return 0, err
	}
	end := make(chan time.Time, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err = g.Drain(context.Background(), lameduck.Plan{All: time.Minute})
		end <- time.Now()
	})
	for {
		changed := g.Changed() // before the look, so that no change is missed
		if g.State().Phase == lameduck.DrainAll {
			break
		}
		<-changed
	}
	time.Sleep(settle)
	from := time.Now()
	tok.Exit()
	took := (<-end).Sub(from)
	wg.Wait()
	return micros(took), err
}

func waitNotice() float64 {
	var wg sync.WaitGroup
	wg.Add(1)
	begun, end := make(chan struct{}), make(chan time.Time, 1)
	go func() {
		close(begun)
		wg.Wait()
		end <- time.Now()
	}()
	<-begun
	time.Sleep(settle)
	from := time.Now()
	wg.Done()
	return micros((<-end).Sub(from))
}

// httpNotice is the same for a request of an HTTP server: from the return of its
// handler until the drain, or Shutdown, returns.
func httpNotice(o report.Options) ([]report.Row, error) {
	lasting := []time.Duration{5 * time.Millisecond, 300 * time.Millisecond}
	if o.Quick {
		lasting = lasting[:1]
	}
	var rows []report.Row
	for _, d := range lasting {
		took := map[ender]measure.Timing{}
		for range max(3, o.Rounds) {
			for _, by := range []ender{byGate, byShutdown, byWaitGroup} {
				t, err := shutdown(d, by)
				if err != nil {
					return nil, err
				}
				took[by] = append(took[by], t)
			}
		}
		ours, theirs, least := took[byGate], took[byShutdown], took[byWaitGroup].Median()
		r := report.Row{
			Group: group, Name: fmt.Sprintf("end of the last HTTP request, which took %d ms, until the drain returns", d.Milliseconds()),
			Unit: "us", Allocs: -1, Ours: ours.Median(),
			Theirs: []report.Theirs{
				{Name: "net/http Server.Shutdown", Value: theirs.Median(), Allocs: -1},
				{Name: "WaitGroup in the handler", Value: least, Allocs: -1},
			},
			Ratio: ours.Over(theirs),
			Bar:   report.Bar{Text: "at most 100 us", Want: true},
		}
		r.Met = r.Ours <= 100
		if least > 100 {
			r.Floor = fmt.Sprintf("a WaitGroup in the handler takes %.0f us", least)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// ender is how the end of the requests of a server is learned.
type ender int

const (
	byGate ender = iota
	byShutdown
	byWaitGroup
)

// shutdown lets a server answer one request that lasts so long, and learns of its
// end meanwhile.
func shutdown(lasts time.Duration, by ender) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	begun := make(chan struct{})
	var returned time.Time
	var h http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		time.Sleep(lasts)
		returned = time.Now()
	})
	g := &lameduck.Gate{}
	var running sync.WaitGroup
	switch by {
	case byGate:
		h = lameduck.Handler(g, h)
	case byWaitGroup:
		running.Add(1)
		next := h
		h = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			defer running.Done()
			next.ServeHTTP(w, req)
		})
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	s := &http.Server{Handler: h}
	var wg sync.WaitGroup
	var served, asked error
	wg.Go(func() { served = s.Serve(ln) })
	wg.Go(func() { asked = get(ctx, "http://"+ln.Addr().String()) })
	<-begun
	switch by {
	case byGate:
		_, err = g.Drain(ctx, lameduck.Plan{All: 5 * time.Second})
	case byShutdown:
		err = s.Shutdown(ctx)
	case byWaitGroup:
		running.Wait()
	}
	took := time.Since(returned)
	err = errors.Join(err, s.Close())
	wg.Wait()
	if errors.Is(served, http.ErrServerClosed) {
		served = nil
	}
	if by != byShutdown {
		asked = nil // Close, right after the drain, may cut what is still on the wire
	}
	return micros(took), errors.Join(err, served, asked)
}

func get(ctx context.Context, url string) error {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
