package buffer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

const (
	machineAge    = 2 * time.Second
	machineHeld   = 8
	machineFlush  = 3
	machineOutage = 5 * time.Second
)

// request is one Do of the machine; its function blocks until the machine
// answers, so that at each moment it is queued, running or over.
type request struct {
	name    int
	unit    bool
	first   time.Time // of its first hold
	place   int       // in the order of first holds, 0 for never held
	cancel  context.CancelFunc
	answer  chan error
	to      leadership.Leadership
	running bool
	runs    int
	final   bool // its last run may have had an effect
	over    bool
	err     error
}

// event is what the goroutine of a request tells the machine, which alone
// touches the rest.
type event struct {
	r    *request
	to   leadership.Leadership // started
	over bool
	err  error
}

// machine drives a lane step by step and checks it against a queue that is
// nothing but a sorted slice.
type machine struct {
	b       *buffer.Buffer
	lane    *buffer.Lane
	version uint64
	top     uint64 // highest term used
	cur     leadership.Leadership
	all     []*request
	queue   []*request // model: in order of place
	places  int
	pause   time.Duration // before settling
	held    uint64
	subject *request // of the step
	events  chan event
}

// settle waits until all is quiet, and takes in who started and who ended.
func (m *machine) settle(t *rapid.T) {
	time.Sleep(m.pause)
	synctest.Wait()
	var started []*request
	for len(m.events) > 0 {
		e := <-m.events
		if e.over {
			e.r.over, e.r.err = true, e.err
			continue
		}
		e.r.running, e.r.to = true, e.to
		e.r.runs++
		started = append(started, e.r)
	}
	// A request takes its place when it is held for the first time, even when
	// it is let through as a probe in the same moment.
	if n := m.lane.Snapshot().Counters.Held; n != m.held {
		if n != m.held+1 || m.subject == nil || m.subject.place != 0 {
			t.Fatalf("%d requests were held by one step", n-m.held)
		}
		m.held = n
		m.places++
		m.subject.place, m.subject.first = m.places, time.Now().Add(-m.pause)
	}
	m.subject = nil
	// Who ended while queued leaves the model's queue, whatever its place.
	m.queue = slices.DeleteFunc(m.queue, func(r *request) bool { return r.over })
	var out []*request
	for _, r := range started {
		if i := slices.Index(m.queue, r); i >= 0 {
			out = append(out, r)
		}
	}
	// FIFO: those who started are the head of the queue, all of it.
	for i, r := range m.queue {
		if i < len(out) && !slices.Contains(out, r) {
			t.Fatalf("request %d is at place %d of the queue, but %d started before it", r.name, i, len(out))
		}
	}
	m.queue = slices.DeleteFunc(m.queue, func(r *request) bool { return slices.Contains(out, r) })
	// A newcomer that neither runs nor is over was queued, at the tail.
	for _, r := range m.all {
		if !r.running && !r.over && !slices.Contains(m.queue, r) {
			if r.place == 0 {
				t.Fatalf("request %d is queued and was not counted as held", r.name)
			}
			i, _ := slices.BinarySearchFunc(m.queue, r.place, func(q *request, p int) int { return q.place - p })
			m.queue = slices.Insert(m.queue, i, r)
		}
	}
}

func (m *machine) start(unit bool) *request {
	r := &request{name: len(m.all), unit: unit, answer: make(chan error)}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	m.all = append(m.all, r)
	m.subject = r
	go func() {
		err := m.lane.Do(ctx, buffer.Request{Unit: unit, Bytes: 1}, func(_ context.Context, to leadership.Leadership, _ string) error {
			m.events <- event{r: r, to: to}
			return <-r.answer
		})
		m.events <- event{r: r, over: true, err: err}
	}()
	return r
}

func (m *machine) inFlight() (rs []*request) {
	for _, r := range m.all {
		if r.running {
			rs = append(rs, r)
		}
	}
	return rs
}

func (m *machine) observe(l leadership.Leadership) {
	m.version++
	m.cur = l
	m.lane.Observe(routed(m.version, l))
}

// TestLaneAgreesWithASequentialQueue checks order, caps, ages, and what may
// start a hold, against arbitrary interleavings of arrivals, answers,
// refusals, failed dials, cancels, announcements, new leaders and time.
func TestLaneAgreesWithASequentialQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, runMachine)
	})
}

func runMachine(t *rapid.T) {
	b, err := buffer.New(buffer.Config{
		MaxHeld: machineHeld, MaxAge: machineAge, MaxOutage: machineOutage,
		Overflow: rapid.SampledFrom([]buffer.Overflow{buffer.RejectNew, buffer.EvictOldest}).Draw(t, "overflow"),
		Share:    buffer.Share{Held: machineHeld / 2, Lanes: 1},
		Flush:    buffer.Flush{Start: 1, Max: machineFlush}, ProbeTimeout: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{b: b, lane: b.Lane("k"), events: make(chan event, 1000), top: 1}
	defer func() { // whatever fails, leave the bubble empty
		b.Close()
		for _, r := range m.all {
			r.cancel()
		}
		for range 1000 {
			synctest.Wait()
			for len(m.events) > 0 {
				e := <-m.events
				e.r.running = !e.over
			}
			rs := m.inFlight()
			if len(rs) == 0 {
				return
			}
			for _, r := range rs {
				r.running = false
				r.answer <- nil
			}
		}
	}()
	m.observe(lead("n1", 1))
	answer := func(t *rapid.T, f func(r *request) error) {
		rs := m.inFlight()
		if len(rs) == 0 {
			t.Skip("nothing runs")
		}
		r := rapid.SampledFrom(rs).Draw(t, "request")
		err := f(r)
		r.final = !leadership.NotExecuted(err)
		runs := r.runs
		m.subject = r
		r.running = false
		r.answer <- err
		m.settle(t)
		if r.final {
			if !r.over || r.err != err || r.runs != runs {
				t.Fatalf("request %d was answered %v, and then: over=%t err=%v runs=%d", r.name, err, r.over, r.err, r.runs)
			}
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"arrive": func(t *rapid.T) {
			m.start(rapid.Bool().Draw(t, "unit"))
			m.settle(t)
		},
		"done": func(t *rapid.T) { answer(t, func(*request) error { return nil }) },
		"fail": func(t *rapid.T) { answer(t, func(*request) error { return errors.New("duplicate key") }) },
		"lose": func(t *rapid.T) { answer(t, func(*request) error { return leadership.ErrUnknownOutcome }) },
		"refuse": func(t *rapid.T) {
			before := m.lane.Snapshot().State
			stale := false
			answer(t, func(r *request) error {
				stale = r.to.Term.Less(m.cur.Term)
				ref := &leadership.Refusal{Term: r.to.Term, Scope: rapid.SampledFrom([]leadership.Scope{leadership.ScopeAll, leadership.ScopeUnits}).Draw(t, "scope")}
				if rapid.Bool().Draw(t, "above") {
					ref.Until = term(r.to.Term.Num + uint64(rapid.IntRange(1, 9).Draw(t, "by")))
				}
				return ref
			})
			if after := m.lane.Snapshot().State; stale && before == buffer.Serving && after != before {
				t.Fatalf("a refusal at an older term made the lane %s", after)
			}
		},
		"dial fails": func(t *rapid.T) {
			before := m.lane.Snapshot().State
			m.pause = maxBackoff // it may back off, outside the queue, with its place taken
			answer(t, func(*request) error { return buffer.NotSent(errors.New("connection refused")) })
			m.pause = 0
			if before == buffer.Serving && m.lane.Snapshot().State != buffer.Serving {
				t.Fatal("a failed dial started a hold")
			}
		},
		"cancel": func(t *rapid.T) {
			if len(m.queue) == 0 {
				t.Skip("nothing is queued")
			}
			r := rapid.SampledFrom(m.queue).Draw(t, "request")
			r.cancel()
			m.settle(t)
			if !r.over || !errors.Is(r.err, context.Canceled) || !leadership.NotExecuted(r.err) {
				t.Fatalf("request %d was cancelled while held: over=%t, %v", r.name, r.over, r.err)
			}
		},
		"announce": func(t *rapid.T) {
			m.version++
			m.top++
			m.lane.Observe(intent(m.version, m.cur, m.top, leadership.Holding, 100*time.Millisecond))
			m.settle(t)
		},
		"new leader": func(t *rapid.T) {
			m.top++
			m.observe(lead(rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"), m.top))
			m.settle(t)
		},
		"old news": func(t *rapid.T) {
			before := m.lane.Snapshot()
			m.lane.Observe(intent(uint64(rapid.IntRange(0, int(m.version)).Draw(t, "version")), lead("n9", m.top+5), m.top+6, leadership.Holding, time.Hour))
			m.settle(t)
			if after := m.lane.Snapshot(); after.Leadership != before.Leadership || after.State != before.State {
				t.Fatalf("old news changed %+v to %+v", before, after)
			}
		},
		"time": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 400).Draw(t, "ms")) * time.Millisecond)
			m.settle(t)
		},
		"": m.check,
	})
	m.heal(t)
}

const maxBackoff = 25 * time.Millisecond

// check holds after each step.
func (m *machine) check(t *rapid.T) {
	s := m.lane.Snapshot()
	if s.Held != len(m.queue) {
		t.Fatalf("%d held, want %d", s.Held, len(m.queue))
	}
	if s.Held > machineHeld || s.Bytes > machineHeld {
		t.Fatalf("over the cap: %d held, %d bytes", s.Held, s.Bytes)
	}
	if s.Peak > machineFlush {
		t.Fatalf("%d flushed at once", s.Peak)
	}
	if s.State == buffer.Serving && s.Held > 0 {
		t.Fatal("serving, and somebody is held")
	}
	for _, r := range m.queue {
		if time.Since(r.first) > machineAge {
			t.Fatalf("request %d is held for %s", r.name, time.Since(r.first))
		}
	}
	for _, r := range m.all {
		if !r.over || r.err == nil || r.final {
			continue
		}
		if !leadership.NotExecuted(r.err) {
			t.Fatalf("request %d was never executed, and ended with %v", r.name, r.err)
		}
	}
}

// heal: once the leader takes everything, everybody gets an answer.
func (m *machine) heal(t *rapid.T) {
	m.top++
	m.observe(lead("n1", m.top))
	m.settle(t)
	m.start(true) // a lane that was told to wait for more finds out by this one
	m.settle(t)
	for range 200 {
		rs := m.inFlight()
		if len(rs) == 0 && len(m.queue) == 0 {
			break
		}
		for _, r := range rs {
			r.final, r.running = true, false
			r.answer <- nil
		}
		time.Sleep(time.Millisecond)
		m.settle(t)
	}
	m.check(t)
	s := m.lane.Snapshot()
	if s.State != buffer.Serving || s.Bytes != 0 || s.Held != 0 || s.Retrying != 0 || m.b.Stats().Bytes != 0 {
		t.Fatalf("not healed: %+v", s)
	}
	for _, r := range m.all {
		if !r.over {
			t.Fatalf("request %d is not over", r.name)
		}
	}
}
