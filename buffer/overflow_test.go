package buffer_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// The bugs that buffers have had, and the test of this package for each:
//
//	an error that comes late, after the flush   TestErrorOfTheOldTermAfterTheFlushStartsNoHold
//	a spurious error with a healthy leader      TestSpuriousErrorOfAHealthyLeaderIsReturnedAndStallsNobody
//	observations lost, doubled, reordered       TestObservationsMayBeLostDoubledOrReordered
//	a second failover 1ms after the first       TestSecondFailoverOneMillisecondAfterTheFirstIsHeldToo
//	a rollback to the same leader               TestUndoToTheSameLeaderReleasesAtOnce
//	two lanes, one recovers                     TestLanesRecoverIndependently
//	arrival between state check and enqueue     TestArrivalsRacingWithChangesAreNeverLost
//	arrivals during the flush                   TestArrivalsDuringAFlushQueueBehind
//	the leader refuses again mid-flush          TestLeaderThatRefusesAgainInMidFlushGetsThemInTheSameOrderLater
//	a deadline shorter than the outage          TestDeadlineShorterThanTheOutageEndsTheHoldAtTheDeadline
//	a cancel storm of 100,000                   TestCancelStormLeavesNothingBehind
//	overflow 10 times over                      TestOverflowTenTimesOverStartsNoGoroutine
//	one lane fills the buffer                   TestOneLaneFillsTheBufferAndAnotherKeepsItsShare
//	Close during a hold, and during a flush     TestCloseFailsAllHeldInEveryState

// Not parallel, since it counts all goroutines of the process.
func TestOverflowTenTimesOverStartsNoGoroutine(t *testing.T) {
	for _, o := range []buffer.Overflow{buffer.RejectNew, buffer.EvictOldest, buffer.EvictLowestPriority, buffer.EvictNearestDeadline} {
		t.Run(o.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 1000
				w := newWorld(t, buffer.Config{MaxHeld: size, Overflow: o})
				w.refuse(2)
				ctx, cancel := context.WithTimeout(bg, time.Hour)
				defer cancel()
				base := runtime.NumGoroutine()
				most := 0
				for i := range 100 {
					for j := range 10 * size / 100 {
						w.wg.Go(func() {
							p := buffer.Priority(i*7/100) + buffer.MinPriority
							ctx, cancel := context.WithDeadline(ctx, time.Now().Add(time.Duration(i*100+j+1)*time.Second))
							defer cancel()
							err := w.lane.Do(ctx, buffer.Request{Priority: p}, w.handle("x"))
							if err != nil && !leadership.NotExecuted(err) {
								t.Error(err)
							}
						})
					}
					synctest.Wait()
					s := w.lane.Snapshot()
					most = max(most, runtime.NumGoroutine()-base-s.Held)
				}
				require.LessOrEqual(t, most, size/10, "beyond one for each that is held, save for those that are just ending")
				s := w.lane.Snapshot()
				require.Equal(t, size, s.Held)
				require.EqualValues(t, 9*size, s.Overflow+s.Evicted)
				if o != buffer.RejectNew {
					require.Greater(t, s.Evicted, uint64(2*size))
				}
				w.recover()
				w.wg.Wait()
				require.Zero(t, w.lane.Snapshot().Bytes)
			})
		})
	}
}

func TestLowestPriorityGivesWayAndOfThoseTheLatest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 4, Overflow: buffer.EvictLowestPriority, Flush: oneByOne, Ageing: time.Millisecond})
		w.refuse(2)
		for i, p := range []buffer.Priority{-1, 0, -1, 2} {
			w.start(bg, fmt.Sprint(i), buffer.Request{Priority: p})
		}
		time.Sleep(10 * time.Millisecond) // ageing protects nobody
		evicted := func(name string) {
			t.Helper()
			var full *buffer.OverflowError
			require.ErrorAs(t, w.err(name), &full)
			require.True(t, full.Evicted)
		}
		w.start(bg, "same", buffer.Request{Priority: -1})
		var full *buffer.OverflowError
		require.ErrorAs(t, w.err("same"), &full)
		require.False(t, full.Evicted, "it does not give way to its like")
		w.start(bg, "4", buffer.Request{})
		evicted("2")
		w.start(bg, "5", buffer.Request{Priority: 1})
		evicted("0")
		w.start(bg, "6", buffer.Request{Priority: 1})
		evicted("4")
		require.EqualValues(t, 3, w.lane.Snapshot().Evicted)
		w.recover()
		w.done()
		require.ElementsMatch(t, []string{"1", "3", "5", "6"}, w.started())
	})
}

func TestNearestDeadlineGivesWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 3, Overflow: buffer.EvictNearestDeadline, Flush: oneByOne})
		w.refuse(2)
		start := func(name string, d time.Duration) {
			ctx := bg
			if d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(bg, d)
				t.Cleanup(cancel)
			}
			w.start(ctx, name, buffer.Request{})
		}
		start("2s", 2*time.Second)
		start("1s", time.Second)
		start("none", 0)
		var full *buffer.OverflowError
		start("half", time.Second/2)
		require.ErrorAs(t, w.err("half"), &full)
		require.False(t, full.Evicted, "it would be the first to give way")
		start("3s", 3*time.Second)
		require.ErrorAs(t, w.err("1s"), &full)
		require.True(t, full.Evicted)
		start("none too", 0)
		require.ErrorAs(t, w.err("2s"), &full)
		start("none three", 0)
		require.ErrorAs(t, w.err("3s"), &full)
		start("none four", 0)
		require.ErrorAs(t, w.err("none four"), &full)
		require.False(t, full.Evicted)
		w.recover()
		w.done()
		require.Equal(t, []string{"none", "none too", "none three"}, w.started())
	})
}

// What gives way must make enough room, and few may give way at a time.
func TestNobodyGivesWayInVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 1000, MaxBytes: 1000, Overflow: buffer.EvictOldest, Flush: oneByOne})
		w.refuse(2)
		names := w.startMany("r", 1000) // of one byte each
		var full *buffer.OverflowError
		w.start(bg, "large", buffer.Request{Bytes: 65})
		require.ErrorAs(t, w.err("large"), &full)
		require.False(t, full.Evicted)
		require.Zero(t, w.lane.Snapshot().Evicted)
		w.start(bg, "smaller", buffer.Request{Bytes: 64})
		require.EqualValues(t, 64, w.lane.Snapshot().Evicted)
		for _, name := range names[:64] {
			require.ErrorAs(t, w.err(name), &full)
		}
		w.recover()
		w.done()
		require.Equal(t, append(names[64:], "smaller"), w.started(), "those that stayed kept their places")
	})
}
