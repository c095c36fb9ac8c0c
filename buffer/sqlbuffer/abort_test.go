package sqlbuffer_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// sent is go1 for what is with its server when it returns.
func (w *world) sent(f func() error) (wait func() error) {
	wait = w.go1(f)
	time.Sleep(10 * time.Millisecond)
	return wait
}

func TestAnAnswerBeforeLingerIsOverIsNotAborted(t *testing.T) {
	for _, trust := range []bool{false, true} {
		t.Run(fmt.Sprintf("trusted=%v", trust), func(t *testing.T) {
			var aborts atomic.Int32
			node := sqlbuffer.Node{Abort: func(context.Context, driver.Conn) error { aborts.Add(1); return nil }}
			cfg := sqlbuffer.Config{Linger: linger}
			if trust {
				cfg.Trust = trusting.Trust
			}
			each(t, setup{node: node, cfg: cfg}, func(t *testing.T, w *world) {
				// A long one that nothing overtakes.
				w.n1.fail("exec", slow(time.Minute))
				wait := w.sent(func() error { return w.put(t.Context(), "a") })
				w.hold(2)
				time.Sleep(time.Second)
				w.route("n1", 1) // given up
				require.NoError(t, wait())
				// One that is overtaken, and answered in time.
				w.n1.fail("exec", slow(time.Second))
				wait = w.sent(func() error { return w.put(t.Context(), "b") })
				time.Sleep(time.Second - linger)
				w.force("n2", 2)
				if err := wait(); trust {
					require.NoError(t, err, "a step-down that left no survivors")
				} else {
					require.Equal(t, term(2), requireUnknown(t, err).By)
				}
				require.Equal(t, []string{"a", "b"}, w.n1.has())
				require.Zero(t, aborts.Load())
			})
		})
	}
}

func TestG9_AnOKThatComesAfterAnAbortIsNotTrusted(t *testing.T) {
	// The abort is lost, or the server answers it with an OK for what its
	// followers never saw.
	abort := func(context.Context, driver.Conn) error { return nil }
	cfg := sqlbuffer.Config{Linger: linger, Trust: trusting.Trust}
	for _, op := range []string{"exec", "query", "begin", "tx"} {
		t.Run(op, func(t *testing.T) {
			each(t, setup{node: sqlbuffer.Node{Abort: abort}, cfg: cfg}, func(t *testing.T, w *world) {
				if op == "tx" {
					tx := w.begin(t.Context(), "x")
					w.n1.fail("exec", slow(time.Second))
					wait := w.sent(func() error { _, err := tx.ExecContext(t.Context(), "put ?", "y"); return err })
					w.force("n2", 2)
					requireRestart(t, wait())
					requireRestart(t, tx.Commit())
					require.Empty(t, w.n1.has())
					return
				}
				w.n1.fail(op, slow(time.Second))
				wait := w.sent(func() error { return ops[op](t.Context(), w.db) })
				w.force("n2", 2)
				err := wait()
				if op == "begin" {
					require.NoError(t, err)
					require.Equal(t, 1, w.n2.count("begin"))
					return
				}
				requireUnknown(t, err)
				w.honest(err, "x")
				require.Zero(t, w.n2.count(op))
			})
		})
	}
}

func TestG9_AnErrorThatComesAfterAnAbortProvesNothing(t *testing.T) {
	for _, answer := range []error{&leadership.Refusal{Term: term(1)}, errSyntax, driver.ErrBadConn} {
		t.Run(answer.Error(), func(t *testing.T) {
			abort := func(context.Context, driver.Conn) error { return nil }
			each(t, setup{node: sqlbuffer.Node{Abort: abort}, cfg: sqlbuffer.Config{Linger: linger}}, func(t *testing.T, w *world) {
				w.n1.fail("exec", func(_ context.Context, _ *session, apply func() error) error {
					time.Sleep(time.Second)
					require.NoError(t, apply())
					return answer
				})
				wait := w.sent(func() error { return w.put(t.Context(), "x") })
				w.route("n2", 2)
				w.n2.set(func() { w.n2.leads = true })
				err := wait()
				requireUnknown(t, err)
				w.honest(err, "x")
				require.Empty(t, w.n2.has())
			})
		})
	}
}

func TestADriverThatNothingCanAbortIsWaitedFor(t *testing.T) {
	for _, k := range []kind{bare, legacy} {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			each(t, setup{kind: k, cfg: sqlbuffer.Config{Linger: linger}}, func(t *testing.T, w *world) {
				w.n1.fail("exec", slow(time.Minute))
				wait := w.sent(func() error { return ops["exec"](t.Context(), w.db) })
				w.force("n2", 2)
				start := time.Now()
				err := wait()
				require.InDelta(t, time.Minute, time.Since(start), float64(time.Second))
				requireUnknown(t, err)
			})
		})
	}
}

func TestAnAbortOfAStatementThatIsLostIsTriedAgain(t *testing.T) {
	for _, lost := range []func(ctx context.Context) error{
		func(context.Context) error { return errReset },
		func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, // it hangs
	} {
		var tries atomic.Int32
		abort := func(ctx context.Context, c driver.Conn) error {
			if tries.Add(1)%3 != 0 {
				return lost(ctx)
			}
			return kill(ctx, c)
		}
		for _, open := range []int{0, 1, 4} { // one after the other: they share tries
			tryWorld(t, open, setup{node: sqlbuffer.Node{Abort: abort}, cfg: sqlbuffer.Config{Linger: linger, Budget: 50 * time.Millisecond}}, func(t *testing.T, w *world) {
				w.n1.fail("exec", hang(true))
				_, err := w.silence(func() error { return w.put(t.Context(), "x") })
				requireUnknown(t, err)
			})
		}
		require.EqualValues(t, 9, tries.Load())
	}
}

func TestAnAbortUnderWayEndsWithItsCall(t *testing.T) {
	var running atomic.Int32
	abort := func(ctx context.Context, _ driver.Conn) error {
		running.Add(1)
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		running.Add(-1)
		return ctx.Err()
	}
	t.Parallel()
	for _, open := range []int{0, 1, 4} { // one after the other: they share running
		tryWorld(t, open, setup{node: sqlbuffer.Node{Abort: abort}, cfg: sqlbuffer.Config{Linger: linger, Budget: time.Hour}}, func(t *testing.T, w *world) {
			w.n1.fail("exec", slow(time.Second))
			start := time.Now()
			wait := w.sent(func() error { return w.put(t.Context(), "x") })
			w.force("n2", 2)
			requireUnknown(t, wait())
			require.Zero(t, running.Load(), "it is waited for")
			require.Less(t, time.Since(start), time.Second+100*time.Millisecond)
		})
	}
}

func TestAStatementIsNotSentWhenItsLeaderIsOvertakenDuringTheDial(t *testing.T) {
	each(t, setup{cfg: sqlbuffer.Config{Trust: trusting.Trust}}, func(t *testing.T, w *world) {
		w.n1.fail("dial", func(ctx context.Context, _ *session, _ func() error) error {
			return pause(ctx, nil, 100*time.Millisecond)
		})
		wait := w.sent(func() error { return w.put(t.Context(), "x") })
		w.route("n2", 2)
		w.n2.set(func() { w.n2.leads = true })
		require.NoError(t, wait())
		require.Zero(t, w.n1.count("exec"))
		require.Equal(t, []string{"x"}, w.n2.has())
	})
}

func TestRowsOfWhichEachComesInTimeAreNotAborted(t *testing.T) {
	each(t, setup{cfg: sqlbuffer.Config{Linger: linger, Trust: trusting.Trust}}, func(t *testing.T, w *world) {
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		f := slow(linger * 3 / 4)
		w.n1.fail("next", f, f, f, f)
		w.force("n2", 2)
		for rows.Next() {
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	})
}

func TestG9_RowsThatASupersededLeaderDoesNotSendAreAborted(t *testing.T) {
	for _, verb := range []string{"next", "close"} {
		for _, inTx := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s in-tx=%v", verb, inTx), func(t *testing.T) {
				for _, abort := range []func(context.Context, driver.Conn) error{nil, kill} {
					t.Run(fmt.Sprintf("abort=%v", abort != nil), func(t *testing.T) {
						each(t, setup{node: sqlbuffer.Node{Abort: abort}, cfg: sqlbuffer.Config{Linger: linger, Trust: trusting.Trust}}, func(t *testing.T, w *world) {
							query := w.db.QueryContext
							if inTx {
								tx := w.begin(t.Context(), "a")
								defer func() { requireRestart(t, tx.Commit()) }()
								query = tx.QueryContext
							}
							rows, err := query(t.Context(), "get")
							require.NoError(t, err)
							require.True(t, rows.Next())
							w.n1.fail(verb, hang(false))
							d, err := w.silence(func() error {
								for rows.Next() && verb == "next" {
								}
								return errors.Join(rows.Err(), rows.Close())
							})
							lingered(t, d)
							if inTx {
								requireRestart(t, err)
							} else {
								requireUnknown(t, err)
							}
						})
					})
				}
			})
		}
	}
}

func TestRowsThatAreReadSlowlyAreNotAborted(t *testing.T) {
	each(t, setup{cfg: sqlbuffer.Config{Linger: linger, Trust: trusting.Trust}}, func(t *testing.T, w *world) {
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		w.force("n2", 2)
		n := 0
		for ; rows.Next(); n++ {
			time.Sleep(time.Minute)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Equal(t, 3, n)
	})
}

func TestTheEndOfTheCallersContextStaysToBeSeen(t *testing.T) {
	// A driver may report it in words of its own.
	own := func(ctx context.Context, _ *session, _ func() error) error { <-ctx.Done(); return errReset }
	for _, superseded := range []bool{false, true} {
		for _, verb := range []string{"exec", "tx", "begin", "prepare", "ping"} {
			t.Run(fmt.Sprintf("%s superseded=%v", verb, superseded), func(t *testing.T) {
				each(t, setup{cfg: sqlbuffer.Config{Linger: linger}}, func(t *testing.T, w *world) {
					ctx, cancel := context.WithTimeout(t.Context(), linger)
					defer cancel()
					run := func() error { return ops[verb](ctx, w.db) }
					if verb == "tx" {
						tx := w.begin(context.Background(), "a")
						defer tx.Rollback()
						w.n1.fail("exec", own)
						run = func() error { _, err := tx.ExecContext(ctx, "put ?", "x"); return err }
					} else {
						w.n1.fail(verb, own)
					}
					wait := w.sent(run)
					if superseded {
						w.force("n2", 2)
					}
					err := wait()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.False(t, leadership.NotExecuted(err))
					if verb == "exec" {
						requireUnknown(t, err)
					}
					require.Empty(t, w.n2.has())
				})
			})
		}
	}
}

func TestADriverMayAskForItsContextAtAnyTime(t *testing.T) {
	type key struct{}
	each(t, setup{cfg: sqlbuffer.Config{Linger: linger}}, func(t *testing.T, w *world) {
		var kept context.Context
		w.n1.fail("exec", func(ctx context.Context, _ *session, apply func() error) error {
			kept = ctx
			require.Equal(t, "v", ctx.Value(key{}))
			return apply()
		}, func(ctx context.Context, _ *session, _ func() error) error {
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-derived.Done()
			require.ErrorContains(t, context.Cause(derived), "another leadership is known")
			require.Equal(t, "v", derived.Value(key{}))
			return derived.Err()
		})
		ctx := context.WithValue(t.Context(), key{}, "v")
		require.NoError(t, w.put(ctx, "a"))
		<-kept.Done() // it ended with its statement
		require.ErrorIs(t, kept.Err(), context.Canceled)
		d, err := w.silence(func() error { return w.put(ctx, "b") })
		lingered(t, d)
		requireUnknown(t, err)
	})
}
