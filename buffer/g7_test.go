package buffer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// cluster is a set of nodes of which at most one takes requests. Like real
// nodes they check the term that a request was routed with.
type cluster struct {
	mu       sync.Mutex
	serving  leadership.Leadership
	draining leadership.Term  // refuses with this Until
	scope    leadership.Scope // what it refuses
	down     bool             // cannot be dialled
	service  time.Duration
	applied  map[int]int // by request: how often
	order    []int       // as they reached the leader
	underWay int         // sent and not arrived
}

func (c *cluster) handle(id int, unit bool) func(context.Context, leadership.Leadership, string) error {
	return func(_ context.Context, to leadership.Leadership, _ string) error {
		c.set(func() { c.underWay++ })
		time.Sleep(200 * time.Microsecond)
		c.mu.Lock()
		c.underWay--
		switch {
		case c.down:
			c.mu.Unlock()
			return buffer.NotSent(errors.New("connection refused"))
		case to != c.serving:
			r := &leadership.Refusal{Term: to.Term, Until: c.serving.Term}
			c.mu.Unlock()
			return r
		case !c.draining.IsZero() && (unit || c.scope == leadership.ScopeAll):
			r := &leadership.Refusal{Term: c.serving.Term, Until: c.draining, Scope: c.scope}
			c.mu.Unlock()
			return r
		}
		c.applied[id]++
		c.order = append(c.order, id)
		d := c.service
		c.mu.Unlock()
		time.Sleep(d)
		return nil
	}
}

func (c *cluster) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// TestG7_PlannedChangesCostLatencyNotErrors lets requests arrive at random
// while planned changes run at random paces, are given up, undone, or lose
// their coordinator, dials fail, and observations are lost, doubled and late.
// A leader is away for less than the caps each time: no request may fail, none
// may be applied twice, and every one is applied.
func TestG7_PlannedChangesCostLatencyNotErrors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) { runPlannedChanges(t) })
	})
}

func runPlannedChanges(t *rapid.T) {
	ms := func(label string, lo, hi int) time.Duration {
		return time.Duration(rapid.IntRange(lo, hi).Draw(t, label)) * time.Millisecond
	}
	b, err := buffer.New(buffer.Config{MaxAge: 10 * time.Second, MaxOutage: 20 * time.Second, Flush: buffer.Flush{Start: 2, Max: 16}})
	if err != nil {
		t.Fatal(err)
	}
	lane := b.Lane("k")
	c := &cluster{serving: lead("n1", 1), applied: map[int]int{}, service: ms("service", 0, 3)}
	version := uint64(0)
	var late []leadership.Record
	observe := func(rec leadership.Record) {
		version++
		rec.Version = version
		switch rapid.SampledFrom([]string{"now", "now", "twice", "late", "lost"}).Draw(t, "delivery") {
		case "now":
			lane.Observe(rec)
		case "twice":
			lane.Observe(rec)
			lane.Observe(rec)
		case "late":
			late = append(late, rec)
		}
		if len(late) > 0 && rapid.Bool().Draw(t, "straggler") {
			i := rapid.IntRange(0, len(late)-1).Draw(t, "which")
			lane.Observe(late[i])
		}
	}
	lane.Observe(routed(1, lead("n1", 1)))
	version = 1

	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	n := rapid.IntRange(1, 60).Draw(t, "requests")
	gaps := rapid.SliceOfN(rapid.IntRange(0, 60), n, n).Draw(t, "gaps")
	units := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "units")
	wg.Go(func() {
		for id := range n {
			time.Sleep(time.Duration(gaps[id]) * time.Millisecond)
			wg.Go(func() {
				if err := lane.Do(context.Background(), buffer.Request{Unit: units[id]}, c.handle(id, units[id])); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			})
		}
	})
	top := uint64(1)
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		time.Sleep(ms("calm", 0, 300))
		old := c.serving
		top++
		to := top
		holdFor := ms("holdFor", 0, 400)
		observe(intent(0, old, to, leadership.Preparing, holdFor))
		time.Sleep(ms("preparing", 0, 50))
		observe(intent(0, old, to, leadership.Holding, holdFor))
		c.set(func() { c.draining, c.scope = term(to), leadership.ScopeUnits })
		time.Sleep(ms("drain units", 0, 100))
		c.set(func() { c.scope = leadership.ScopeAll })
		time.Sleep(ms("drain all", 0, 300))
		var next leadership.Leadership
		switch rapid.SampledFrom([]string{"done", "done", "undo", "given up", "coordinator dead"}).Draw(t, "end") {
		case "done":
			next = lead("n2", to)
		case "undo":
			top++
			next = lead(string(old.Leader), top)
		case "given up":
			c.set(func() { c.draining = leadership.Term{} })
			observe(routed(0, old))
			continue
		case "coordinator dead":
			time.Sleep(ms("drain left", 0, 500)) // expires at the node
			c.set(func() { c.draining = leadership.Term{} })
			continue
		}
		flaky := rapid.Bool().Draw(t, "dial fails")
		c.set(func() { c.serving, c.draining, c.down = next, leadership.Term{}, flaky })
		observe(routed(0, next))
		time.Sleep(ms("until it listens", 0, 50))
		c.set(func() { c.down = false })
		// A level cannot stay lost: whoever follows a registry sees the newest.
		version++
		lane.Observe(routed(version, next))
	}
	wg.Wait()
	if len(failed) > 0 {
		t.Fatalf("%d of %d requests failed, the first with: %v", len(failed), n, failed[0])
	}
	for id := range n {
		if c.applied[id] != 1 {
			t.Fatalf("request %d was applied %d times", id, c.applied[id])
		}
	}
	if s := lane.Snapshot(); s.Held != 0 || s.Bytes != 0 || s.Retrying != 0 {
		t.Fatalf("left behind: %+v", s)
	}
}

// TestG7_UnitsHeldKeepTheirOrder holds all requests by an announcement, with
// refusals in the middle of flushes, and a flush of one at a time: they reach
// the leader in the order they arrived.
func TestG7_UnitsHeldKeepTheirOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			b, err := buffer.New(buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
			if err != nil {
				t.Fatal(err)
			}
			lane := b.Lane("k")
			c := &cluster{serving: lead("n1", 1), applied: map[int]int{}, service: time.Millisecond}
			lane.Observe(intent(1, lead("n1", 1), 2, leadership.Holding, time.Minute))
			var wg sync.WaitGroup
			ids := 0
			arrive := func(n int) {
				for range n {
					id := ids
					ids++
					wg.Go(func() {
						if err := lane.Do(context.Background(), buffer.Request{Unit: true}, c.handle(id, true)); err != nil {
							t.Errorf("request %d: %v", id, err)
						}
					})
					synctest.Wait()
				}
			}
			arrive(rapid.IntRange(1, 10).Draw(t, "first"))
			top := uint64(2)
			c.set(func() { c.serving = lead("n2", top) })
			lane.Observe(routed(top, lead("n2", top)))
			for range rapid.IntRange(0, 5).Draw(t, "interruptions") {
				time.Sleep(time.Duration(rapid.IntRange(0, 5000).Draw(t, "us")) * time.Microsecond)
				if lane.Snapshot().State == buffer.Serving {
					break // nobody is held: what arrives now is behind nobody
				}
				c.set(func() {
					c.draining = term(top + 1)
					if rapid.Bool().Draw(t, "same term") {
						c.draining = term(top)
					}
				})
				arrive(rapid.IntRange(1, 5).Draw(t, "more"))
				time.Sleep(time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond)
				// Not while a try is under way: the next leader's queue does
				// not wait for an old leader's answer.
				for busy := true; busy; {
					time.Sleep(37 * time.Microsecond)
					synctest.Wait()
					c.set(func() { busy = c.underWay > 0 })
				}
				top++
				c.set(func() { c.serving, c.draining = lead("n1", top), leadership.Term{} })
				lane.Observe(routed(top, lead("n1", top)))
			}
			wg.Wait()
			if len(c.order) != ids || !slices.IsSorted(c.order) {
				t.Fatalf("%d requests reached the leader in the order %v", ids, c.order)
			}
		})
	})
}
