package buffer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestDryRunHoldsNothingAndTellsWhatItWouldHaveHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var waits []time.Duration
		var states []buffer.State
		w := newWorld(t, buffer.Config{DryRun: true, MaxHeld: 3, Hooks: buffer.Hooks{
			Waited: func(_ string, d time.Duration, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					waits = append(waits, d)
				}
			},
			State: func(_ string, s buffer.State, _ leadership.Leadership) {
				mu.Lock()
				defer mu.Unlock()
				states = append(states, s)
			},
		}})
		w.refuse(2)
		start := time.Now()
		for range 5 { // three would have been held, two would have been too many
			var r *leadership.Refusal
			require.ErrorAs(t, w.lane.Do(bg, buffer.Request{Bytes: 7}, w.handle("x")), &r)
			time.Sleep(10 * time.Millisecond)
		}
		require.Equal(t, 50*time.Millisecond, time.Since(start), "nobody waited")
		s := w.lane.Snapshot()
		require.Equal(t, buffer.HoldAll, s.State)
		require.Equal(t, 3, s.Held)
		require.EqualValues(t, 21, s.Bytes)
		require.EqualValues(t, 5, s.Hidden)
		require.EqualValues(t, 2, s.Overflow)
		require.True(t, w.lane.Ready())
		w.recover()
		synctest.Wait()
		s = w.lane.Snapshot()
		require.Equal(t, buffer.Serving, s.State)
		require.Zero(t, s.Held)
		require.Zero(t, s.Bytes)
		require.Equal(t, []time.Duration{50 * time.Millisecond, 40 * time.Millisecond, 30 * time.Millisecond}, waits)
		require.Contains(t, states, buffer.HoldAll)
		require.Equal(t, buffer.Serving, states[len(states)-1])
		require.NoError(t, w.lane.Do(bg, buffer.Request{}, w.handle("y")))
		w.b.Close()
		require.NoError(t, w.lane.Do(bg, buffer.Request{}, w.handle("z")), "as if no buffer were there")
	})
}

func TestDryRunOfARefusalAtTheServedTermEndsWhenTheLeaderTakesRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{DryRun: true})
		w.set(func() { w.refusal = &leadership.Refusal{Term: term(1), RetryAfter: 20 * time.Millisecond} })
		require.Error(t, w.lane.Do(bg, buffer.Request{}, w.handle("x")))
		w.refuse(0)
		require.NoError(t, w.lane.Do(bg, buffer.Request{}, w.handle("y")))
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State, "this one would have been held")
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, w.lane.Do(bg, buffer.Request{}, w.handle("z")))
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		require.EqualValues(t, 3, w.lane.Snapshot().Counters.Held)
		require.EqualValues(t, 1, w.lane.Snapshot().Hidden)
	})
}

// TestDryRunNeverChangesWhatTheCallerSees runs arbitrary functions, under
// arbitrary news of leaders, caps and time.
func TestDryRunNeverChangesWhatTheCallerSees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			b, err := buffer.New(buffer.Config{
				DryRun: true, MaxHeld: 3, MaxAge: time.Second, MaxOutage: 2 * time.Second, MinService: time.Millisecond,
				Overflow: buffer.Overflow(rapid.IntRange(0, 3).Draw(t, "overflow")), AtOutage: buffer.AtOutage(rapid.IntRange(0, 1).Draw(t, "at outage")),
				Hooks: buffer.Hooks{Waited: func(_ string, d time.Duration, _ error) {
					if d < 0 || d > time.Second {
						t.Fatalf("would have waited %s", d)
					}
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			l := b.Lane("k")
			version, top := uint64(0), uint64(1)
			t.Repeat(map[string]func(*rapid.T){
				"do": func(t *rapid.T) {
					want := rapid.SampledFrom([]error{
						nil, nil, nil, errors.New("duplicate key"), leadership.ErrUnknownOutcome, buffer.NotSent(errors.New("refused")),
						&leadership.Refusal{Term: term(top)}, &leadership.Refusal{Term: term(top), Until: term(top + 1)},
						&leadership.Refusal{Term: term(top), Scope: leadership.ScopeUnits},
					}).Draw(t, "answer")
					ctx, cancel := context.WithTimeout(bg, time.Duration(rapid.IntRange(-1, 1000).Draw(t, "ms"))*time.Millisecond)
					defer cancel()
					runs, start := 0, time.Now()
					got := l.Do(ctx, buffer.Request{
						Unit: rapid.Bool().Draw(t, "unit"), Idempotent: rapid.Bool().Draw(t, "idempotent"), Bytes: 1,
						Key: rapid.SampledFrom([]string{"", "a"}).Draw(t, "key"), Priority: buffer.Priority(rapid.IntRange(-3, 3).Draw(t, "priority")),
					}, func(c context.Context, _ leadership.Leadership, _ string) error {
						if runs++; c != ctx {
							t.Fatal("another context")
						}
						return want
					})
					if got != want || runs != 1 || !time.Now().Equal(start) {
						t.Fatalf("got %v after %d runs and %s, want %v", got, runs, time.Since(start), want)
					}
				},
				"news": func(t *rapid.T) {
					version++
					if rapid.Bool().Draw(t, "announce") {
						l.Observe(intent(version, lead("n1", top), top+1, leadership.Holding, 50*time.Millisecond))
						return
					}
					top++
					l.Observe(routed(version, lead("n1", top)))
				},
				"time": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 900).Draw(t, "ms")) * time.Millisecond)
				},
				"": func(t *rapid.T) {
					s := l.Snapshot()
					if s.Held > 3 || s.Held < 0 || s.Bytes != int64(s.Held) || !l.Ready() {
						t.Fatalf("%+v", s)
					}
				},
			})
			version++
			l.Observe(routed(version, lead("n2", top+1)))
			if s := l.Snapshot(); s.State != buffer.Serving || s.Held != 0 || s.Bytes != 0 {
				t.Fatalf("%+v", s)
			}
		})
	})
}

func TestDryRunGivesTurnsAtOnceAndLearnsFromTheirEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, counted := range []bool{false, true} {
			w := newWorld(t, buffer.Config{DryRun: true, Counted: counted})
			refused := &leadership.Refusal{Term: term(1), Until: term(2)}
			turn, err := w.lane.Enter(bg, buffer.Request{})
			require.NoError(t, err)
			require.Equal(t, refused, turn.Retry(bg, refused), "as if no buffer were there")
			require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State)
			require.Equal(t, 1, w.lane.Snapshot().Held)
			start := time.Now()
			turn, err = w.lane.Enter(bg, buffer.Request{Bytes: 3})
			require.NoError(t, err)
			require.Equal(t, lead("n1", 1), turn.To())
			require.Equal(t, 2, w.lane.Snapshot().Held)
			turn.Done(nil)
			require.Zero(t, time.Since(start))
			w.lane.Observe(routed(2, lead("n2", 2)))
			require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
			require.Zero(t, w.lane.Snapshot().Held)
			require.Zero(t, w.lane.Snapshot().Bytes)
			require.EqualValues(t, 1, w.lane.Snapshot().Hidden)
			if counted {
				var bad *buffer.ConfigError
				require.ErrorAs(t, w.lane.Quiesced(bg, term(2)), &bad)
				require.Equal(t, "DryRun", bad.Field)
			}
		}
	})
}
