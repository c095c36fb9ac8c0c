package buffer_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// TestArrivalsRacingWithChangesAreNeverLost has no sleeps: arrivals meet
// every window between a look at the state and the queue.
func TestArrivalsRacingWithChangesAreNeverLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, err := buffer.New(buffer.Config{})
		require.NoError(t, err)
		l := b.Lane("k")
		l.Observe(routed(1, lead("n1", 1)))
		var served atomic.Uint64 // the term that is taken
		served.Store(1)
		var ok atomic.Int64
		var wg sync.WaitGroup
		const workers, each, changes = 8, 300, 200
		for range workers {
			wg.Go(func() {
				for i := range each {
					err := l.Do(bg, buffer.Request{Unit: i%2 == 0, Bytes: 1}, func(_ context.Context, to leadership.Leadership, _ string) error {
						if now := served.Load(); now != to.Term.Num {
							return &leadership.Refusal{Term: to.Term, Until: term(now)}
						}
						ok.Add(1)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for n := uint64(2); n < 2+changes; n++ {
				l.Observe(intent(2*n, lead("n1", n-1), n, leadership.Holding, time.Second))
				served.Store(n)
				l.Observe(routed(2*n+1, lead("n1", n)))
			}
		})
		wg.Wait()
		require.EqualValues(t, workers*each, ok.Load())
		s := l.Snapshot()
		require.Equal(t, buffer.Serving, s.State)
		require.Zero(t, s.Held)
		require.Zero(t, b.Stats().Bytes)
	})
}

func TestNothingIsHeldOnceCloseHasReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for range 50 {
			b, err := buffer.New(buffer.Config{})
			require.NoError(t, err)
			l := b.Lane("k")
			l.Observe(intent(1, lead("n1", 1), 2, leadership.Holding, time.Hour))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						err := l.Do(bg, buffer.Request{Unit: true}, nop)
						var closed *buffer.ClosedError
						if errors.As(err, &closed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			b.Close()
			require.Zero(t, l.Snapshot().Held)
			wg.Wait()
			require.Zero(t, l.Snapshot().Bytes)
		}
	})
}
