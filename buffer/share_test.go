package buffer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// fill has n requests of a size held in a lane that knows no leader, and
// returns how many there was room for.
func fill(t *testing.T, wg *sync.WaitGroup, l *buffer.Lane, n int, bytes int64) int {
	t.Helper()
	before := l.Snapshot().Held
	for range n {
		wg.Go(func() { _ = l.Do(bg, buffer.Request{Bytes: bytes}, nop) })
	}
	synctest.Wait()
	return l.Snapshot().Held - before
}

func TestOneLaneFillsTheBufferAndAnotherKeepsItsShare(t *testing.T) {
	for _, o := range []buffer.Overflow{buffer.RejectNew, buffer.EvictOldest, buffer.EvictLowestPriority, buffer.EvictNearestDeadline} {
		t.Run(o.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, err := buffer.New(buffer.Config{MaxHeld: 100, MaxBytes: 1000, Overflow: o, Share: buffer.Share{Held: 20, Bytes: 200, Lanes: 3}})
				require.NoError(t, err)
				var wg sync.WaitGroup
				greedy, other, third, late := b.Lane("greedy"), b.Lane("other"), b.Lane("third"), b.Lane("late")
				fill(t, &wg, greedy, 200, 1)
				require.Equal(t, 60, greedy.Snapshot().Held, "its share and all of the common pool")
				require.Zero(t, fill(t, &wg, late, 5, 1), "made after the third: no share")
				require.Equal(t, 20, fill(t, &wg, other, 20, 10))
				require.Equal(t, 20, fill(t, &wg, third, 20, 10))
				require.Equal(t, 60, greedy.Snapshot().Held, "nobody gives way for another lane")
				require.Equal(t, 100, b.Stats().Held)
				fill(t, &wg, other, 1, 1)
				require.Equal(t, 20, other.Snapshot().Held)
				require.Equal(t, 100, b.Stats().Held)
				b.Close()
				wg.Wait()
				require.Zero(t, b.Stats().Held)
				require.Zero(t, b.Stats().Bytes)
			})
		})
	}
}

func TestBytesOfAShareAreThereWhenOthersFillThePool(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, err := buffer.New(buffer.Config{MaxHeld: 100, MaxBytes: 1000, Share: buffer.Share{Held: 10, Bytes: 300, Lanes: 2}})
		require.NoError(t, err)
		var wg sync.WaitGroup
		require.Equal(t, 7, fill(t, &wg, b.Lane("a"), 50, 100))
		require.Equal(t, 1, fill(t, &wg, b.Lane("b"), 1, 250))
		require.Zero(t, fill(t, &wg, b.Lane("b"), 1, 51))
		require.Equal(t, 1, fill(t, &wg, b.Lane("b"), 1, 50))
		b.Close()
		wg.Wait()
	})
}

// TestGuaranteesHoldWhateverOtherLanesDo compares the accounts of lanes with
// plain arithmetic over arbitrary arrivals and departures.
func TestGuaranteesHoldWhateverOtherLanesDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			cfg := buffer.Config{MaxHeld: 12, MaxBytes: 120, LaneHeld: 8, LaneBytes: 100, Share: buffer.Share{
				Held: rapid.IntRange(0, 4).Draw(t, "share"), Bytes: int64(rapid.IntRange(1, 40).Draw(t, "bytes")), Lanes: 3}}
			b, err := buffer.New(cfg)
			require.NoError(t, err)
			defer b.Close()
			type entry struct {
				lane   int
				bytes  int64
				cancel context.CancelFunc
			}
			var held []entry
			sum := func(lane int) (n int, bytes int64) {
				for _, e := range held {
					if e.lane == lane {
						n++
						bytes += e.bytes
					}
				}
				return n, bytes
			}
			lanes := make([]*buffer.Lane, 4)
			for i := range lanes {
				lanes[i] = b.Lane(fmt.Sprint(i))
			}
			fits := func(lane int, size int64) bool {
				n, bytes := sum(lane)
				if n+1 > cfg.LaneHeld || bytes+size > cfg.LaneBytes {
					return false
				}
				poolHeld, poolBytes := cfg.MaxHeld-3*cfg.Share.Held, cfg.MaxBytes-3*cfg.Share.Bytes
				for i := range lanes {
					n, bytes := sum(i)
					if i == lane {
						n, bytes = n+1, bytes+size
					}
					if i < 3 {
						n, bytes = max(0, n-cfg.Share.Held), max(0, bytes-cfg.Share.Bytes)
					}
					poolHeld, poolBytes = poolHeld-n, poolBytes-bytes
				}
				before, bytesBefore := sum(lane)
				own := lane < 3 && before < cfg.Share.Held
				ownBytes := lane < 3 && bytesBefore+size <= cfg.Share.Bytes
				return (own || poolHeld >= 0) && (ownBytes || poolBytes >= 0)
			}
			t.Repeat(map[string]func(*rapid.T){
				"arrive": func(t *rapid.T) {
					lane, size := rapid.IntRange(0, 3).Draw(t, "lane"), int64(rapid.IntRange(0, 50).Draw(t, "size"))
					want := fits(lane, size)
					ctx, cancel := context.WithCancel(bg)
					over := make(chan error, 1)
					go func() { over <- lanes[lane].Do(ctx, buffer.Request{Bytes: size}, nop) }()
					synctest.Wait()
					if got := len(over) == 0; got != want {
						t.Fatalf("held=%t, want %t", got, want)
					}
					if want {
						held = append(held, entry{lane, size, cancel})
					} else {
						cancel()
						if err := <-over; !leadership.NotExecuted(err) {
							t.Fatal(err)
						}
					}
				},
				"leave": func(t *rapid.T) {
					if len(held) == 0 {
						t.Skip("nobody")
					}
					i := rapid.IntRange(0, len(held)-1).Draw(t, "who")
					held[i].cancel()
					held = append(held[:i:i], held[i+1:]...)
					synctest.Wait()
				},
				"": func(t *rapid.T) {
					var bytes int64
					for i, l := range lanes {
						n, b := sum(i)
						bytes += b
						if s := l.Snapshot(); s.Held != n || s.Bytes != b {
							t.Fatalf("lane %d holds %d, %d bytes, want %d, %d", i, s.Held, s.Bytes, n, b)
						}
					}
					if s := b.Stats(); s.Held != len(held) || s.Bytes != bytes || s.Held > cfg.MaxHeld || s.Bytes > cfg.MaxBytes {
						t.Fatalf("%d held, %d bytes", s.Held, s.Bytes)
					}
				},
			})
			for _, e := range held {
				e.cancel()
			}
			synctest.Wait()
		})
	})
}

func TestG10_ContradictorySharesAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		field string
		cfg   buffer.Config
	}{
		{"Share.Held", buffer.Config{Share: buffer.Share{Held: -1, Lanes: 1}}},
		{"Share.Bytes", buffer.Config{Share: buffer.Share{Bytes: -1, Lanes: 1}}},
		{"Share.Lanes", buffer.Config{Share: buffer.Share{Held: 1, Lanes: -1}}},
		{"Share.Lanes", buffer.Config{Share: buffer.Share{Held: 1}}},
		{"Share.Lanes", buffer.Config{Share: buffer.Share{Lanes: 1}}},
		{"Share.Held", buffer.Config{MaxHeld: 100, Share: buffer.Share{Held: 34, Lanes: 3}}},
		{"Share.Held", buffer.Config{MaxHeld: 100, Share: buffer.Share{Held: 1 << 30, Lanes: 1 << 30}}},
		{"Share.Bytes", buffer.Config{MaxBytes: 100, Share: buffer.Share{Held: 1, Bytes: 51, Lanes: 2}}},
		{"Share.Held", buffer.Config{LaneHeld: 5, Share: buffer.Share{Held: 6, Lanes: 2}}},
		{"Share.Bytes", buffer.Config{LaneBytes: 5, Share: buffer.Share{Bytes: 6, Lanes: 2}}},
		{"Ageing", buffer.Config{Ageing: -1}},
		{"Ageing", buffer.Config{MaxAge: time.Second, Ageing: 2 * time.Second}},
		{"Overflow", buffer.Config{Overflow: buffer.EvictNearestDeadline + 1}},
	} {
		_, err := buffer.New(tc.cfg)
		var bad *buffer.ConfigError
		require.ErrorAs(t, err, &bad, "%+v", tc.cfg)
		require.Equal(t, tc.field, bad.Field)
	}
	for _, ok := range []buffer.Config{
		{MaxHeld: 99, Share: buffer.Share{Held: 33, Lanes: 3}},
		{MaxAge: time.Millisecond},
	} {
		_, err := buffer.New(ok)
		require.NoError(t, err)
	}
}
