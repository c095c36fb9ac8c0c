package lameduck_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/race"
	"github.com/tenure-go/tenure/lameduck"
)

type (
	ctxKey   struct{}
	otherKey struct{}
)

// Each way to learn of a cancellation, from a context that nobody had asked
// anything before.
func TestAContextThatNobodyWaitedForStillTellsWhatCancelledIt(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(t *testing.T, ctx context.Context){
		"Err":  func(t *testing.T, ctx context.Context) { require.ErrorIs(t, ctx.Err(), context.Canceled) },
		"Done": func(_ *testing.T, ctx context.Context) { <-ctx.Done() },
		"Cause": func(t *testing.T, ctx context.Context) {
			require.ErrorAs(t, context.Cause(ctx), new(*lameduck.CancelledError))
		},
		"AfterFunc": func(_ *testing.T, ctx context.Context) {
			ran := make(chan struct{})
			context.AfterFunc(ctx, func() { close(ran) })
			<-ran
		},
		"WithTimeout": func(t *testing.T, ctx context.Context) {
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-derived.Done()
			require.ErrorAs(t, context.Cause(derived), new(*lameduck.CancelledError))
		},
		"WithValue": func(t *testing.T, ctx context.Context) {
			derived := context.WithValue(ctx, otherKey{}, 2)
			require.ErrorAs(t, context.Cause(derived), new(*lameduck.CancelledError))
			require.Equal(t, "v", derived.Value(ctxKey{}))
		},
	} {
		for _, when := range []string{"before", "after", "undone", "exited"} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := newGate(t, lameduck.Options{})
					tok := enter(t, g, lameduck.Single)
					parent, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "v"))
					defer cancel()
					ctx := tok.Context(parent)
					require.NoError(t, ctx.Err())
					require.NoError(t, context.Cause(ctx))
					require.Equal(t, "v", ctx.Value(ctxKey{}))
					// Err and what reads it do not wait for the end.
					if when == "before" && (name == "Done" || name == "AfterFunc" || name == "WithTimeout") {
						done := make(chan struct{})
						go func() {
							defer close(done)
							ask(t, ctx)
						}()
						defer func() { <-done }()
						synctest.Wait()
					}
					out := drain(t.Context(), g, lameduck.Plan{Cancel: time.Hour})
					switch when {
					case "after":
						ask(t, ctx)
					case "undone":
						require.NoError(t, g.Resume())
						ask(t, ctx)
						fresh := enter(t, g, lameduck.Single)
						require.NoError(t, fresh.Context(parent).Err(), "a context made after the undo lives")
						fresh.Exit()
					case "exited":
						tok.Exit()
						ask(t, ctx)
					}
					tok.Exit()
					<-out
					require.ErrorAs(t, context.Cause(ctx), new(*lameduck.CancelledError))
				})
			})
		}
	}
}

func TestAContextEndsWithExitAndKeepsItsAnswer(t *testing.T) {
	t.Parallel()
	for _, waited := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, lameduck.Options{})
			tok := enter(t, g, lameduck.Single)
			ctx, second := tok.Context(t.Context()), tok.Context(t.Context())
			if waited {
				require.NotEqual(t, nil, ctx.Done())
			}
			tok.Exit()
			for _, c := range []context.Context{ctx, second} {
				require.ErrorIs(t, c.Err(), context.Canceled)
				require.ErrorIs(t, context.Cause(c), context.Canceled)
				<-c.Done()
			}
			held := enter(t, g, lameduck.Single)
			out := drain(t.Context(), g, lameduck.Plan{Cancel: time.Second})
			require.Equal(t, context.Canceled, context.Cause(ctx), "what comes later is not its business")
			held.Exit()
			<-out
		})
	}
}

func TestAContextEndsWithItsParentAndKeepsThatCause(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	for _, waited := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, lameduck.Options{})
			tok := enter(t, g, lameduck.Single)
			parent, cancel := context.WithCancelCause(t.Context())
			ctx := tok.Context(parent)
			late, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			timed := tok.Context(late)
			at, ok := timed.Deadline()
			require.True(t, ok && time.Until(at) == time.Second)
			if waited {
				require.NotEqual(t, nil, ctx.Done())
				require.NotEqual(t, nil, timed.Done())
			}
			cancel(why)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.ErrorIs(t, ctx.Err(), context.Canceled)
			require.Equal(t, why, context.Cause(ctx))
			require.ErrorIs(t, timed.Err(), context.DeadlineExceeded)
			out := drain(t.Context(), g, lameduck.Plan{Cancel: time.Second})
			require.ErrorIs(t, timed.Err(), context.DeadlineExceeded, "an answer once given stays")
			require.Equal(t, why, context.Cause(ctx))
			tok.Exit()
			<-out
		})
	}
}

// As database/sql does: a goroutine waits for the context and rolls back.
func TestATransactionIsRolledBackWhenItsIdleUnitIsEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		unit := enter(t, g, lameduck.Unit)
		ctx, quiet := unit.Context(t.Context()), unit.Context(t.Context())
		rolledBack := make(chan error, 1)
		go func() {
			<-ctx.Done()
			rolledBack <- context.Cause(ctx)
		}()
		_, err := g.Drain(t.Context(), lameduck.Plan{All: time.Minute})
		require.NoError(t, err)
		why := <-rolledBack
		cut := new(lameduck.CancelledError)
		require.ErrorAs(t, why, &cut)
		require.True(t, cut.Idle)
		require.Equal(t, why, context.Cause(quiet))
		unit.Exit()
		require.Equal(t, why, context.Cause(quiet))
	})
}

func TestTheContextOfANilParentAndOfTheZeroToken(t *testing.T) {
	t.Parallel()
	var zero lameduck.Token
	require.Equal(t, t.Context(), zero.Context(t.Context()))
	var none context.Context
	require.Equal(t, context.Background(), zero.Context(none))
	g := newGate(t, lameduck.Options{})
	tok := enter(t, g, lameduck.Single)
	ctx := tok.Context(none)
	require.NoError(t, ctx.Err())
	tok.Exit()
	require.Error(t, ctx.Err())
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}

// Every first question races the end of the context, by drain or by exit.
func TestContextsAskedWhileTheyEndNeverTakeAnAnswerBack(t *testing.T) {
	t.Parallel()
	rounds := 3000
	if testing.Short() || race.Enabled {
		rounds = 300
	}
	for i := range rounds {
		g := newGate(t, lameduck.Options{})
		tok := enter(t, g, lameduck.Single)
		parent, cancel := context.WithCancel(context.Background())
		ctx := tok.Context(parent)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 4 {
					first := ctx.Err()
					if cause := context.Cause(ctx); first != nil && cause == nil {
						t.Error("ended without a cause")
					}
					if second := ctx.Err(); first != nil && second == nil {
						t.Error("it ended and then it had not")
					}
				}
				<-ctx.Done()
			})
		}
		if i%2 == 0 {
			_, err := g.Drain(context.Background(), lameduck.Plan{})
			require.ErrorAs(t, err, new(*lameduck.ForcedError))
			wg.Wait()
			require.ErrorAs(t, context.Cause(ctx), new(*lameduck.CancelledError))
		}
		tok.Exit()
		wg.Wait()
		cancel()
		require.Equal(t, lameduck.Counts{}, g.InFlight())
	}
}
