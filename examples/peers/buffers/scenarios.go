package buffers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
)

const service = time.Millisecond

var background = context.Background()

func since(t time.Time) float64 { return float64(time.Since(t)) / 1e6 }

// spuriousOurs has one request refused, for the sake of a change that never comes,
// and returns how long it takes until it is answered, in milliseconds.
func spuriousOurs() (float64, error) {
	t, err := newLane(buffer.Config{})
	if err != nil {
		return 0, err
	}
	lead := t.leads()
	refused := false
	from := time.Now()
	err = t.request(background, func() error {
		if !refused {
			refused = true
			return &leadership.Refusal{Term: lead.Term, Until: lead.Term}
		}
		return nil
	})
	return since(from), err
}

func spuriousTheirs(keyspace string, window time.Duration) (float64, error) {
	c := vtConfig(10, 1)
	c.Window, c.MaxFailoverDuration = window, window
	g, err := newGateway(keyspace, c, "0")
	if err != nil {
		return 0, err
	}
	defer g.close()
	s := g.shards["0"]
	stop := make(chan struct{})
	var healthy sync.WaitGroup
	healthy.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				g.tell("0", s.primary, true, 1)
			}
		}
	})
	defer healthy.Wait()
	defer close(stop)
	from := time.Now()
	held, err := s.wait(background, errReparent(), nothing)
	if err == nil && !held {
		err = errors.New("the request was not held")
	}
	return since(from), err
}

const crowd = 50

// undoOurs returns how long after the undo the last held request was released.
func undoOurs() (float64, error) {
	t, err := newLane(buffer.Config{})
	if err != nil {
		return 0, err
	}
	t.announce()
	return released(t.Held, crowd, func() error { return t.request(background, nothing) }, func() { t.route("n1") })
}

func undoTheirs(keyspace string, window time.Duration, seen bool) (float64, error) {
	c := vtConfig(2*crowd, 64)
	c.Window, c.MaxFailoverDuration = window, window
	g, err := newGateway(keyspace, c, "0")
	if err != nil {
		return 0, err
	}
	defer g.close()
	s := g.shards["0"]
	if seen {
		g.tell("0", s.primary, false, 1)
	}
	return released(func() int { return int(s.buffered()) }, crowd,
		func() error { _, err := s.wait(background, errReparent(), nothing); return err },
		func() { g.tell("0", s.primary, true, 1) })
}

// released sends n requests, waits until all are held, lets them go, and returns
// how long the last of them took from there, in milliseconds.
func released(held func() int, n int, do func() error, release func()) (float64, error) {
	var wg sync.WaitGroup
	var fails atomic.Int64
	for range n {
		wg.Go(func() {
			if err := do(); err != nil {
				fails.Add(1)
			}
		})
	}
	if err := measure.Until(func() bool { return held() >= n }); err != nil {
		return 0, err
	}
	from := time.Now()
	release()
	wg.Wait()
	took := since(from)
	if f := fails.Load(); f > 0 {
		return 0, fmt.Errorf("%d requests failed", f)
	}
	return took, nil
}

// twoOurs changes two clusters. The second ends its change later by lag.
func twoOurs(lag time.Duration) (float64, error) {
	a, err := newLane(buffer.Config{})
	if err != nil {
		return 0, err
	}
	b := laneOf(a.b, "invoices")
	a.announce()
	b.announce()
	var other sync.WaitGroup
	other.Go(func() { err = b.request(background, nothing) })
	took, e := released(a.Held, crowd, func() error { return a.request(background, nothing) }, func() {
		a.route("n2")
		other.Go(func() { time.Sleep(lag); b.route("n2") })
	})
	other.Wait()
	return took, errors.Join(e, err)
}

func twoTheirs(keyspace string, lag time.Duration) (float64, error) {
	c := vtConfig(2*crowd, 64)
	g, err := newGateway(keyspace, c, "-80", "80-")
	if err != nil {
		return 0, err
	}
	defer g.close()
	a, b := g.shards["-80"], g.shards["80-"]
	g.tell(a.name, a.primary, false, 1)
	g.tell(b.name, b.primary, false, 1)
	var other sync.WaitGroup
	other.Go(func() { _, err = b.wait(background, errReparent(), nothing) })
	if err := measure.Until(func() bool { return b.buffered() > 0 }); err != nil {
		return 0, err
	}
	took, e := released(func() int { return int(a.buffered()) }, crowd,
		func() error { _, err := a.wait(background, errReparent(), nothing); return err },
		func() {
			g.tell(a.name, a.primary+1, true, 2)
			other.Go(func() { time.Sleep(lag); g.tell(b.name, b.primary+1, true, 2) })
		})
	other.Wait()
	return took, errors.Join(e, err)
}

// secondOurs makes two changes in a row. It counts the requests, refused by the
// leader of the first, whose callers are told so.
func secondOurs() (float64, error) {
	t, err := newLane(buffer.Config{})
	if err != nil {
		return 0, err
	}
	t.announce()
	if _, err := released(t.Held, 1, func() error { return t.request(background, nothing) }, func() { t.route("n2") }); err != nil {
		return 0, err
	}
	old := t.leads()
	var told, tried atomic.Int64
	var wg sync.WaitGroup
	for range crowd {
		wg.Go(func() {
			err := t.l.Do(background, buffer.Request{Unit: true}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if to.Term == old.Term {
					tried.Add(1)
					return &leadership.Refusal{Term: to.Term, Until: term(to.Term.Num + 1)}
				}
				return nil
			})
			if err != nil {
				told.Add(1)
			}
		})
	}
	err = measure.Until(func() bool { return t.Held() >= crowd })
	t.route("n1")
	wg.Wait()
	if err == nil && tried.Load() == 0 {
		err = errors.New("nobody was refused")
	}
	return float64(told.Load()), err
}

func secondTheirs(keyspace string) (float64, error) {
	c := vtConfig(2*crowd, 64)
	c.MinTimeBetweenFailovers = time.Minute
	s := newShard(keyspace, c)
	defer s.buf.Shutdown()
	if err := s.Begin(); err != nil {
		return 0, err
	}
	if err := s.Release(); err != nil {
		return 0, err
	}
	s.starter.Wait()
	var told atomic.Int64
	for range crowd {
		held, err := s.wait(background, errReparent(), nothing)
		if err != nil || !held {
			told.Add(1) // it has its error still, and nothing to wait for
		}
	}
	return float64(told.Load()), nil
}

// willExpireOurs sends a request that has left, less than a change takes. It
// returns how long it takes to be told, in microseconds.
func willExpireOurs(left time.Duration) (float64, error) {
	t, err := newLane(buffer.Config{ExpectedOutage: 2 * time.Second})
	if err != nil {
		return 0, err
	}
	t.announce()
	defer t.route("n1")
	return expired(left, t.request)
}

func willExpireTheirs(keyspace string, left time.Duration) (float64, error) {
	s := newShard(keyspace, vtConfig(10, 1))
	defer s.buf.Shutdown()
	if err := s.Begin(); err != nil {
		return 0, err
	}
	us, err := expired(left, s.request)
	return us, errors.Join(err, s.End())
}

func expired(left time.Duration, do request) (float64, error) {
	ctx, cancel := context.WithTimeout(background, left)
	defer cancel()
	from := time.Now()
	err := do(ctx, nothing)
	took := float64(time.Since(from)) / 1e3
	if err == nil {
		return 0, errors.New("a request went through that nobody could answer")
	}
	return took, nil
}
