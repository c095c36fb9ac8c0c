package buffer_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestOneProbeAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{ProbeTimeout: time.Hour, MaxAge: time.Hour, MaxOutage: time.Hour})
		w.service = time.Second
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, 100*time.Millisecond))
		for i := range 5 {
			w.start(bg, fmt.Sprint(i), buffer.Request{Unit: true})
			time.Sleep(70 * time.Millisecond)
		}
		require.Equal(t, []string{"0"}, w.tried())
		require.Equal(t, 4, w.lane.Snapshot().Held)
		w.done()
	})
}

func TestWhoeverWatchesTheTimerIsReplacedWhenItLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, 100*time.Millisecond))
		start := time.Now()
		ctx, cancel := context.WithCancel(bg)
		w.start(ctx, "x", buffer.Request{Unit: true})
		w.start(bg, "y", buffer.Request{Unit: true})
		cancel()
		synctest.Wait()
		require.ErrorIs(t, w.err("x"), context.Canceled)
		w.done()
		require.Equal(t, 100*time.Millisecond, time.Since(start))
	})
}

func TestG9_TurnOfACancelledRequestIsGivenBackAndItNeverRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for range 200 {
			w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
			w.refuse(2)
			ctx, cancel := context.WithCancel(bg)
			w.start(ctx, "x", buffer.Request{})
			w.startMany("b", 1)
			w.crown(lead("n2", 2))
			cancel() // in the same moment as its release
			w.lane.Observe(routed(2, lead("n2", 2)))
			w.wg.Wait()
			err := w.err("x")
			require.ErrorIs(t, err, context.Canceled)
			require.True(t, leadership.NotExecuted(err))
			require.Equal(t, []string{"b0000"}, w.started())
			w.done()
		}
	})
}
