package buffer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// plain is a set of servers that check no terms: whatever reaches one runs, and
// at one that does not lead it runs half. wrong counts those.
type plain struct {
	mu       sync.Mutex
	leads    leadership.Leadership // zero: all are read only
	inFlight int
	wrong    int
	applied  map[int]int
}

func (p *plain) probe(_ context.Context, to leadership.Leadership, _ string) error {
	time.Sleep(100 * time.Microsecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leads != to {
		return buffer.NotSent(errors.New("not the leader of that term"))
	}
	return nil
}

func (p *plain) run(id int, to leadership.Leadership, service time.Duration) error {
	p.mu.Lock()
	p.inFlight++
	if p.leads.Leader != to.Leader {
		p.wrong++
	}
	p.mu.Unlock()
	time.Sleep(service)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	p.applied[id]++
	return nil
}

// stepDown makes everything read only. What is in flight is broken.
func (p *plain) stepDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads = leadership.Leadership{}
	p.wrong += p.inFlight
}

func (p *plain) lead(l leadership.Leadership) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads = l
}

// TestG7_ServersThatCheckNoTermsAreLeftAlone puts a counted lane with a probe
// of its own in front of servers that cannot refuse. A coordinator announces,
// waits until the lane is quiet, and only then steps the leader down; it takes
// random times, gives up, undoes, and dies before and after stepping down,
// with holds that outlast it and holds that do not. No request ever reaches a
// server that does not lead, none is in flight when one steps down, none
// fails, and each is applied exactly once.
func TestG7_ServersThatCheckNoTermsAreLeftAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, runPlain) })
}

func runPlain(t *rapid.T) {
	p := &plain{leads: lead("n1", 1), applied: map[int]int{}}
	b, err := buffer.New(buffer.Config{
		MaxAge: 15 * time.Second, MaxOutage: 20 * time.Second, Flush: buffer.Flush{Start: 2, Max: 8},
		Counted: true, Probe: p.probe, ProbeTimeout: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	lane := b.Lane("k")
	lane.Observe(routed(1, lead("n1", 1)))
	arrivals := drawArrivals(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	wg.Go(func() {
		for id, a := range arrivals {
			time.Sleep(a.gap)
			wg.Go(func() {
				err := a.plainCall(lane, p, id)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = append(failed, err)
				}
			})
		}
	})
	quiets := p.life(t, lane)
	wg.Wait()
	switch {
	case p.wrong > 0:
		t.Fatalf("%d requests reached a server that did not lead, after %d quiet moments", p.wrong, quiets)
	case len(failed) > 0:
		t.Fatalf("%d requests failed, the first with: %v", len(failed), failed[0])
	}
	for id := range arrivals {
		if p.applied[id] != 1 {
			t.Fatalf("request %d was applied %d times", id, p.applied[id])
		}
	}
}

func (a *arrival) plainCall(lane *buffer.Lane, p *plain, id int) error {
	req := buffer.Request{Unit: a.unit, Bytes: 1}
	if !a.turn {
		return lane.Do(bg, req, func(_ context.Context, to leadership.Leadership, _ string) error { return p.run(id, to, a.service) })
	}
	turn, err := lane.Enter(bg, req)
	if err != nil {
		return err
	}
	turn.Answered() // it goes on counting
	err = p.run(id, turn.To(), a.service+a.think)
	turn.Done(err)
	return err
}

// life is the changes. It returns how often the lane reported quiet.
func (p *plain) life(t *rapid.T, lane *buffer.Lane) (quiets int) {
	cur, version, top := lead("n1", 1), uint64(1), uint64(1)
	observe := func(r leadership.Record) {
		version++
		r.Version = version
		lane.Observe(r)
	}
	for range rapid.IntRange(2, 6).Draw(t, "changes") {
		if rapid.Bool().Draw(t, "at once") {
			time.Sleep(time.Millisecond)
		} else {
			time.Sleep(drawMs(t, "calm", 300))
		}
		top++
		hold := time.Millisecond + drawMs(t, "holdFor", 600)
		began := time.Now()
		observe(intent(0, cur, top, leadership.Holding, hold))
		end := rapid.SampledFrom([]string{"done", "done", "undo", "give up", "dies before", "dies after"}).Draw(t, "end")
		if end == "give up" || end == "dies before" {
			time.Sleep(drawMs(t, "until it ends", 300))
			if end == "give up" {
				observe(routed(0, cur))
			}
			continue
		}
		ctx, cancel := context.WithTimeout(bg, time.Second)
		err := lane.Quiesced(ctx, term(top))
		cancel()
		if err != nil {
			observe(routed(0, cur)) // the leader stays: it was not left alone
			continue
		}
		quiets++
		// As a coordinator must: the hold outlasts the step down.
		if left := hold - time.Since(began) - time.Millisecond; left > 0 {
			time.Sleep(min(left, drawMs(t, "stepping down", 100)))
		}
		p.stepDown()
		next := lead(rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "to"), top)
		switch end {
		case "undo":
			top++
			next = lead(string(cur.Leader), top)
		case "dies after": // beyond the hold: the probe must keep users away
			time.Sleep(drawMs(t, "leaderless", 1200))
			top++
			next.Term = term(top)
		}
		time.Sleep(drawMs(t, "install", 100))
		cur = next
		p.lead(cur)
		if rapid.Bool().Draw(t, "learned from an answer") {
			lane.Learn(cur, "")
		}
		time.Sleep(drawMs(t, "route", 50))
		observe(routed(0, cur))
	}
	return quiets
}
