package buffer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// TestG7_EndToEnd lets requests arrive at random, through Do and through Enter,
// while leaders behind real gates are changed by the transitions of a record
// that the router follows through a registry it cannot always reach. Changes
// take random times, are given up, undone, come 1ms after each other, refuse in
// the middle of a flush and at the served term, and lose their coordinator after
// any of their steps. A leader is away for less than the caps each time: no
// request fails, each is applied exactly once, and those that were held on
// arrival start in the order they came.
func TestG7_EndToEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, runEndToEnd) })
}

// arrival is one request of the router's clients.
type arrival struct {
	gap            time.Duration // after the one before it
	unit, turn     bool
	think, service time.Duration
	at             time.Time
}

func drawMs(t *rapid.T, label string, hi int) time.Duration {
	return time.Duration(rapid.IntRange(0, hi).Draw(t, label)) * time.Millisecond
}

func drawArrivals(t *rapid.T) []*arrival {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *arrival {
		return &arrival{
			gap: drawMs(t, "gap", 40), unit: rapid.Bool().Draw(t, "unit"), turn: rapid.Bool().Draw(t, "turn"),
			think: drawMs(t, "think", 20), service: drawMs(t, "service", 3),
		}
	}), 20, 100).Draw(t, "arrivals")
}

// call sends request id through the lane, in one of its two forms.
func (a *arrival) call(lane *buffer.Lane, c *town, id int) error {
	req := buffer.Request{Unit: a.unit, Bytes: 1}
	if !a.turn {
		return lane.Do(bg, req, func(_ context.Context, to leadership.Leadership, _ string) error {
			return c.send(id, a.unit, to, a.think, a.service)
		})
	}
	turn, err := lane.Enter(bg, req)
	for err == nil {
		if err = c.send(id, a.unit, turn.To(), a.think, a.service); err == nil {
			turn.Answered()
			break
		}
		err = turn.Retry(bg, err)
	}
	turn.Done(err)
	return err
}

func runEndToEnd(t *rapid.T) {
	c := newTown(t)
	b, err := buffer.New(buffer.Config{
		MaxAge: 15 * time.Second, MaxOutage: 20 * time.Second, Flush: buffer.Flush{Start: 2, Max: 16},
		Counted: rapid.Bool().Draw(t, "counted"),
	})
	if err != nil {
		t.Fatal(err)
	}
	lane := b.Lane("k")
	ctx, stop := context.WithCancel(bg)
	var follow, wg sync.WaitGroup
	follow.Go(func() {
		if err := b.Follow(ctx, c.reg, lane); !errors.Is(err, context.Canceled) {
			t.Errorf("follow: %v", err)
		}
	})
	arrivals := drawArrivals(t)
	var mu sync.Mutex
	var failed []error
	wg.Go(func() {
		for id, a := range arrivals {
			time.Sleep(a.gap)
			a.at = time.Now()
			wg.Go(func() {
				if err := a.call(lane, c, id); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			})
		}
	})
	outages := rapid.SliceOfN(rapid.IntRange(0, 1500), 0, 6).Draw(t, "registry up and down")
	wg.Go(func() {
		for i, d := range outages {
			c.reg.cut(i%2 == 1)
			time.Sleep(time.Duration(d) * time.Millisecond)
		}
		c.reg.cut(false)
	})
	c.life(t)
	wg.Wait()
	stop()
	follow.Wait()
	c.verdict(t, b, lane, arrivals, failed)
}

// life is the changes that the cluster goes through.
func (c *town) life(t *rapid.T) {
	slow := func(step string) time.Duration {
		hi := map[string]int{"preparing": 50, "until given up": 300, "units": 100, "install": 200, "grant": 50, "route": 50}
		return drawMs(t, step, hi[step])
	}
	to := func() leadership.NodeID {
		return rapid.SampledFrom([]leadership.NodeID{"n1", "n2", "n3"}).Draw(t, "to")
	}
	for range rapid.IntRange(2, 6).Draw(t, "changes") {
		if rapid.Bool().Draw(t, "at once") {
			time.Sleep(time.Millisecond)
		} else {
			time.Sleep(drawMs(t, "calm", 300))
		}
		ch := changing{
			to: to(), dies: rapid.SampledFrom([]int{stepRouted, stepRouted, stepRouted, stepBegin, stepHolding, stepDrained, stepSealed, stepActive, stepGranted}).Draw(t, "dies after"),
			holdFor: drawMs(t, "holdFor", 400), slow: slow, flaky: drawMs(t, "flaky", 30),
		}
		switch rapid.SampledFrom([]string{"change", "change", "undo", "give up", "pause"}).Draw(t, "kind") {
		case "undo":
			ch.undo = true
		case "give up":
			ch.giveUp = true
		case "pause": // refuses at the term it serves, and nobody announced it
			if !c.last.gate.State().Phase.Ended() {
				if _, err := c.last.gate.Drain(bg, lameduck.Plan{All: time.Minute, Expire: time.Millisecond + drawMs(t, "pause", 200)}); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		if at := c.change(t, ch); at == stepSealed || at == stepActive {
			// Nobody leads. Another coordinator finishes, some time later.
			time.Sleep(drawMs(t, "until another takes over", 800))
			c.change(t, changing{to: to(), dies: stepRouted, holdFor: ch.holdFor, slow: slow})
		}
	}
}

func (c *town) verdict(t *rapid.T, b *buffer.Buffer, lane *buffer.Lane, arrivals []*arrival, failed []error) {
	if len(failed) > 0 {
		t.Fatalf("%d of %d requests failed, the first with: %v", len(failed), len(arrivals), failed[0])
	}
	var held []int
	for id, a := range arrivals {
		if c.applied[id] != 1 {
			t.Fatalf("request %d was applied %d times", id, c.applied[id])
		}
		if !c.first[id].After(a.at) {
			continue // it was sent as it arrived
		}
		for _, earlier := range held {
			if arrivals[earlier].at.Before(a.at) && c.first[id].Before(c.first[earlier]) {
				t.Fatalf("held request %d came after %d and was sent before it", id, earlier)
			}
		}
		held = append(held, id)
	}
	if s := lane.Snapshot(); s.Held != 0 || s.Bytes != 0 || s.Retrying != 0 || b.Stats().Bytes != 0 {
		t.Fatalf("left behind: %+v", s)
	}
}
