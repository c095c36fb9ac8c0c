package buffer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// quiesce waits for Quiesced in a goroutine of its own.
func quiesce(ctx context.Context, l *buffer.Lane, n uint64) chan error {
	ch := make(chan error, 1)
	go func() { ch <- l.Quiesced(ctx, term(n)) }()
	synctest.Wait()
	return ch
}

func holding(version uint64, l leadership.Leadership, n uint64) leadership.Record {
	return intent(version, l, n, leadership.Holding, time.Minute)
}

func TestCountedLaneHoldsSinglesAsSoonAsAChangeIsAnnounced(t *testing.T) {
	t.Parallel()
	for _, counted := range []bool{false, true} {
		w := newWorld(t, buffer.Config{Counted: counted})
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		want := buffer.HoldUnits
		if counted {
			want = buffer.HoldAll
		}
		require.Equal(t, want, w.lane.Snapshot().State)
	}
}

func TestQuiescedWaitsForTheLastDoneOfEveryOlderTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		first, err := w.lane.Enter(bg, buffer.Request{})
		require.NoError(t, err)
		w.lane.Observe(routed(2, lead("n2", 2)))
		second, err := w.lane.Enter(bg, buffer.Request{Unit: true})
		require.NoError(t, err)
		second.Answered()
		w.lane.Observe(holding(3, lead("n2", 2), 3))
		older, newer := quiesce(bg, w.lane, 2), quiesce(bg, w.lane, 3)
		first.Done(errors.New("whatever"))
		synctest.Wait()
		require.NoError(t, <-older)
		require.Empty(t, newer)
		second.Done(nil)
		synctest.Wait()
		require.NoError(t, <-newer)
	})
}

func TestQuiescedCountsWhatDoRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		w.service = time.Second
		w.start(bg, "a", buffer.Request{})
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		start := time.Now()
		require.NoError(t, w.lane.Quiesced(bg, term(2)))
		require.Equal(t, time.Second, time.Since(start))
		w.done()
	})
}

func TestQuiescedWaitsForAnAnnouncementThatIsNotSeenYet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		ch := quiesce(bg, w.lane, 2)
		require.Empty(t, ch, "nothing is in flight, but anything may begin")
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Preparing, time.Minute))
		synctest.Wait()
		require.Empty(t, ch, "preparing")
		w.lane.Observe(holding(3, lead("n1", 1), 2))
		synctest.Wait()
		require.NoError(t, <-ch)
	})
}

func TestQuiescedIsNotSpuriousWhenTheHoldIsGivenUp(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(l *buffer.Lane)
		ok   bool
	}{
		{"cleared", func(l *buffer.Lane) { l.Observe(routed(3, lead("n1", 1))) }, false},
		{"HoldFor passed", func(*buffer.Lane) { time.Sleep(time.Minute) }, false},
		{"undone at a higher term", func(l *buffer.Lane) { l.Observe(routed(3, lead("n1", 3))) }, true},
		{"superseded by a later change", func(l *buffer.Lane) { l.Observe(holding(3, lead("n1", 1), 5)) }, true},
		{"the buffer is closed", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{Counted: true})
				turn, err := w.lane.Enter(bg, buffer.Request{})
				require.NoError(t, err)
				w.lane.Observe(holding(2, lead("n1", 1), 2))
				ch := quiesce(bg, w.lane, 2)
				if tc.do == nil {
					w.b.Close()
				} else {
					tc.do(w.lane)
				}
				synctest.Wait()
				if tc.ok {
					require.Empty(t, ch, "the turn is still out")
					turn.Done(nil)
					require.NoError(t, <-ch)
					return
				}
				var gone *buffer.NotHoldingError
				require.ErrorAs(t, <-ch, &gone)
				require.Equal(t, 1, gone.InFlight)
				require.Equal(t, lead("n1", 1), gone.Serving)
				turn.Done(nil)
			})
		})
	}
}

func TestQuiescedIsNotMistakenByAProbeOfTheOldLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		w.service = 10 * time.Second
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, 100*time.Millisecond))
		w.start(bg, "probe", buffer.Request{})
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, []string{"probe"}, w.started())
		w.lane.Observe(holding(3, lead("n1", 1), 3))
		start := time.Now()
		require.NoError(t, w.lane.Quiesced(bg, term(3)))
		require.Equal(t, 9900*time.Millisecond, time.Since(start))
		w.done()
	})
}

func TestQuiescedEndsWithItsContextAndRefusesBadInput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(bg)
		ch := quiesce(ctx, w.lane, 9)
		cancel(why)
		require.Equal(t, why, <-ch)
		var bad *buffer.ConfigError
		require.ErrorAs(t, w.lane.Quiesced(bg, leadership.Term{}), &bad)
		require.ErrorAs(t, newWorld(t, buffer.Config{}).lane.Quiesced(bg, term(1)), &bad)
	})
}

func TestRetriedTurnIsCountedAtItsNewTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		turn, err := w.lane.Enter(bg, buffer.Request{})
		require.NoError(t, err)
		w.lane.Observe(routed(2, lead("n2", 2)))
		require.NoError(t, turn.Retry(bg, &leadership.Refusal{Term: term(1), Until: term(2)}))
		require.NoError(t, w.lane.Quiesced(bg, term(2)))
		w.lane.Observe(holding(3, lead("n2", 2), 3))
		ch := quiesce(bg, w.lane, 3)
		require.Empty(t, ch)
		turn.Done(nil)
		require.NoError(t, <-ch)
	})
}

func TestTurnThatWaitsIsNotInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		w.startMany("b", 3)
		require.NoError(t, w.lane.Quiesced(bg, term(2)))
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		w.done()
	})
}

func TestTurnThatIsGivenBackIsNotInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for range 50 {
			w := newWorld(t, buffer.Config{Counted: true, Flush: buffer.Flush{Start: 1, Max: 1}})
			w.lane.Observe(holding(2, lead("n1", 1), 2))
			ctx, cancel := context.WithCancel(bg)
			w.start(ctx, "x", buffer.Request{})
			w.crown(lead("n2", 2))
			w.lane.Observe(routed(3, lead("n2", 2)))
			cancel() // it is released and has not looked yet
			w.wg.Wait()
			w.lane.Observe(holding(4, lead("n2", 2), 3))
			ended, stop := context.WithCancel(bg)
			stop()
			require.NoError(t, w.lane.Quiesced(ended, term(3)))
		}
	})
}

func TestAnEntryIsInFlightUntilItLeavesAndNoneIsGivenWhileTheLaneHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		e, ok := w.lane.TryEnter()
		require.True(t, ok)
		require.Equal(t, lead("n1", 1), e.To())
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		_, ok = w.lane.TryEnter()
		require.False(t, ok)
		quiet := quiesce(bg, w.lane, 2)
		require.Empty(t, quiet)
		e.Leave()
		e.Leave()
		synctest.Wait()
		require.NoError(t, <-quiet)
		require.Zero(t, w.lane.Snapshot().Counters.Held)

		w.lane.Observe(routed(3, lead("n2", 2)))
		other, ok := w.lane.TryEnter()
		require.True(t, ok)
		e.Leave()
		w.lane.Observe(holding(4, lead("n2", 2), 3))
		quiet = quiesce(bg, w.lane, 3)
		require.Empty(t, quiet, "a second Leave must not stand for another entry's")
		other.Leave()
		synctest.Wait()
		require.NoError(t, <-quiet)
	})
}

func TestAnEntryOfALaneThatDoesNotCountIsAPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, buffer.Config{})
	e, ok := w.lane.TryEnter()
	require.True(t, ok)
	require.Equal(t, "n1:1", e.Addr())
	e.Leave()
	var nobodys buffer.Entry
	nobodys.Leave()
	w.b.Close()
	_, ok = w.lane.TryEnter()
	require.False(t, ok)
}
