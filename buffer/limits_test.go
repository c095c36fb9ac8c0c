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

func TestDeadlineShorterThanTheOutageEndsTheHoldAtTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.refuse(2)
		w.startMany("r", 1)
		start := time.Now()
		ctx, cancel := context.WithTimeout(bg, 70*time.Millisecond)
		defer cancel()
		err := w.lane.Do(ctx, buffer.Request{}, w.handle("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, leadership.NotExecuted(err))
		var c *buffer.CanceledError
		require.ErrorAs(t, err, &c)
		require.Equal(t, 70*time.Millisecond, c.Waited)
		require.Equal(t, 70*time.Millisecond, time.Since(start))
		require.Contains(t, err.Error(), "held 70ms, not executed")
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.NotContains(t, w.started(), "x")
	})
}

func TestCancelKeepsTheCauseAndForgetsTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.refuse(2)
		w.startMany("r", 2)
		why := errors.New("the user went away")
		ctx, cancel := context.WithCancelCause(bg)
		w.start(ctx, "x", buffer.Request{})
		cancel(why)
		synctest.Wait()
		err := w.err("x")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, why)
		require.True(t, leadership.NotExecuted(err))
		require.Equal(t, 2, w.lane.Snapshot().Held)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
	})
}

func TestRequestsThatWouldExpireAreRefusedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MinService: 50 * time.Millisecond, ExpectedOutage: time.Second})
		w.refuse(2)
		w.startMany("r", 1)
		start := time.Now()
		for _, d := range []time.Duration{-1, 10 * time.Millisecond, 900 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(bg, d)
			err := w.lane.Do(ctx, buffer.Request{}, w.handle("x"))
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded, d)
			require.True(t, leadership.NotExecuted(err))
		}
		require.Zero(t, time.Since(start))
		ctx, cancel := context.WithTimeout(bg, 2*time.Second)
		defer cancel()
		w.start(ctx, "y", buffer.Request{})
		require.Equal(t, 2, w.lane.Snapshot().Held, "this one has the time")
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
	})
}

func TestTurnOfARequestWithoutTimeLeftGoesToTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MinService: 50 * time.Millisecond, Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		w.startMany("a", 1)
		ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
		defer cancel()
		w.start(ctx, "x", buffer.Request{})
		w.startMany("b", 1)
		time.Sleep(65 * time.Millisecond) // between two probes
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.wg.Wait()
		require.Equal(t, []string{"a0000", "b0000"}, w.started())
		require.ErrorIs(t, w.errs["x"], context.DeadlineExceeded)
		require.True(t, leadership.NotExecuted(w.errs["x"]))
	})
}

func TestCancelStormLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 100_000
		if testing.Short() {
			n = 10_000
		}
		w := newWorld(t, buffer.Config{MaxHeld: n + 1})
		w.refuse(2)
		ctx, cancel := context.WithCancel(bg)
		for range n {
			w.wg.Go(func() {
				err := w.lane.Do(ctx, buffer.Request{Bytes: 1}, w.handle("x"))
				if !errors.Is(err, context.Canceled) || !leadership.NotExecuted(err) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		require.Equal(t, n, w.lane.Snapshot().Held)
		w.start(bg, "last", buffer.Request{})
		cancel()
		synctest.Wait()
		s := w.lane.Snapshot()
		require.Equal(t, 1, s.Held)
		require.EqualValues(t, n, s.Canceled)
		require.Zero(t, s.Bytes)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.Equal(t, []string{"last"}, w.started())
	})
}

func TestOverflowRejectsTheNewestAndKeepsThoseWhoWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 100})
		w.refuse(2)
		names := w.startMany("r", 100)
		for range 1000 {
			err := w.lane.Do(bg, buffer.Request{}, w.handle("x"))
			var full *buffer.OverflowError
			require.ErrorAs(t, err, &full)
			require.False(t, full.Evicted)
			require.True(t, leadership.NotExecuted(err))
		}
		require.EqualValues(t, 1000, w.lane.Snapshot().Overflow)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.ElementsMatch(t, names, w.started())
	})
}

func TestEvictOldestFailsThoseWhoWaitedLongest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 10, Overflow: buffer.EvictOldest, Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		names := w.startMany("r", 100)
		require.Equal(t, 10, w.lane.Snapshot().Held)
		for _, name := range names[:90] {
			var full *buffer.OverflowError
			require.ErrorAs(t, w.err(name), &full, name)
			require.True(t, full.Evicted)
			require.True(t, leadership.NotExecuted(full))
		}
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.Equal(t, names[90:], w.started())
	})
}

// The one request that watches the lane's timer gives way to one that comes
// when nothing else is due: somebody else watches it from then on.
func TestMaxAgeIsKeptWhenWhoWatchedTheTimerGaveWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 1, MaxAge: 100 * time.Millisecond, Overflow: buffer.EvictOldest})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		w.start(bg, "first", buffer.Request{Unit: true})
		w.start(bg, "second", buffer.Request{Unit: true})
		var full *buffer.OverflowError
		require.ErrorAs(t, w.err("first"), &full)
		start := time.Now()
		w.wg.Wait()
		var age *buffer.AgeError
		require.ErrorAs(t, w.err("second"), &age)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
	})
}

func TestBytesAreCappedPerLaneAndOverall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxBytes: 100, LaneBytes: 60, Overflow: buffer.EvictOldest})
		w.refuse(2)
		w.start(bg, "a", buffer.Request{Bytes: 30})
		w.start(bg, "b", buffer.Request{Bytes: 30})
		err := w.lane.Do(bg, buffer.Request{Bytes: 61}, w.handle("huge"))
		var full *buffer.OverflowError
		require.ErrorAs(t, err, &full)
		require.False(t, full.Evicted)
		require.Equal(t, 2, w.lane.Snapshot().Held, "nobody is evicted for what can never fit")
		w.start(bg, "c", buffer.Request{Bytes: 40})
		require.Equal(t, 1, w.lane.Snapshot().Held, "both made room")
		require.EqualValues(t, 40, w.lane.Snapshot().Bytes)
		other := w.b.Lane("other") // knows no leader: holds
		w.wg.Go(func() { _ = other.Do(bg, buffer.Request{Bytes: 60}, w.handle("o")) })
		synctest.Wait()
		err = w.lane.Do(bg, buffer.Request{Bytes: 45}, w.handle("d"))
		require.ErrorAs(t, err, &full, "the buffer is full by the other lane")
		require.Equal(t, 1, w.lane.Snapshot().Held, "lanes do not evict for each other")
		w.b.Close()
		w.wg.Wait()
		require.Zero(t, w.b.Stats().Bytes)
		require.Zero(t, w.b.Stats().Held)
	})
}

func TestCloseFailsAllHeldInEveryState(t *testing.T) {
	for _, flushing := range []bool{false, true} {
		t.Run(fmt.Sprintf("flushing=%t", flushing), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
				w.service = time.Second
				w.refuse(2)
				w.startMany("r", 5)
				w.start(bg, "dial", buffer.Request{}) // same queue
				if flushing {
					w.crown(lead("n2", 2))
					w.lane.Observe(routed(2, lead("n2", 2)))
					synctest.Wait()
					require.Len(t, w.started(), 1)
				}
				w.b.Close()
				w.b.Close()
				require.Zero(t, w.lane.Snapshot().Held)
				err := w.lane.Do(bg, buffer.Request{}, w.handle("late"))
				var closed *buffer.ClosedError
				require.ErrorAs(t, err, &closed)
				require.ErrorIs(t, err, leadership.ErrClosed)
				require.True(t, leadership.NotExecuted(err))
				require.ErrorAs(t, w.b.Lane("new").Do(bg, buffer.Request{}, w.handle("late")), &closed)
				w.lane.Observe(routed(3, lead("n3", 3)))
				_, ok := w.lane.Pass()
				require.False(t, ok)
				w.wg.Wait()
				failed := 0
				for name, err := range w.errs {
					if err != nil {
						failed++
						require.ErrorAs(t, err, &closed, name)
					}
				}
				require.Equal(t, 6-len(w.started()), failed)
				require.NotContains(t, w.tried(), "late")
				require.Zero(t, w.lane.Snapshot().Bytes)
			})
		})
	}
}

func TestOutageCapCountsFromTheFirstHoldWhateverTheTerms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: 2 * time.Second, MaxOutage: 2 * time.Second})
		w.set(func() { w.serves = leadership.Leadership{} }) // nobody takes anything
		start := time.Now()
		w.startMany("r", 1)
		for n := uint64(2); n < 8; n++ { // a new leader each 300 ms, none of any use
			time.Sleep(300 * time.Millisecond)
			w.set(func() { w.refusal = &leadership.Refusal{Until: term(n + 1)} })
			w.lane.Observe(routed(n, lead("n2", n)))
			w.startMany(fmt.Sprintf("s%d-", n), 1)
		}
		w.wg.Wait()
		require.Equal(t, 2*time.Second, time.Since(start))
		outages := 0
		for name, err := range w.errs {
			require.True(t, leadership.NotExecuted(err), name)
			var out *buffer.OutageError
			if errors.As(err, &out) {
				outages++
				require.Equal(t, 2*time.Second, out.Outage)
			}
		}
		require.Equal(t, 6, outages, "the first ended by its age, at the same time")
		// From here on: a probe per arrival, others fail at once, and the lane
		// comes back by itself when the leader does.
		time.Sleep(time.Second)
		begin := time.Now()
		tries := len(w.tried())
		var out *buffer.OutageError
		require.ErrorAs(t, w.lane.Do(bg, buffer.Request{}, w.handle("x")), &out)
		require.ErrorAs(t, w.lane.Do(bg, buffer.Request{}, w.handle("y")), &out)
		require.Len(t, w.tried(), tries+1)
		require.Zero(t, time.Since(begin))
		time.Sleep(time.Second)
		w.crown(lead("n2", 7))
		require.NoError(t, w.lane.Do(bg, buffer.Request{}, w.handle("z")))
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		require.Zero(t, w.lane.Snapshot().OutageAge)
	})
}

func TestAgeIsEnforcedWhileFlushing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, Flush: buffer.Flush{Start: 1, Max: 1}})
		w.service = 400 * time.Millisecond
		w.refuse(2)
		start := time.Now()
		names := w.startMany("r", 10)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.wg.Wait()
		require.Equal(t, names[:3], w.started()) // at 0, 400 and 800 ms
		for _, name := range names[3:] {
			var age *buffer.AgeError
			require.ErrorAs(t, w.errs[name], &age)
			require.Equal(t, time.Second, w.ended[name].Sub(start))
		}
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestFlushStartsSlowAndDoublesToItsCap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.service = time.Millisecond
		w.refuse(2)
		w.startMany("r", 500)
		start := time.Now()
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		synctest.Wait()
		require.Equal(t, 4, w.load())
		w.done()
		require.LessOrEqual(t, time.Since(start), 20*time.Millisecond)
		require.Equal(t, 64, w.peak)
		require.Equal(t, 64, w.lane.Snapshot().Peak)
	})
}

func TestFlushWidensWhileLongRequestsAreUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.service = time.Minute
		w.refuse(2)
		w.startMany("r", 20)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		time.Sleep(50 * time.Millisecond)
		require.Len(t, w.started(), 20, "nobody waits for the first four to end")
		w.done()
	})
}

func TestG8_NothingIsLeftOfCallsThatPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		w.wg.Go(func() {
			defer func() { _ = recover() }()
			_ = w.lane.Do(bg, buffer.Request{Bytes: 5}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if to.Term == term(1) {
					return &leadership.Refusal{Term: term(1), Until: term(2)}
				}
				panic("a bug of the host")
			})
		})
		synctest.Wait()
		w.startMany("r", 3)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.Len(t, w.started(), 3)
	})
}
