package buffer_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// TestCancelsRacingWithEverythingLeaveExactAccounts cancels requests while they
// are held, evicted, released and refused, and then fills the buffer to its last
// place: not one was lost, nor given back twice.
func TestCancelsRacingWithEverythingLeaveExactAccounts(t *testing.T) {
	for _, o := range []buffer.Overflow{buffer.RejectNew, buffer.EvictOldest, buffer.EvictLowestPriority, buffer.EvictNearestDeadline} {
		t.Run(o.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const size, workers, each, changes = 40, 16, 150, 150
				b, err := buffer.New(buffer.Config{MaxHeld: size, MaxBytes: 1000, Overflow: o, Share: buffer.Share{Held: 10, Bytes: 100, Lanes: 2}})
				require.NoError(t, err)
				lanes := []*buffer.Lane{b.Lane("a"), b.Lane("b")}
				var served atomic.Uint64
				served.Store(1)
				var wg, changing sync.WaitGroup
				observe := func(r leadership.Record) {
					for _, l := range lanes {
						l.Observe(r)
					}
				}
				observe(routed(1, lead("n1", 1)))
				changing.Go(func() {
					for n := uint64(2); n < 2+changes; n++ {
						observe(intent(2*n, lead("n1", n-1), n, leadership.Holding, time.Second))
						served.Store(n)
						time.Sleep(time.Microsecond)
						observe(routed(2*n+1, lead("n1", n)))
						time.Sleep(time.Microsecond)
					}
				})
				for i := range workers {
					wg.Go(func() {
						var calls sync.WaitGroup
						for j := range each {
							lane, key := (i+j)%2, (i*j)%3
							ctx, cancel := context.WithDeadline(bg, time.Now().Add(time.Duration(j+1)*time.Second))
							calls.Go(func() {
								err := lanes[lane].Do(ctx, buffer.Request{Unit: true, Bytes: int64(j % 20), Key: []string{"", "x", "y"}[key], Priority: buffer.Priority(j % 3)},
									func(_ context.Context, to leadership.Leadership, _ string) error {
										if now := served.Load(); now != to.Term.Num {
											return &leadership.Refusal{Term: to.Term, Until: term(now)}
										}
										return nil
									})
								if err != nil && !leadership.NotExecuted(err) {
									t.Error(err)
								}
							})
							if j%3 == 0 {
								calls.Go(cancel)
							} else {
								defer cancel()
							}
							if j%10 == 0 {
								time.Sleep(time.Microsecond)
							}
						}
						calls.Wait()
					})
				}
				wg.Wait()
				changing.Wait()
				for _, l := range lanes {
					s := l.Snapshot()
					require.Zero(t, s.Held)
					require.Zero(t, s.Retrying)
					require.Zero(t, s.Bytes)
				}
				observe(intent(1e6, lead("n1", 1e5), 1e6, leadership.Holding, time.Hour))
				observe(intent(1e6+1, lead("n1", 1e5), 1e6+1, leadership.Holding, time.Hour))
				ctx, cancel := context.WithCancel(bg)
				for range 3 * size {
					wg.Go(func() { _ = lanes[0].Do(ctx, buffer.Request{Unit: true, Bytes: 1}, nop) })
				}
				synctest.Wait()
				require.Equal(t, size-10, lanes[0].Snapshot().Held)
				for range 3 * size {
					wg.Go(func() { _ = lanes[1].Do(ctx, buffer.Request{Unit: true, Bytes: 10}, nop) })
				}
				synctest.Wait()
				require.Equal(t, 10, lanes[1].Snapshot().Held)
				require.Equal(t, size, b.Stats().Held)
				cancel()
				wg.Wait()
				require.Zero(t, b.Stats().Held)
				require.Zero(t, b.Stats().Bytes)
			})
		})
	}
}
