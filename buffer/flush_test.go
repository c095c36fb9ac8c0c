package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestFlushGoesOnAtHalfItsWidthWhenRequestsDoNotReachTheLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 8, Max: 8, Every: time.Second}})
		w.refuse(2)
		bad, tries := 0, []time.Duration{}
		var start time.Time
		for range 40 {
			w.wg.Go(func() {
				require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(ctx context.Context, to leadership.Leadership, addr string) error {
					fails := false
					if to.Term == term(2) {
						w.set(func() {
							tries = append(tries, time.Since(start))
							if fails = bad > 0; fails {
								bad--
							}
						})
					}
					if fails {
						return buffer.NotSent(errors.New("connection refused"))
					}
					return w.handle("x")(ctx, to, addr)
				}))
			})
		}
		synctest.Wait()
		w.service = 100 * time.Millisecond
		bad, start = 8, time.Now()
		w.recover()
		synctest.Wait()
		require.Len(t, tries, 8, "all of the first eight fail, and count as one failure")
		require.Equal(t, 40, w.lane.Snapshot().Held)
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, 4, w.load(), "half of them after a pause")
		w.set(func() { require.Equal(t, time.Millisecond, tries[8]) })
		w.done()
		require.LessOrEqual(t, time.Since(start), 700*time.Millisecond, "it widens again")
	})
}

func TestFlushOfWidthOnePausesUntilARequestGetsThrough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 4, Max: 4}})
		w.refuse(2)
		down, tries := true, 0
		for range 10 {
			w.wg.Go(func() {
				require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(ctx context.Context, to leadership.Leadership, addr string) error {
					fails := false
					w.set(func() { fails = down && to.Term == term(2) })
					if fails {
						w.set(func() { tries++ })
						return buffer.NotSent(errors.New("connection refused"))
					}
					return w.handle("x")(ctx, to, addr)
				}))
			})
		}
		synctest.Wait()
		w.recover()
		time.Sleep(time.Second)
		synctest.Wait()
		require.LessOrEqual(t, tries, 4+2+1+60, "one at a time, each after a pause")
		require.Equal(t, 10, w.lane.Snapshot().Held)
		w.set(func() { down = false })
		w.done()
	})
}

func TestFlushNarrowsWhenTheLeaderSlowsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 4, Max: 64}, MaxAge: time.Minute, MaxOutage: time.Minute})
		w.refuse(2)
		w.startMany("r", 400)
		w.service = 5 * time.Millisecond
		w.recover()
		time.Sleep(21 * time.Millisecond) // 4, 8, 16, 32
		require.Equal(t, 64, w.load())
		w.set(func() { w.service = 300 * time.Millisecond })
		time.Sleep(5 * time.Millisecond) // the 64 are answered in time
		require.Equal(t, 64, w.load())
		// These take long. As they are answered one by one, others take their
		// slots, until a full width of them shows it.
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, 32, w.load())
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, 16, w.load())
		w.set(func() { w.service = time.Millisecond })
		w.done()
		require.Equal(t, 64, w.lane.Snapshot().Peak)
	})
}

func TestJitterDelaysTheFirstReleaseOfEachProxyByAnotherTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const jitter = 200 * time.Millisecond
		first := func(seed uint64) time.Duration {
			w := newWorld(t, buffer.Config{Flush: buffer.Flush{Jitter: jitter, Seed: seed}})
			w.refuse(2)
			w.startMany("r", 20)
			start := time.Now()
			w.recover()
			w.done()
			for _, at := range w.ended {
				require.Equal(t, w.ended["r0000"], at, "nothing else is delayed")
			}
			return w.ended["r0000"].Sub(start)
		}
		seen := map[time.Duration]bool{}
		for seed := range uint64(20) {
			d := first(seed + 1)
			require.LessOrEqual(t, d, jitter)
			require.Equal(t, d, first(seed+1), "the same seed, lane and term")
			seen[d] = true
		}
		require.Greater(t, len(seen), 15)
		require.NotEqual(t, first(0), first(0), "New draws a seed")
	})
}

func TestJitterDelaysNobodyWhenNobodyIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Jitter: time.Second, Seed: 1}})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Second))
		start := time.Now()
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		require.NoError(t, w.lane.Do(bg, buffer.Request{Unit: true}, w.handle("x")))
		require.Zero(t, time.Since(start))
	})
}

func TestOutageEndsByPassingThroughWhenAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second, AtOutage: buffer.PassThrough})
		w.refuse(2)
		start := time.Now()
		time.Sleep(time.Millisecond)
		w.startMany("held", 3)
		w.set(func() { w.refusal = &leadership.Refusal{Term: term(1), Until: term(9), Reason: "not now"} })
		time.Sleep(900 * time.Millisecond)
		w.start(bg, "young", buffer.Request{})
		w.wg.Wait()
		// Those as old as the outage expire; the other gets what the leader says.
		var r *leadership.Refusal
		require.ErrorAs(t, w.err("young"), &r)
		require.Equal(t, "not now", r.Reason)
		require.Equal(t, time.Second+time.Millisecond, w.ended["young"].Sub(start))
		for _, name := range []string{"held0000", "held0001", "held0002"} {
			_ = w.err(name)
		}
		// So does every arrival, at once, a failed dial included.
		now := time.Now()
		require.ErrorAs(t, w.lane.Do(bg, buffer.Request{Unit: true}, w.handle("x")), &r)
		down := errors.New("connection refused")
		require.ErrorIs(t, w.lane.Do(bg, buffer.Request{}, func(context.Context, leadership.Leadership, string) error { return buffer.NotSent(down) }), down)
		require.Zero(t, time.Since(now))
		require.EqualValues(t, 3, w.lane.Snapshot().Passed)
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State)
		// The first answer ends it.
		w.refuse(0)
		require.NoError(t, w.lane.Do(bg, buffer.Request{}, w.handle("y")))
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		require.Zero(t, w.lane.Snapshot().OutageAge)
		w.refuse(3)
		w.start(bg, "z", buffer.Request{})
		require.Equal(t, 1, w.lane.Snapshot().Held, "the next outage is held again")
		w.crown(lead("n2", 3))
		w.lane.Observe(routed(3, lead("n2", 3)))
		w.wg.Wait()
		require.NoError(t, w.err("z"))
		require.Zero(t, w.lane.Snapshot().Bytes)
	})
}

func TestPassThroughFlushesInOrderToANewerLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second, AtOutage: buffer.PassThrough, Flush: oneByOne})
		w.refuse(2)
		w.startMany("held", 1)
		time.Sleep(2 * time.Second)
		w.wg.Wait()
		_ = w.err("held0000")
		require.Error(t, w.lane.Do(bg, buffer.Request{}, w.handle("x")))
		w.recover()
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		var want []string
		for i := range 5 {
			want = append(want, fmt.Sprint(i))
			w.start(bg, want[i], buffer.Request{})
		}
		w.done()
		require.Equal(t, want, w.started())
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestPassThroughWithoutAnyLeaderFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, err := buffer.New(buffer.Config{MaxAge: time.Second, MaxOutage: time.Second, AtOutage: buffer.PassThrough})
		require.NoError(t, err)
		l := b.Lane("k")
		errs := make(chan error, 2)
		go func() { errs <- l.Do(bg, buffer.Request{}, nop) }()
		time.Sleep(500 * time.Millisecond)
		go func() { errs <- l.Do(bg, buffer.Request{}, nop) }()
		require.Error(t, <-errs)
		var out *buffer.OutageError
		require.ErrorAs(t, <-errs, &out)
	})
}

func TestPassThroughKeepsTheOrderOfAKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second, AtOutage: buffer.PassThrough})
		w.refuse(9)
		w.startMany("held", 1)
		start := time.Now()
		time.Sleep(900 * time.Millisecond)
		var order []string
		for _, name := range []string{"a0", "a1"} {
			w.wg.Go(func() {
				require.NoError(t, w.lane.Do(bg, buffer.Request{Key: "a"}, func(_ context.Context, to leadership.Leadership, _ string) error {
					if time.Since(start) < time.Second {
						return &leadership.Refusal{Term: to.Term, Until: term(9)}
					}
					time.Sleep(100 * time.Millisecond)
					w.set(func() { order = append(order, fmt.Sprint(name, " after ", time.Since(start))) })
					return nil
				}))
			})
			synctest.Wait()
		}
		w.wg.Wait()
		require.Equal(t, []string{"a0 after 1.1s", "a1 after 1.2s"}, order)
	})
}
