package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// causes are what contexts end with that says of itself that something was not
// executed: a gate's refusal, and the restart of another unit of an errgroup.
func causes() map[string]error {
	refusal := &leadership.Refusal{Reason: "draining", RetryAfter: 4 * time.Second}
	return map[string]error{
		"refusal":         refusal,
		"wrapped refusal": fmt.Errorf("gate: %w", refusal),
		"restart":         &sqlbuffer.RestartUnitError{Leadership: lead("n9", 1), Err: refusal},
	}
}

func eachCause(t *testing.T, s setup, f func(t *testing.T, w *world, cause error)) {
	t.Helper()
	for name, cause := range causes() {
		t.Run(name, func(t *testing.T) {
			each(t, s, func(t *testing.T, w *world) { f(t, w, cause) })
		})
	}
}

// ends makes a call do its work and end with its context, which cancel ends. It
// returns the cause, as some drivers do.
func ends(cancel func()) fault {
	return func(ctx context.Context, _ *session, apply func() error) error {
		_ = apply()
		cancel()
		<-ctx.Done()
		return fmt.Errorf("driver: %w", context.Cause(ctx))
	}
}

// serves checks that the lane took nothing of what it was told for a word of its
// leader.
func (w *world) serves() {
	require.Equal(w.t, buffer.Serving, w.lane.Snapshot().State)
	start := time.Now()
	require.NoError(w.t, w.put(context.Background(), "unrelated"))
	require.Less(w.t, time.Since(start), 100*time.Millisecond)
}

func TestG9_ADriverThatReturnsTheCauseOfItsContextProvesNothing(t *testing.T) {
	type key struct{}
	check := func(ctx context.Context, _ driver.Conn, _ leadership.Leadership) error {
		if end, ok := ctx.Value(key{}).(func()); ok {
			end()
			return context.Cause(ctx)
		}
		return nil
	}
	for _, verb := range []string{"dial", "check", "exec", "query", "begin", "prepare", "ping"} {
		t.Run(verb, func(t *testing.T) {
			eachCause(t, setup{node: sqlbuffer.Node{Check: check}}, func(t *testing.T, w *world, cause error) {
				ctx, cancel := context.WithCancelCause(t.Context())
				end, op := func() { cancel(cause) }, verb
				switch verb {
				case "check":
					ctx, op = context.WithValue(ctx, key{}, end), "exec"
				case "dial":
					op = "exec"
				}
				w.n1.fail(verb, ends(end))
				err := ops[op](ctx, w.db)
				w.n1.set(func() { w.n1.faults[verb] = nil })
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, cause, "it can still be told why")
				w.honest(err, "x")
				if verb == "exec" || verb == "query" {
					out := requireUnknown(t, err)
					var refusal *leadership.Refusal
					require.False(t, errors.As(out, &refusal), "it is not of this server")
				}
				w.serves()
			})
		})
	}
}

func TestG9_AStatementOfATransactionThatReturnsTheCauseOfAContextRefusesNothing(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("the statement's own=%v", own), func(t *testing.T) {
			eachCause(t, setup{}, func(t *testing.T, w *world, cause error) {
				ctx, cancel := context.WithCancelCause(t.Context())
				tx := w.begin(ctx, "a")
				w.n1.set(func() { w.n1.half = 0 }) // database/sql waits by a mutex, which stops the clock
				w.n1.fail("exec", func(context.Context, *session, func() error) error {
					cancel(cause)
					return context.Cause(ctx)
				})
				of := ctx
				if !own {
					of = t.Context()
				}
				_, err := tx.ExecContext(of, "put ?", "b")
				require.Error(t, err)
				_ = tx.Rollback()
				time.Sleep(time.Millisecond) // database/sql may be the one that rolls back
				w.honest(err, "b")
				w.serves()
			})
		})
	}
}

func TestG9_ACommitWhoseContextEndsWithAProofOfSomethingElseIsUnknown(t *testing.T) {
	for _, happened := range []bool{false, true} {
		t.Run(fmt.Sprintf("happened=%v", happened), func(t *testing.T) {
			eachCause(t, setup{}, func(t *testing.T, w *world, cause error) {
				ctx, cancel := context.WithCancelCause(t.Context())
				w.n1.fail("commit", func(_ context.Context, _ *session, apply func() error) error {
					cancel(cause)
					if !happened {
						return cause
					}
					return apply()
				})
				runs := 0
				err := sqlbuffer.InTx(ctx, w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
					runs++
					_, err := tx.ExecContext(ctx, "put ?", "a")
					return err
				})
				out := requireUnknown(t, err)
				require.ErrorIs(t, err, cause)
				var restart *sqlbuffer.RestartUnitError
				require.False(t, errors.As(out, &restart), "it was another unit's")
				require.Equal(t, 1, runs)
				w.honest(err, "a")
				w.serves()
			})
		})
	}
}

func TestAUnitThatMeetsTheRefusalOfAnotherServiceHoldsNobody(t *testing.T) {
	eachCause(t, setup{}, func(t *testing.T, w *world, cause error) {
		if _, restart := cause.(*sqlbuffer.RestartUnitError); restart {
			return // that has fn run again
		}
		err := sqlbuffer.InTx(t.Context(), w.db, nil, func(context.Context, *sql.Tx) error { return cause })
		require.Equal(t, cause, err)
		w.serves()
	})
}

func TestAUnitInWhichAnotherCannotGoOnIsRestartedAndHoldsNobody(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		other := causes()["restart"]
		runs := 0
		err := sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
			if runs++; runs == 1 {
				return fmt.Errorf("inner: %w", other)
			}
			_, err := tx.ExecContext(ctx, "put ?", "a")
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 2, runs)
		require.Equal(t, []string{"a"}, w.n1.has())
		w.serves()
	})
}

func TestG9_AUnitThatCommittedByItselfIsNotRunAgain(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		other, runs := causes()["restart"], 0
		err := sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
			if runs++; runs > 1 {
				return nil
			}
			_, err := tx.ExecContext(ctx, "put ?", "a")
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
			return other
		})
		require.Equal(t, 1, runs)
		require.ErrorIs(t, err, other)
		require.Equal(t, []string{"a"}, w.n1.has())
	})
}

func TestTheCauseWithWhichAWaitForThePoolEndsHoldsNobody(t *testing.T) {
	eachCause(t, setup{}, func(t *testing.T, w *world, cause error) {
		w.db.SetMaxOpenConns(1)
		first, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		waits := w.go1(func() error { return w.unit(ctx, "a") })
		behind := w.go1(func() error { return w.unit(ctx, "b") })
		cancel(cause)
		for id, wait := range map[string]func() error{"a": waits, "b": behind} {
			err := wait()
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, cause.Error())
			w.honest(err, id)
		}
		require.NoError(t, first.Close())
		w.serves()
	})
}
