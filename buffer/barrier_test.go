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

func TestARouterAcksAChangeWhenTheLastOlderRequestIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		c.service = 300 * time.Millisecond
		c.join()
		require.Equal(t, buffer.Serving, c.state())
		require.Equal(t, []error{nil}, c.told())
		c.start(bg, "a", buffer.Request{})
		require.Equal(t, r1, c.late(2).Late)
		c.lane.Observe(held(2, lead("n1", 1), 2))
		c.start(bg, "b", buffer.Request{})
		require.Equal(t, r1, c.late(2).Late)
		start := time.Now()
		rc, err := c.barrier.b.Wait(bg, term(2))
		require.NoError(t, err)
		require.Equal(t, r1, rc.Quiet)
		require.Equal(t, 300*time.Millisecond, time.Since(start))
		require.Equal(t, []string{"a"}, c.started())

		// Undone: it serves again, under a new term, and acks the next change.
		c.crown(lead("n1", 3))
		c.lane.Observe(routed(3, lead("n1", 3)))
		require.Equal(t, []string{"a", "b"}, c.started())
		c.start(bg, "c", buffer.Request{})
		require.Equal(t, []string{"a", "b", "c"}, c.started())
		c.lane.Observe(held(4, lead("n1", 3), 4))
		require.Equal(t, r1, c.late(4).Late)
		_, err = c.barrier.b.Wait(bg, term(4))
		require.NoError(t, err)
		c.lane.Observe(routed(5, lead("n1", 3)))
		why := errors.New("bye")
		require.ErrorIs(t, c.leaves(why), why)
	})
}

func TestARouterIsQuietWhenAllItsLanesAre(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		second := c.b.Lane("second")
		second.Observe(routed(1, lead("n1", 1)))
		c.join(second)
		turn, err := second.Enter(bg, buffer.Request{})
		require.NoError(t, err)
		c.lane.Observe(held(2, lead("n1", 1), 2))
		require.Equal(t, r1, c.late(2).Late, "the second lane has not heard of it")
		second.Observe(held(2, lead("n1", 1), 2))
		require.Equal(t, r1, c.late(2).Late, "a request is in flight on the second lane")
		turn.Done(nil)
		require.Equal(t, r1, c.late(2).Quiet)
	})
}

func TestLanesHoldFromJoinUntilARecordWasLoadedUnderTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		c.reg.put(held(2, lead("n1", 1), 2)) // of which the lane has not heard
		c.reg.fail(errors.New("no answer"))
		c.join()
		c.start(bg, "a", buffer.Request{})
		time.Sleep(3 * clubTTL)
		require.Empty(t, c.started(), "it is counted, and has not looked what was announced before")
		require.Empty(t, c.told())
		c.reg.fail(nil)
		time.Sleep(clubTTL)
		require.Equal(t, []error{nil}, c.told())
		require.Empty(t, c.started(), "a change was announced before it joined")
		require.Equal(t, r1, c.late(2).Quiet)
		c.crown(lead("n2", 2))
		c.lane.Observe(routed(3, lead("n2", 2)))
		require.Equal(t, []string{"a"}, c.started())
		_ = c.leaves(nil)
	})
}

func TestLanesHoldBeforeTheLeaseHasLapsedAndGoOnWhenItIsBack(t *testing.T) {
	for name, hangs := range map[string]bool{"out of reach": false, "hanging": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newClub(t)
				down := errors.New("out of reach")
				c.join() // renewed at 0
				back := make(chan struct{})
				c.barrier.set(func() {
					c.barrier.err = down
					if hangs {
						c.barrier.err, c.barrier.hang = nil, back
					}
				})
				time.Sleep(clubTTL*4/5 - time.Millisecond)
				c.start(bg, "a", buffer.Request{})
				require.Equal(t, []string{"a"}, c.started())
				time.Sleep(2 * time.Millisecond)
				require.Equal(t, buffer.HoldAll, c.state(), "the lease lapses in a fifth of its TTL")
				require.Len(t, c.told(), 2)
				if !hangs {
					require.ErrorIs(t, c.told()[1], down)
				}
				c.start(bg, "b", buffer.Request{})
				time.Sleep(clubTTL)
				require.Equal(t, []string{"a"}, c.started(), "nothing is sent without a lease, not even a probe")

				c.reg.put(held(2, lead("n1", 1), 2)) // which the lane could not hear either
				c.barrier.set(func() { c.barrier.err, c.barrier.hang = nil, nil })
				close(back)
				time.Sleep(clubTTL / 2)
				require.Equal(t, []string{"a"}, c.started())
				require.Nil(t, c.told()[2])
				require.Equal(t, r1, c.late(2).Quiet)
				c.lane.Observe(routed(3, lead("n1", 1)))
				require.Equal(t, []string{"a", "b"}, c.started())
				_ = c.leaves(nil)
			})
		})
	}
}

// The other side may have counted from the moment in which it was asked.
func TestALeaseCountsFromWhenItWasAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		c.barrier.slow = clubTTL / 5
		c.join()
		time.Sleep(clubTTL / 5) // the answer
		require.Equal(t, buffer.Serving, c.state())
		c.barrier.set(func() { c.barrier.err = errors.New("out of reach") })
		time.Sleep(clubTTL*3/5 - time.Millisecond)
		require.Equal(t, buffer.Serving, c.state())
		time.Sleep(time.Millisecond)
		require.Equal(t, buffer.HoldAll, c.state())
	})
}

func TestARecordThatWasLoadedUnderALeaseThatIsOverIsOutOfDate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		back := make(chan struct{})
		c.reg.hang = back
		c.join()
		c.start(bg, "a", buffer.Request{})
		time.Sleep(2 * clubTTL)
		c.reg.put(held(2, lead("n1", 1), 2))
		rc := c.late(2)
		require.Empty(t, rc.Late)
		require.Equal(t, r1, rc.Lapsed, "a coordinator goes on")
		c.reg.mu.Lock()
		c.reg.hang = nil
		c.reg.mu.Unlock()
		close(back) // the record of before
		synctest.Wait()
		time.Sleep(clubTTL)
		require.Empty(t, c.started())
		require.Equal(t, r1, c.late(2).Quiet)
		c.lane.Observe(routed(3, lead("n1", 1)))
		require.Equal(t, []string{"a"}, c.started())
	})
}

func TestALeaseThatTheBarrierLostIsANewOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		c.join()
		c.lane.Observe(held(2, lead("n1", 1), 2))
		require.Equal(t, r1, c.late(2).Quiet)
		c.reg.fail(errors.New("no answer"))
		c.barrier.set(func() { c.barrier.b = &leadership.MemoryBarrier{} })
		time.Sleep(clubTTL / 2)
		require.Equal(t, r1, c.late(2).Quiet, "the term is acked again")
		c.lane.Observe(routed(3, lead("n1", 1)))
		require.Equal(t, buffer.HoldAll, c.state(), "others may have changed what it does not know of")
		var lapsed *leadership.RouterLapsedError
		require.ErrorAs(t, c.told()[1], &lapsed)
		c.reg.put(routed(3, lead("n1", 1)))
		c.reg.fail(nil)
		time.Sleep(clubTTL)
		require.Equal(t, buffer.Serving, c.state())
		_ = c.leaves(nil)
	})
}

func TestJoinGivesTheLeaseBackUnlessRequestsAreInFlight(t *testing.T) {
	for name, busy := range map[string]bool{"quiet": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newClub(t)
				c.service = 10 * time.Second
				c.join()
				if busy {
					c.start(bg, "a", buffer.Request{})
				}
				why := errors.New("shutting down")
				require.ErrorIs(t, c.leaves(why), why)
				require.Equal(t, buffer.HoldAll, c.state(), "nothing is sent after the lease was given back")
				start := time.Now()
				rc, err := c.barrier.b.Wait(bg, term(2))
				require.NoError(t, err)
				if !busy {
					require.Zero(t, time.Since(start))
					require.True(t, rc.AllQuiet())
					return
				}
				require.Equal(t, clubTTL, time.Since(start))
				require.Equal(t, r1, rc.Lapsed)
				c.join()
				require.Equal(t, buffer.Serving, c.state())
				_ = c.leaves(nil)
				c.wg.Wait()
			})
		})
	}
}

func TestJoinEndsWithItsContextAlthoughNobodyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) { // a goroutine left behind fails the bubble
		c := newClub(t)
		c.barrier.b = deaf{}
		c.join()
		start := time.Now()
		why := errors.New("shutting down")
		require.ErrorIs(t, c.leaves(why), why)
		require.LessOrEqual(t, time.Since(start), clubTTL/4)
	})
}

// deaf never answers, and minds contexts.
type deaf struct{ leadership.Barrier }

func (deaf) Join(ctx context.Context, _ leadership.RouterLease) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

func (deaf) Leave(ctx context.Context, _ leadership.RouterLease) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestJoinEndsWhenTheBufferOrTheBarrierIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		c.join()
		c.b.Close()
		var closed *buffer.ClosedError
		require.ErrorAs(t, <-c.ended, &closed)
		require.True(t, c.late(2).AllQuiet())

		c = newClub(t)
		c.join()
		require.NoError(t, c.barrier.b.(*leadership.MemoryBarrier).Close())
		require.ErrorIs(t, <-c.ended, leadership.ErrClosed)
	})
}

func TestARouterWhoseNameIsTakenHoldsUntilItIsFree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		_, err := c.barrier.b.Join(bg, leadership.RouterLease{Router: "r1", Session: "an earlier run", TTL: 2 * clubTTL})
		require.NoError(t, err)
		c.join()
		time.Sleep(2*clubTTL - time.Millisecond)
		require.Equal(t, buffer.HoldAll, c.state())
		time.Sleep(clubTTL / 4)
		require.Equal(t, buffer.Serving, c.state())
		_ = c.leaves(nil)
	})
}

func TestG10_JoinRefusesWhatCannotWork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClub(t)
		uncounted := newWorld(t, buffer.Config{})
		dry := newWorld(t, buffer.Config{Counted: true, DryRun: true})
		other := newClub(t)
		r := buffer.Router{ID: "r1"}
		c.join()
		for field, err := range map[string]error{
			"barrier":  c.b.Join(bg, nil, c.reg, r, c.lane),
			"registry": c.b.Join(bg, c.barrier, nil, r, c.lane),
			"Counted":  uncounted.b.Join(bg, c.barrier, c.reg, r, uncounted.lane),
			"DryRun":   dry.b.Join(bg, c.barrier, c.reg, r, dry.lane),
			"lanes":    c.b.Join(bg, c.barrier, c.reg, r),
			"lanes ":   c.b.Join(bg, c.barrier, c.reg, r, nil),
			"lanes  ":  c.b.Join(bg, c.barrier, c.reg, r, other.lane),
			"lanes   ": c.b.Join(bg, c.barrier, c.reg, r, c.b.Lane("another"), c.lane),
		} {
			var no *buffer.ConfigError
			require.ErrorAs(t, err, &no, field)
			require.Contains(t, field, no.Field)
		}
		for _, r := range []buffer.Router{{}, {ID: "a b"}, {ID: "a", TTL: -1}, {ID: "a", TTL: time.Millisecond}, {ID: "a", TTL: 24 * time.Hour}} {
			var no *leadership.RouterLeaseError
			require.ErrorAs(t, other.b.Join(bg, c.barrier, c.reg, r, other.lane), &no)
		}
		require.Equal(t, buffer.Serving, c.state())
		require.Equal(t, buffer.Serving, other.state(), "what is refused touches nothing")
		other.barrier = c.barrier
		other.join()
		require.Equal(t, buffer.HoldAll, other.state(), "the name is taken")
		_ = other.leaves(nil)
		_ = c.leaves(nil)
	})
}
