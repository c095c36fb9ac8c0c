package buffer_test

import (
	"cmp"
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
	lineHeld  = 6
	lineBytes = 30
	lineAge   = 2 * time.Second
)

// inLine is a request as the model sees it.
type inLine struct {
	place    int
	priority buffer.Priority
	key      string
	bytes    int64
	arrived  time.Time
	deadline time.Time // zero for none
	cancel   context.CancelFunc
	answer   chan error
	over     chan error
}

// lineModel is a queue that is nothing but a slice in order of arrival.
type lineModel struct {
	lane     *buffer.Lane
	overflow buffer.Overflow
	ageing   time.Duration
	width    int
	queue    []*inLine
	serving  []*inLine
	places   int
	begun    chan *inLine
}

func (m *lineModel) rank(h *inLine) time.Time {
	return h.arrived.Add(-time.Duration(h.priority) * m.ageing)
}

// next is whose turn it is: nobody of a key that is served or behind another.
func (m *lineModel) next() (best *inLine) {
	seen := map[string]bool{}
	for _, h := range m.serving {
		seen[h.key] = true
	}
	for _, h := range m.queue {
		if h.key != "" && seen[h.key] {
			continue
		}
		seen[h.key] = true
		if best == nil || m.rank(h).Before(m.rank(best)) {
			best = h
		}
	}
	return best
}

// victim is who gives way to h, nil for nobody.
func (m *lineModel) victim(h *inLine, queue []*inLine) (v *inLine) {
	end := func(h *inLine) time.Time {
		if h.deadline.IsZero() {
			return h.arrived.Add(1000 * time.Hour)
		}
		return h.deadline
	}
	for _, q := range queue {
		switch m.overflow {
		case buffer.EvictOldest:
			if v == nil {
				v = q
			}
		case buffer.EvictLowestPriority:
			if q.priority < h.priority && (v == nil || q.priority <= v.priority) {
				v = q
			}
		case buffer.EvictNearestDeadline:
			if !q.deadline.IsZero() && end(q).Before(end(h)) && (v == nil || !end(q).After(end(v))) {
				v = q
			}
		}
	}
	return v
}

func (m *lineModel) arrive(t *rapid.T) {
	h := &inLine{
		priority: buffer.Priority(rapid.IntRange(-3, 3).Draw(t, "priority")),
		key:      rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, "key"),
		bytes:    int64(rapid.IntRange(0, 12).Draw(t, "bytes")),
		arrived:  time.Now(), answer: make(chan error), over: make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(bg)
	if rapid.Bool().Draw(t, "has deadline") {
		h.deadline = time.Now().Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
		ctx, cancel = context.WithDeadline(bg, h.deadline)
	}
	h.cancel = cancel
	m.places++
	h.place = m.places
	go func() {
		h.over <- m.lane.Do(ctx, buffer.Request{Priority: h.priority, Key: h.key, Bytes: h.bytes},
			func(context.Context, leadership.Leadership, string) error {
				m.begun <- h
				return <-h.answer
			})
	}()
	synctest.Wait()
	rest := slices.Clone(m.queue)
	var out []*inLine
	fits := func() bool {
		sum := h.bytes
		for _, q := range rest {
			sum += q.bytes
		}
		return len(rest) < lineHeld && sum <= lineBytes
	}
	for !fits() {
		v := m.victim(h, rest)
		if v == nil {
			m.ended(t, h, func(err error) bool {
				var full *buffer.OverflowError
				return errors.As(err, &full) && !full.Evicted
			})
			return
		}
		rest = slices.DeleteFunc(rest, func(q *inLine) bool { return q == v })
		out = append(out, v)
	}
	for _, v := range out {
		m.ended(t, v, func(err error) bool {
			var full *buffer.OverflowError
			return errors.As(err, &full) && full.Evicted
		})
	}
	m.queue = append(rest, h)
}

// ended checks that h is over, not executed, and why.
func (m *lineModel) ended(t *rapid.T, h *inLine, why func(error) bool) {
	h.cancel()
	select {
	case err := <-h.over:
		if !leadership.NotExecuted(err) || !why(err) {
			t.Fatalf("request %d ended with %v", h.place, err)
		}
	default:
		t.Fatalf("request %d is not over", h.place)
	}
}

// sleep lets time pass; who is too old or past its deadline goes.
func (m *lineModel) sleep(t *rapid.T, d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	m.queue = slices.DeleteFunc(m.queue, func(h *inLine) bool {
		aged := time.Since(h.arrived) >= lineAge
		late := !h.deadline.IsZero() && !time.Now().Before(h.deadline)
		if aged || late {
			m.ended(t, h, func(err error) bool {
				var age *buffer.AgeError
				return aged && errors.As(err, &age) || late && errors.Is(err, context.DeadlineExceeded)
			})
		}
		return aged || late
	})
}

// starts checks that the next in the model's order started, up to width.
func (m *lineModel) starts(t *rapid.T, width int) {
	synctest.Wait()
	began := map[*inLine]bool{}
	for len(m.begun) > 0 {
		began[<-m.begun] = true
	}
	for len(m.serving) < width {
		h := m.next()
		if h == nil {
			break
		}
		if !began[h] {
			t.Fatalf("it is the turn of request %d, and %d others started", h.place, len(began))
		}
		delete(began, h)
		m.queue = slices.DeleteFunc(m.queue, func(q *inLine) bool { return q == h })
		m.serving = append(m.serving, h)
	}
	for h := range began {
		t.Fatalf("request %d started out of turn", h.place)
	}
}

// answer ends the try of one that is being served.
func (m *lineModel) answer(t *rapid.T, err error) {
	i := rapid.IntRange(0, len(m.serving)-1).Draw(t, "who")
	h := m.serving[i]
	m.serving = slices.Delete(m.serving, i, i+1)
	h.answer <- err
	synctest.Wait()
	switch {
	case err == nil:
		h.cancel()
		if got := <-h.over; got != nil {
			t.Fatalf("request %d was answered, and ended with %v", h.place, got)
		}
	case time.Since(h.arrived) >= lineAge || !h.deadline.IsZero() && !time.Now().Before(h.deadline):
		m.ended(t, h, func(error) bool { return true })
	default:
		m.queue = append(m.queue, h)
		slices.SortFunc(m.queue, func(a, b *inLine) int { return cmp.Compare(a.place, b.place) })
	}
}

// TestQueueAgreesWithASortedSlice checks who is next, who gives way, keys, ages
// and deadlines against a model, over arbitrary arrivals, cancels, refusals in
// the middle of a flush, and time.
func TestQueueAgreesWithASortedSlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := &lineModel{
				overflow: rapid.SampledFrom([]buffer.Overflow{buffer.RejectNew, buffer.EvictOldest, buffer.EvictLowestPriority, buffer.EvictNearestDeadline}).Draw(t, "overflow"),
				ageing:   time.Duration(rapid.SampledFrom([]int{1, 50, 300, 2000}).Draw(t, "ageing")) * time.Millisecond,
				width:    rapid.IntRange(1, 3).Draw(t, "width"),
				begun:    make(chan *inLine, 100),
			}
			b, err := buffer.New(buffer.Config{
				MaxHeld: lineHeld, MaxBytes: lineBytes, MaxAge: lineAge, MaxOutage: time.Hour, Ageing: m.ageing,
				Overflow: m.overflow, Flush: buffer.Flush{Start: m.width, Max: m.width}, ProbeTimeout: time.Hour,
			})
			if err != nil {
				t.Fatal(err)
			}
			m.lane = b.Lane("k")
			defer func() { // whatever fails, leave the bubble empty
				b.Close()
				for _, h := range append(m.queue, m.serving...) {
					h.cancel()
				}
				for _, h := range m.serving {
					h.answer <- nil
				}
			}()
			m.hold(t)
			m.flush(t)
			// When the last was refused and then gave up, the next finds out
			// that the leader takes requests again.
			time.Sleep(20 * time.Millisecond)
			if err := m.lane.Do(bg, buffer.Request{}, nop); err != nil {
				t.Fatal(err)
			}
			if s := m.lane.Snapshot(); s.State != buffer.Serving || s.Held != 0 || s.Bytes != 0 || len(m.queue) != 0 {
				t.Fatalf("%+v, %d in the model", s, len(m.queue))
			}
		})
	})
}

// hold: no leader is known.
func (m *lineModel) hold(t *rapid.T) {
	t.Repeat(map[string]func(*rapid.T){
		"arrive": m.arrive,
		"cancel": func(t *rapid.T) {
			if len(m.queue) == 0 {
				t.Skip("nobody")
			}
			i := rapid.IntRange(0, len(m.queue)-1).Draw(t, "who")
			h := m.queue[i]
			m.queue = slices.Delete(m.queue, i, i+1)
			h.cancel()
			synctest.Wait()
			m.ended(t, h, func(err error) bool { return errors.Is(err, context.Canceled) })
		},
		"time": func(t *rapid.T) {
			m.sleep(t, time.Duration(rapid.IntRange(1, 400).Draw(t, "ms"))*time.Millisecond)
		},
		"": func(t *rapid.T) {
			if s := m.lane.Snapshot(); s.Held != len(m.queue) {
				t.Fatalf("%d held, want %d", s.Held, len(m.queue))
			}
		},
	})
}

// flush: a leader comes, and refuses them all now and then.
func (m *lineModel) flush(t *rapid.T) {
	m.lane.Observe(routed(1, lead("n1", 1)))
	m.starts(t, m.width)
	for len(m.serving) > 0 {
		if rapid.IntRange(0, 4).Draw(t, "refuse") > 0 {
			m.answer(t, nil)
			m.starts(t, m.width)
			continue
		}
		for len(m.serving) > 0 {
			m.answer(t, &leadership.Refusal{Term: term(1), RetryAfter: 20 * time.Millisecond})
			m.starts(t, 0) // a flush that is refused stops
		}
		m.sleep(t, 20*time.Millisecond)
		m.starts(t, 1) // a probe
		if len(m.serving) > 0 {
			m.answer(t, nil)
			m.starts(t, m.width)
		}
	}
}
