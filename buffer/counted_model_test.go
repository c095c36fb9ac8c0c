package buffer_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// counting is the dumb model of a counted lane: who leads, what is announced
// since when, and the turns that are out.
type counting struct {
	lane      *buffer.Lane
	version   uint64
	top       uint64
	cur       leadership.Leadership
	announced leadership.Term // zero for none
	since     time.Time
	out       []*buffer.Turn
}

const modelHold = 100 * time.Millisecond

func (m *counting) observe(r leadership.Record) {
	m.version++
	r.Version = m.version
	m.lane.Observe(r)
}

func (m *counting) holds() bool { return !m.announced.IsZero() }

// check asks about every term of interest. The context has ended, so that
// Quiesced answers at once.
func (m *counting) check(t *rapid.T) {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for n := uint64(1); n <= m.top+1; n++ {
		below := 0
		for _, turn := range m.out {
			if turn.To().Term.Less(term(n)) {
				below++
			}
		}
		err := m.lane.Quiesced(ctx, term(n))
		var gone *buffer.NotHoldingError
		forIt := m.holds() && term(n).Compare(m.announced) <= 0
		switch fresh := time.Since(m.since) < modelHold; {
		case m.cur.Term.Compare(term(n)) >= 0 || forIt && fresh:
			if (err == nil) != (below == 0) {
				t.Fatalf("term %d, %d in flight: %v", n, below, err)
			}
		case forIt:
			if !errors.As(err, &gone) || gone.InFlight != below {
				t.Fatalf("term %d, its hold is over: %v", n, err)
			}
		case !errors.Is(err, context.Canceled):
			t.Fatalf("term %d is not announced: %v", n, err)
		}
	}
}

// TestCountedLaneAgreesWithAListOfTurns drives turns and changes at random and
// asks after each step for every term whether the lane is quiet.
func TestCountedLaneAgreesWithAListOfTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, runCounting) })
}

func runCounting(t *rapid.T) {
	b, err := buffer.New(buffer.Config{Counted: true, MaxAge: time.Hour, MaxOutage: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	m := &counting{lane: b.Lane("k"), top: 1, cur: lead("n1", 1)}
	m.observe(routed(0, m.cur))
	defer b.Close()
	pick := func(t *rapid.T) int {
		if len(m.out) == 0 {
			t.Skip("no turn is out")
		}
		return rapid.IntRange(0, len(m.out)-1).Draw(t, "turn")
	}
	t.Repeat(map[string]func(*rapid.T){
		"enter": func(t *rapid.T) {
			if m.holds() {
				t.Skip("it would wait")
			}
			turn, err := m.lane.Enter(bg, buffer.Request{Unit: rapid.Bool().Draw(t, "unit")})
			if err != nil || turn.To() != m.cur {
				t.Fatalf("%v, to %v", err, turn.To())
			}
			m.out = append(m.out, &turn)
		},
		"answered": func(t *rapid.T) { m.out[pick(t)].Answered() },
		"done": func(t *rapid.T) {
			i := pick(t)
			m.out[i].Done(rapid.SampledFrom([]error{nil, errors.New("x"), leadership.ErrUnknownOutcome}).Draw(t, "outcome"))
			m.out[i].Done(nil)
			m.out = slices.Delete(m.out, i, i+1)
		},
		"retry": func(t *rapid.T) {
			i := pick(t)
			if m.holds() || !m.out[i].To().Term.Less(m.cur.Term) {
				t.Skip("it would wait")
			}
			if err := m.out[i].Retry(bg, &leadership.Refusal{Until: m.cur.Term}); err != nil || m.out[i].To() != m.cur {
				t.Fatalf("%v, to %v", err, m.out[i].To())
			}
		},
		"give up while held": func(t *rapid.T) {
			if !m.holds() {
				t.Skip("it would pass")
			}
			ctx, cancel := context.WithCancel(bg)
			end := make(chan error, 1)
			go func() {
				turn, err := m.lane.Enter(ctx, buffer.Request{})
				turn.Done(err)
				end <- err
			}()
			if time.Since(m.since) < modelHold {
				synctest.Wait()
				cancel()
				if err := <-end; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				return
			}
			// Its hold is over: it is the probe, and its answer ends the hold.
			if err := <-end; err != nil {
				t.Fatal(err)
			}
			cancel()
			m.announced = leadership.Term{}
		},
		"announce": func(t *rapid.T) {
			m.top++
			m.announced, m.since = term(m.top), time.Now()
			m.observe(intent(0, m.cur, m.top, leadership.Holding, modelHold))
		},
		"give the change up": func(t *rapid.T) {
			m.announced = leadership.Term{}
			m.observe(routed(0, m.cur))
		},
		"new leader": func(t *rapid.T) {
			m.top++
			m.cur, m.announced = lead(rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"), m.top), leadership.Term{}
			m.observe(routed(0, m.cur))
		},
		"time": func(t *rapid.T) { time.Sleep(drawMs(t, "ms", 80)) },
		"":     m.check,
	})
	for _, turn := range m.out {
		turn.Done(nil)
	}
	m.out = nil
	m.check(t)
}

// TestCountedHammer lets workers enter while changes come and go as fast as
// they can: whenever the lane was quiet, nobody is at the leader that then
// steps down.
func TestCountedHammer(t *testing.T) {
	t.Parallel()
	b, err := buffer.New(buffer.Config{Counted: true, MaxAge: time.Minute, MaxOutage: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	l := b.Lane("k")
	l.Observe(routed(1, lead("n1", 1)))
	var at [2]atomic.Int64 // requests at the leader of an even or odd term
	var served atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for !isClosed(stop) {
				runtime.Gosched()
				if i%2 == 0 {
					_ = l.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
						at[to.Term.Num%2].Add(1)
						served.Add(1)
						at[to.Term.Num%2].Add(-1)
						return nil
					})
					continue
				}
				turn, err := l.Enter(bg, buffer.Request{Unit: true})
				if err != nil {
					t.Error(err)
					return
				}
				at[turn.To().Term.Num%2].Add(1)
				turn.Answered()
				served.Add(1)
				at[turn.To().Term.Num%2].Add(-1)
				turn.Done(nil)
			}
		})
	}
	version := uint64(1)
	for n := uint64(2); n < 2000; n++ {
		for want := served.Load() + 20; served.Load() < want; {
			runtime.Gosched()
		}
		version++
		l.Observe(intent(version, lead("n1", n-1), n, leadership.Holding, time.Minute))
		if err := l.Quiesced(bg, term(n)); err != nil {
			t.Fatal(err)
		}
		if k := at[(n-1)%2].Load(); k != 0 {
			t.Fatalf("%d requests are at the leader of term %d, which is to step down", k, n-1)
		}
		version++
		l.Observe(routed(version, lead("n1", n)))
	}
	close(stop)
	wg.Wait()
}
