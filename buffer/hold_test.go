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

var bg = context.Background()

func TestHeldRequestsAreReleasedInOrderWhenTheNextLeaderIsRouted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		names := w.startMany("r", 50)
		require.Equal(t, 50, w.lane.Snapshot().Held)
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.Equal(t, names, w.started())
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		r, ok := w.lane.Pass()
		to := r.To()
		require.True(t, ok)
		require.Equal(t, lead("n2", 2), to)
	})
}

func TestErrorOfTheOldTermAfterTheFlushStartsNoHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		late := make(chan error)
		var got []leadership.Leadership
		w.wg.Add(1)
		go func() {
			defer w.wg.Done()
			err := w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
				got = append(got, to)
				if to.Term == term(1) {
					return <-late
				}
				return nil
			})
			require.NoError(t, err)
		}()
		synctest.Wait() // it is at the old leader
		w.refuse(2)
		w.startMany("r", 3)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		synctest.Wait()
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		start := time.Now()
		late <- &leadership.Refusal{Term: term(1), Until: term(3)} // it even knows of a later attempt
		w.done()
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		require.Equal(t, []leadership.Leadership{lead("n1", 1), lead("n2", 2)}, got)
		require.Zero(t, time.Since(start), "re-routed at once")
	})
}

func TestRefusalThatWasUnderWayWhileTheSameTermResumedStartsNoHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		late := make(chan error)
		first := true
		w.wg.Add(1)
		go func() {
			defer w.wg.Done()
			require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(context.Context, leadership.Leadership, string) error {
				if first {
					first = false
					return <-late
				}
				return nil
			}))
		}()
		synctest.Wait()
		w.refuse(2) // a drain that will expire at the node
		w.startMany("r", 3)
		w.refuse(0)
		time.Sleep(time.Second)
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State, "a probe found out")
		late <- &leadership.Refusal{Term: term(1), Until: term(2)}
		synctest.Wait()
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		w.done()
	})
}

func TestSpuriousErrorOfAHealthyLeaderIsReturnedAndStallsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		start := time.Now()
		boom := errors.New("server has read-only mode set (1290)")
		err := w.lane.Do(bg, buffer.Request{}, func(context.Context, leadership.Leadership, string) error { return boom })
		require.Same(t, boom, err)
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		w.startMany("r", 10)
		w.done()
		require.Zero(t, time.Since(start))
	})
}

func TestObservationsMayBeLostDoubledOrReordered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		announce := intent(3, lead("n1", 1), 2, leadership.Holding, time.Minute)
		done := routed(5, lead("n2", 2))
		w.crown(lead("n2", 2))
		// The announcement was lost, the result comes first, then old news.
		w.lane.Observe(done)
		w.lane.Observe(announce)
		w.lane.Observe(done)
		w.lane.Observe(routed(4, lead("n1", 1)))
		w.lane.Observe(leadership.Record{})
		require.EqualValues(t, 4, w.lane.Snapshot().Stale)
		r, ok := w.lane.Pass()
		to := r.To()
		require.True(t, ok)
		require.Equal(t, lead("n2", 2), to)
		w.startMany("r", 3)
		w.done()
		// A newer version is taken even when it says nothing new.
		w.lane.Observe(routed(9, lead("n2", 2)))
		require.EqualValues(t, 4, w.lane.Snapshot().Stale)
	})
}

func TestSecondFailoverOneMillisecondAfterTheFirstIsHeldToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.refuse(2)
		w.startMany("a", 5)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		synctest.Wait()
		time.Sleep(time.Millisecond)
		w.refuse(3)
		w.startMany("b", 5)
		require.Equal(t, 5, w.lane.Snapshot().Held)
		time.Sleep(10 * time.Millisecond)
		w.crown(lead("n3", 3))
		w.lane.Observe(routed(3, lead("n3", 3)))
		w.done()
		require.Len(t, w.started(), 10)
	})
}

func TestUndoToTheSameLeaderReleasesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		w.refuse(2)
		w.startMany("r", 5)
		require.Equal(t, 5, w.lane.Snapshot().Held)
		time.Sleep(15 * time.Millisecond)
		start := time.Now()
		w.crown(lead("n1", 3)) // the undo took a new term
		w.lane.Observe(routed(3, lead("n1", 3)))
		w.done()
		require.Less(t, time.Since(start), 5*time.Millisecond)
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestLanesRecoverIndependently(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		other := w.b.Lane("other")
		other.Observe(routed(1, lead("m1", 1)))
		other.Observe(intent(2, lead("m1", 1), 2, leadership.Holding, 3*time.Second))
		w.refuse(2)
		w.startMany("r", 3)
		w.wg.Add(1)
		var ended time.Time
		go func() {
			defer w.wg.Done()
			require.NoError(t, other.Do(bg, buffer.Request{Unit: true}, func(context.Context, leadership.Leadership, string) error { return nil }))
			ended = time.Now()
		}()
		synctest.Wait()
		start := time.Now()
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		synctest.Wait()
		require.Zero(t, w.lane.Snapshot().Held)
		require.Equal(t, 1, other.Snapshot().Held)
		require.Zero(t, time.Since(start))
		w.done()
		require.Equal(t, 3*time.Second, ended.Sub(start), "the other lane probed when HoldFor had passed")
	})
}

func TestArrivalsDuringAFlushQueueBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.service = time.Millisecond
		w.refuse(2)
		names := w.startMany("a", 20)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		for range 5 {
			time.Sleep(time.Millisecond)
			require.True(t, w.lane.Snapshot().Flushing)
			_, ok := w.lane.Pass()
			require.False(t, ok, "nobody passes those who wait")
		}
		names = append(names, w.startMany("b", 5)...)
		w.done()
		require.Equal(t, names, w.started())
	})
}

func TestLeaderThatRefusesAgainInMidFlushGetsThemInTheSameOrderLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 4, Max: 4}})
		w.service = time.Millisecond
		w.refuse(2)
		names := w.startMany("r", 40)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(2, lead("n2", 2)))
		time.Sleep(4500 * time.Microsecond)
		w.refuse(3)
		time.Sleep(10 * time.Millisecond)
		s := w.lane.Snapshot()
		require.False(t, s.Flushing)
		require.Equal(t, 40-len(w.started()), s.Held, "all that were refused are back")
		require.Len(t, w.started(), 20)
		tries := len(w.tried())
		w.crown(lead("n3", 3))
		w.lane.Observe(routed(3, lead("n3", 3)))
		w.done()
		require.ElementsMatch(t, names, w.started())
		for i, name := range w.started() {
			// Within one batch of four, goroutines start in any order.
			require.InDelta(t, i/4, index(names, name)/4, 0, "%s started as number %d", name, i)
		}
		require.Greater(t, tries, 20)
	})
}

func index(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

func TestPutBackGoesToItsExactPlaceWithItsOriginalAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: 10 * time.Second, Flush: buffer.Flush{Start: 1, Max: 1}})
		w.refuse(2)
		start := time.Now()
		w.startMany("r", 3)
		time.Sleep(900 * time.Millisecond) // many probes by the first
		require.Greater(t, len(w.tried()), 30)
		for _, name := range w.tried()[3:] {
			require.Equal(t, "r0000", name, "the head alone is tried")
		}
		w.wg.Wait()
		for name, err := range w.errs {
			var age *buffer.AgeError
			require.ErrorAs(t, err, &age, name)
			require.Equal(t, time.Second, age.Waited)
			require.True(t, leadership.NotExecuted(err))
		}
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestSinglesPassWhileUnitsAreHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		require.Equal(t, buffer.HoldUnits, w.lane.Snapshot().State)
		w.start(bg, "unit", buffer.Request{Unit: true})
		w.start(bg, "single", buffer.Request{})
		require.Equal(t, []string{"single"}, w.started())
		w.refuse(2)
		w.start(bg, "late", buffer.Request{})
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State)
		require.Equal(t, 2, w.lane.Snapshot().Held)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		w.done()
		require.Len(t, w.started(), 3)
	})
}

func TestPreparingHoldsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Preparing, time.Minute))
		w.start(bg, "unit", buffer.Request{Unit: true})
		require.Equal(t, []string{"unit"}, w.started())
	})
}

func TestRefusalAtTheServedTermIsProbedAfterRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.set(func() {
			w.refusal = &leadership.Refusal{Term: term(1), Until: term(1), RetryAfter: 300 * time.Millisecond}
		})
		start := time.Now()
		names := w.startMany("r", 5)
		require.Len(t, w.tried(), 1, "the others are held, not tried")
		w.refuse(0)
		w.done()
		require.Equal(t, 300*time.Millisecond, time.Since(start))
		require.Equal(t, names[0], w.started()[0])
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestRefusalWithoutATermOrADelayIsProbedSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.set(func() { w.refusal = &leadership.Refusal{} })
		start := time.Now()
		w.startMany("r", 2)
		time.Sleep(100 * time.Millisecond)
		w.refuse(0)
		w.done()
		require.Less(t, time.Since(start), 130*time.Millisecond)
	})
}

func TestStaleTermIsARefusalForTheTermPromised(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.wg.Add(1)
		go func() {
			defer w.wg.Done()
			require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if to.Term == term(1) {
					return &leadership.StaleTermError{Node: "n1", Asked: to.Term, Promised: term(2)}
				}
				return nil
			}))
		}()
		synctest.Wait()
		require.Equal(t, term(2), w.lane.Snapshot().Refused)
		w.lane.Learn(lead("n2", 2), "n2:1")
		w.done()
		require.Equal(t, "n2:1", w.lane.Snapshot().Addr)
	})
}
