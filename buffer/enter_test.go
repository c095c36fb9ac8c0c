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

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestTurnIsGivenAtOnceWhileTheLaneServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, buffer.Config{})
	turn, err := w.lane.Enter(bg, buffer.Request{})
	require.NoError(t, err)
	require.Equal(t, lead("n1", 1), turn.To())
	require.Equal(t, "n1:1", turn.Addr())
	require.True(t, turn.Current())
	w.lane.Observe(routed(2, lead("n2", 2)))
	require.False(t, turn.Current())
	turn.Done(nil)
	turn.Done(errors.New("again"))
	require.Equal(t, lead("n1", 1), turn.To())
	require.Zero(t, w.lane.Snapshot().Counters)
}

func TestTurnThatIsRefusedWaitsInItsOldPlaceWithItsOldAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, Flush: buffer.Flush{Start: 1, Max: 1}})
		start := time.Now()
		w.refuse(2)
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		first := make(chan error)
		got := make(chan leadership.Leadership, 1)
		again := make(chan struct{})
		go func() {
			turn, err := w.lane.Enter(bg, buffer.Request{Unit: true})
			if err == nil {
				got <- turn.To()
				<-again
				err = turn.Retry(bg, &leadership.Refusal{Term: turn.To().Term, Until: term(3)})
			}
			first <- err
			if err == nil {
				got <- turn.To()
			}
			turn.Done(err)
		}()
		synctest.Wait()
		w.startMany("b", 2)
		time.Sleep(600 * time.Millisecond)
		w.lane.Observe(routed(3, lead("n2", 2)))
		require.Equal(t, lead("n2", 2), <-got)
		w.lane.Observe(holding(4, lead("n2", 2), 3))
		again <- struct{}{}
		synctest.Wait()
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State)
		require.Equal(t, 3, w.lane.Snapshot().Held)
		require.Equal(t, 600*time.Millisecond, w.lane.Snapshot().HeadAge)
		var age *buffer.AgeError
		require.ErrorAs(t, <-first, &age, "its age is the old one")
		require.Equal(t, 1, age.Tries)
		require.Equal(t, time.Second, time.Since(start))
		w.wg.Wait()
	})
}

func TestTurnOutOfAHoldReleasesInOrderWithDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		var order []string
		for i := range 6 {
			name := fmt.Sprint(i)
			w.wg.Go(func() {
				if i%2 == 0 {
					turn, err := w.lane.Enter(bg, buffer.Request{Unit: true})
					w.set(func() { order = append(order, name) })
					turn.Done(err)
					return
				}
				_ = w.lane.Do(bg, buffer.Request{Unit: true}, func(context.Context, leadership.Leadership, string) error {
					w.set(func() { order = append(order, name) })
					return nil
				})
			})
			synctest.Wait()
		}
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		w.done()
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, order)
	})
}

func TestAnsweredUnitFreesItsFlushSlotAndItsPartOfTheCaps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		turns := make(chan buffer.Turn, 2)
		for range 2 {
			w.wg.Go(func() {
				turn, err := w.lane.Enter(bg, buffer.Request{Unit: true, Bytes: 10})
				if err != nil {
					t.Error(err)
				}
				turns <- turn
			})
		}
		synctest.Wait()
		w.lane.Observe(routed(3, lead("n2", 2)))
		synctest.Wait()
		require.Len(t, turns, 1, "one slot")
		first := <-turns
		require.Equal(t, int64(20), w.lane.Snapshot().Bytes)
		first.Answered()
		first.Answered()
		synctest.Wait()
		require.Len(t, turns, 1, "the slot is free for the next")
		require.Equal(t, int64(10), w.lane.Snapshot().Bytes)
		second := <-turns
		second.Done(nil)
		first.Done(nil)
		w.done()
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestAnsweredTurnThatIsRefusedWaitsAsANewRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		turn, err := w.lane.Enter(bg, buffer.Request{Unit: true})
		require.NoError(t, err)
		turn.Answered()
		time.Sleep(time.Minute)
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		w.wg.Go(func() {
			time.Sleep(5 * time.Second)
			w.lane.Observe(routed(3, lead("n2", 2)))
		})
		require.NoError(t, turn.Retry(bg, &leadership.Refusal{Term: term(1), Until: term(2)}))
		require.Equal(t, lead("n2", 2), turn.To())
		turn.Done(nil)
		w.done()
	})
}

func TestTurnThatIsNotRetriedStillTellsOfItsRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, buffer.Config{})
	turn, err := w.lane.Enter(bg, buffer.Request{})
	require.NoError(t, err)
	turn.Done(&leadership.Refusal{Term: term(1), Until: term(2)})
	s := w.lane.Snapshot()
	require.Equal(t, buffer.HoldAll, s.State)
	require.Equal(t, term(2), s.Refused)
	require.Zero(t, s.Held)
	require.Zero(t, s.Bytes)
}

func TestG9_TurnIsRetriedOnlyOnProof(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	for _, tc := range []struct {
		name       string
		err        error
		idempotent bool
		again      bool
	}{
		{"application error", errors.New("duplicate key"), false, false},
		{"application error, idempotent", errors.New("duplicate key"), true, false},
		{"unknown outcome", errors.Join(leadership.ErrUnknownOutcome, lost), false, false},
		{"unknown outcome, idempotent", leadership.ErrUnknownOutcome, true, true},
		{"failed dial", buffer.NotSent(lost), false, true},
		{"refusal of an older term", &leadership.Refusal{Term: term(1), Until: term(2)}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, buffer.Config{})
			turn, err := w.lane.Enter(bg, buffer.Request{Idempotent: tc.idempotent})
			require.NoError(t, err)
			w.lane.Observe(routed(2, lead("n2", 2)))
			err = turn.Retry(bg, tc.err)
			if !tc.again {
				require.Equal(t, tc.err, err)
				var over *buffer.TurnError
				err = turn.Retry(bg, buffer.NotSent(lost))
				require.ErrorAs(t, err, &over, "the turn is over")
				require.False(t, leadership.NotExecuted(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, lead("n2", 2), turn.To())
			turn.Done(nil)
		})
	}
}

func TestTurnErrorsKeepTheTruthAboutLostTries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second})
		turn, err := w.lane.Enter(bg, buffer.Request{Idempotent: true})
		require.NoError(t, err)
		w.refuse(2)
		w.start(bg, "b", buffer.Request{})
		err = turn.Retry(bg, leadership.ErrUnknownOutcome)
		var age *buffer.AgeError
		require.ErrorAs(t, err, &age)
		require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
		require.False(t, leadership.NotExecuted(err))
		w.wg.Wait()
	})
}

func TestMisusedTurnsGetATypedErrorOrDoNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var misuse *buffer.TurnError
		var nobody buffer.Turn
		nobody.Done(nil)
		nobody.Answered()
		require.False(t, nobody.Current())
		require.Zero(t, nobody.To())
		require.Empty(t, nobody.Addr())
		require.ErrorAs(t, nobody.Retry(bg, errors.New("x")), &misuse)
		require.ErrorAs(t, nobody.Retry(bg, nil), &misuse)

		w := newWorld(t, buffer.Config{Counted: true})
		var bad *buffer.RequestError
		_, err := w.lane.Enter(bg, buffer.Request{Bytes: -1})
		require.ErrorAs(t, err, &bad)

		turn, err := w.lane.Enter(bg, buffer.Request{})
		require.NoError(t, err)
		require.ErrorAs(t, turn.Retry(bg, nil), &misuse)
		turn.Answered()
		require.ErrorAs(t, turn.Retry(bg, nil), &misuse)

		// Two copies of a turn that was held, and of one that was not.
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		held := make(chan buffer.Turn, 1)
		go func() {
			turn, err := w.lane.Enter(bg, buffer.Request{Bytes: 3})
			if err != nil {
				t.Error(err)
			}
			held <- turn
		}()
		synctest.Wait()
		w.lane.Observe(routed(3, lead("n2", 2)))
		a := <-held
		b := a
		c, err := w.lane.Enter(bg, buffer.Request{})
		require.NoError(t, err)
		d := c
		for _, x := range []*buffer.Turn{&a, &b, &c, &d} {
			x.Done(nil)
		}
		require.Zero(t, w.lane.Snapshot().Bytes)
		w.lane.Observe(intent(4, lead("n2", 2), 4, leadership.Holding, time.Minute))
		require.NoError(t, w.lane.Quiesced(bg, term(4)), "the count is zero, not below")
		w.done()
	})
}

func TestPanicInARequestFunctionEndsItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, counted := range []bool{false, true} {
			w := newWorld(t, buffer.Config{Counted: counted, Flush: buffer.Flush{Start: 1, Max: 1}})
			boom := func(context.Context, leadership.Leadership, string) error { panic("boom") }
			w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
			w.wg.Go(func() {
				defer func() { _ = recover() }()
				_ = w.lane.Do(bg, buffer.Request{Unit: true}, boom)
			})
			synctest.Wait()
			w.startMany("b", 1)
			w.crown(lead("n2", 2))
			w.lane.Observe(routed(3, lead("n2", 2)))
			w.done()
			func() {
				defer func() { _ = recover() }()
				_ = w.lane.Do(bg, buffer.Request{Unit: true}, boom)
			}()
			if counted {
				w.lane.Observe(intent(4, lead("n2", 2), 4, leadership.Holding, time.Minute))
				require.NoError(t, w.lane.Quiesced(bg, term(4)))
			}
		}
	})
}

func TestChangedTellsOfEveryChangeOfStateLeadershipAndAnnouncement(t *testing.T) {
	t.Parallel()
	w := newWorld(t, buffer.Config{})
	l := w.lane
	for _, step := range []struct {
		name      string
		do        func()
		changes   bool
		announced leadership.Term
		leader    leadership.Leadership
	}{
		{"the same again", func() { l.Observe(routed(2, lead("n1", 1))) }, false, term(0), lead("n1", 1)},
		{"preparing", func() { l.Observe(intent(3, lead("n1", 1), 2, leadership.Preparing, time.Minute)) }, false, term(0), lead("n1", 1)},
		{"holding", func() { l.Observe(intent(4, lead("n1", 1), 2, leadership.Holding, time.Minute)) }, true, term(2), lead("n1", 1)},
		{"holding still", func() { l.Observe(intent(5, lead("n1", 1), 2, leadership.Holding, time.Minute)) }, false, term(2), lead("n1", 1)},
		{"for another change", func() { l.Observe(intent(6, lead("n1", 1), 3, leadership.Holding, time.Minute)) }, true, term(3), lead("n1", 1)},
		{"new leader", func() { l.Observe(routed(7, lead("n2", 3))) }, true, term(0), lead("n2", 3)},
		{"learned", func() { l.Learn(lead("n1", 4), "") }, true, term(0), lead("n1", 4)},
		{"its address", func() { l.Learn(lead("n1", 4), "n1:7") }, true, term(0), lead("n1", 4)},
		{"holding again", func() { l.Observe(intent(8, lead("n1", 4), 5, leadership.Holding, time.Minute)) }, true, term(5), lead("n1", 4)},
		{"closed", func() { w.b.Close() }, true, term(0), lead("n1", 4)},
	} {
		ch := l.Changed()
		require.Equal(t, ch, l.Changed(), "one channel for all who ask")
		step.do()
		require.Equal(t, step.changes, isClosed(ch), step.name)
		require.Equal(t, step.announced, l.Announced(), step.name)
		to, _ := l.Leader()
		require.Equal(t, step.leader, to, step.name)
	}
}

// What a held turn was waiting in is used again, by another request. A copy of the
// turn that ended must not end that one.
func TestACopyOfAnEndedTurnEndsNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		version := uint64(1)
		held := func() buffer.Turn {
			version += 2
			w.lane.Observe(intent(version-1, lead("n1", version-2), version, leadership.Holding, time.Minute))
			turns := make(chan buffer.Turn, 1)
			go func() {
				turn, err := w.lane.Enter(bg, buffer.Request{Bytes: 1, Unit: true})
				if err != nil {
					t.Error(err)
				}
				turns <- turn
			}()
			synctest.Wait()
			w.lane.Observe(routed(version, lead("n1", version)))
			return <-turns
		}
		for range 50 { // the pool gives the same one again most of the time
			first := held()
			again := first
			first.Done(nil)
			second := held()
			require.Equal(t, int64(1), w.lane.Snapshot().Bytes)
			again.Done(nil)
			var misuse *buffer.TurnError
			require.ErrorAs(t, again.Retry(bg, errors.New("x")), &misuse)
			require.Equal(t, int64(1), w.lane.Snapshot().Bytes, "the second has not ended")
			second.Done(nil)
			require.Zero(t, w.lane.Snapshot().Bytes)
		}
		w.done()
	})
}
