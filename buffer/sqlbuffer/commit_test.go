package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

var trusting = sqlbuffer.Config{Trust: func(_, _ leadership.Leadership) bool { return true }}

// begin starts a transaction that has put id.
func (w *world) begin(ctx context.Context, id string) *sql.Tx {
	tx, err := w.db.BeginTx(ctx, nil)
	require.NoError(w.t, err)
	_, err = tx.ExecContext(context.Background(), "put ?", id)
	require.NoError(w.t, err)
	return tx
}

func requireRestart(t *testing.T, err error) *sqlbuffer.RestartUnitError {
	t.Helper()
	var restart *sqlbuffer.RestartUnitError
	require.ErrorAs(t, err, &restart)
	require.True(t, leadership.NotExecuted(err))
	return restart
}

func requireUnknown(t *testing.T, err error) *sqlbuffer.OutcomeError {
	t.Helper()
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err), "%v", err)
	require.False(t, errors.Is(err, driver.ErrBadConn))
	var out *sqlbuffer.OutcomeError
	require.ErrorAs(t, err, &out)
	return out
}

func TestACancelledCommitIsUnknownWhetherItHappenedOrNot(t *testing.T) {
	for _, happened := range []bool{false, true} {
		t.Run(fmt.Sprintf("happened=%v", happened), func(t *testing.T) {
			each(t, setup{node: sqlbuffer.Node{Abort: kill}}, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				tx := w.begin(ctx, "a")
				w.n1.fail("commit", hang(happened))
				wait := w.go1(tx.Commit)
				time.Sleep(time.Minute)
				cancel()
				start := time.Now()
				err := wait()
				require.Less(t, time.Since(start), 10*time.Millisecond)
				requireUnknown(t, err)
				w.honest(err, "a")
				require.Zero(t, w.db.Stats().Idle)
			})
		})
	}
}

func TestAnErrorOrOKOfACancelledCommitProvesNothing(t *testing.T) {
	// A server may answer a cancelled commit with an error that reads like a
	// refusal, or with an OK that its followers never saw.
	answers := map[string]error{"ok": nil, "refusal": &leadership.Refusal{Term: term(1)}, "code": errSyntax, "bad connection": driver.ErrBadConn}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			abort := func(context.Context, driver.Conn) error { return nil }
			each(t, setup{node: sqlbuffer.Node{Abort: abort}}, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				tx := w.begin(ctx, "a")
				w.n1.fail("commit", func(_ context.Context, _ *session, apply func() error) error {
					time.Sleep(time.Second)
					require.NoError(t, apply())
					return answer
				})
				wait := w.go1(tx.Commit)
				cancel()
				err := wait()
				requireUnknown(t, err)
				w.honest(err, "a")
			})
		})
	}
}

func TestAnAbortThatIsLostIsTriedAgain(t *testing.T) {
	tries := 0
	abort := func(ctx context.Context, c driver.Conn) error {
		switch tries++; tries % 3 {
		case 1:
			return errReset
		case 2:
			<-ctx.Done() // it hangs
			return ctx.Err()
		}
		return kill(ctx, c)
	}
	t.Parallel()
	for _, open := range []int{0, 1, 4} { // one after the other: they share tries
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, open, setup{node: sqlbuffer.Node{Abort: abort}, cfg: sqlbuffer.Config{Budget: 10 * time.Millisecond}})
			t.Cleanup(w.abandon)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tx := w.begin(ctx, "a")
			w.n1.fail("commit", hang(true))
			wait := w.go1(tx.Commit)
			cancel()
			requireUnknown(t, wait())
			w.close()
		})
	}
	require.Equal(t, 9, tries)
}

func TestACommitOnASupersededLeadershipIsNotSent(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		tx := w.begin(t.Context(), "a")
		w.force("n2", 2)
		err := tx.Commit()
		require.Equal(t, term(2), requireRestart(t, err).By)
		w.honest(err, "a")
		require.Zero(t, w.n1.count("commit"))
		require.Zero(t, w.n1.open(), "closed, so that the server rolls back")
	})
}

func TestASupersededRollbackIsClosedNotSent(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		tx := w.begin(t.Context(), "a")
		w.force("n2", 2)
		require.NoError(t, tx.Rollback())
		require.Zero(t, w.n1.count("rollback"))
		require.Zero(t, w.n1.open())
		require.NoError(t, w.put(t.Context(), "b"))
	})
}

func TestStatementsOfATransactionOnADeadTermAreNotSent(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		tx := w.begin(ctx, "a")
		st, err := tx.PrepareContext(ctx, "put ?")
		require.NoError(t, err)
		sent := w.n1.count("exec") + w.n1.count("query") + w.n1.count("prepare")
		w.force("n2", 2)
		_, err = tx.ExecContext(ctx, "put ?", "b")
		requireRestart(t, err)
		_, err = tx.QueryContext(ctx, "get")
		requireRestart(t, err)
		_, err = tx.PrepareContext(ctx, "get")
		requireRestart(t, err)
		_, err = st.ExecContext(ctx, "c")
		requireRestart(t, err)
		require.Equal(t, sent, w.n1.count("exec")+w.n1.count("query")+w.n1.count("prepare"))
		requireRestart(t, tx.Commit())
		require.Zero(t, w.n1.count("commit"))
		require.Empty(t, w.n1.has())
		require.Empty(t, w.n2.has())
	})
}

func TestAnOpenTransactionFinishesOnTheOldLeaderDuringAChange(t *testing.T) {
	each(t, setup{buf: buffer.Config{Counted: true}}, func(t *testing.T, w *world) {
		tx := w.begin(t.Context(), "a")
		w.hold(2)
		w.n1.set(func() { w.n1.leads = false })
		_, err := tx.ExecContext(t.Context(), "put ?", "b")
		require.NoError(t, err)
		over := false
		quiet := w.go1(func() error {
			err := w.lane.Quiesced(t.Context(), term(2))
			over = true
			return err
		})
		require.False(t, over, "the change waits for it")
		require.NoError(t, tx.Commit())
		require.NoError(t, quiet(), "its turn ends with it")
		w.force("n2", 2)
		require.Equal(t, []string{"a", "b"}, w.n1.has())
	})
}

func TestAnOKFromASupersededLeadershipIsUnknownUnlessTrusted(t *testing.T) {
	ways := map[string]func(w *world) error{
		"commit": func(w *world) error { return w.begin(context.Background(), "x").Commit() },
		"exec":   func(w *world) error { return ops["exec"](context.Background(), w.db) },
		"query":  func(w *world) error { return ops["query"](context.Background(), w.db) },
	}
	for name, way := range ways {
		for _, trust := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s trusted=%v", name, trust), func(t *testing.T) {
				s := setup{}
				if trust {
					s.cfg = trusting
				}
				each(t, s, func(t *testing.T, w *world) {
					w.n1.fail(name, slow(50*time.Millisecond))
					wait := w.go1(func() error { return way(w) })
					time.Sleep(10 * time.Millisecond)
					w.force("n2", 2)
					err := wait()
					if trust {
						require.NoError(t, err)
					} else {
						require.Equal(t, term(2), requireUnknown(t, err).By)
					}
					w.honest(err, "x")
					require.Zero(t, w.n1.open())
				})
			})
		}
	}
}

func TestACommitLeftWithoutAnAnswerByAChangeIsAborted(t *testing.T) {
	each(t, setup{node: sqlbuffer.Node{Abort: kill}, cfg: sqlbuffer.Config{Linger: 200 * time.Millisecond}}, func(t *testing.T, w *world) {
		tx := w.begin(t.Context(), "a")
		w.n1.fail("commit", hang(true))
		wait := w.go1(tx.Commit)
		time.Sleep(time.Minute)
		w.hold(2)
		time.Sleep(time.Minute)
		w.force("n2", 2)
		start := time.Now()
		err := wait()
		require.Less(t, time.Since(start)-200*time.Millisecond, 10*time.Millisecond)
		requireUnknown(t, err)
		w.honest(err, "a")
	})
}

func TestARollbackThatHangsIsAborted(t *testing.T) {
	each(t, setup{node: sqlbuffer.Node{Abort: kill}, cfg: sqlbuffer.Config{Budget: 100 * time.Millisecond}}, func(t *testing.T, w *world) {
		tx := w.begin(t.Context(), "a")
		w.n1.fail("rollback", hang(false))
		start := time.Now()
		err := tx.Rollback()
		require.ErrorIs(t, err, errReset)
		require.Less(t, time.Since(start)-100*time.Millisecond, 10*time.Millisecond)
		require.Zero(t, w.n1.open())
	})
}

func TestErrorsOfCommit(t *testing.T) {
	explicit := errors.New("deferred constraint")
	cases := []struct {
		name string
		f    fault
		want string
	}{
		{"lost before it ran", with(errReset), "unknown"},
		{"lost after it ran", after(errReset), "unknown"},
		{"bad connection, ran", after(driver.ErrBadConn), "unknown"},
		{"bad connection, did not run", with(driver.ErrBadConn), "unknown"},
		{"not explained", after(explicit), "unknown"},
		{"answered", with(errSyntax), "answered"},
		{"refused", with(&leadership.Refusal{Term: term(1)}), "restart"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			each(t, setup{}, func(t *testing.T, w *world) {
				tx := w.begin(t.Context(), "a")
				w.n1.fail("commit", c.f)
				err := tx.Commit()
				switch c.want {
				case "unknown":
					requireUnknown(t, err)
				case "restart":
					requireRestart(t, err)
				default:
					require.Equal(t, errSyntax, err)
				}
				if c.want != "answered" {
					require.Zero(t, w.n1.open(), "nobody knows what state it is in")
					w.honest(err, "a")
				}
			})
		})
	}
}

func TestATransactionWhoseConnectionBreaksIsRestartedAndNeverCommitted(t *testing.T) {
	for _, f := range []error{errReset, driver.ErrBadConn, &leadership.Refusal{Term: term(1)}} {
		t.Run(f.Error(), func(t *testing.T) {
			each(t, setup{}, func(t *testing.T, w *world) {
				tx := w.begin(t.Context(), "a")
				w.n1.fail("exec", with(f))
				_, err := tx.ExecContext(t.Context(), "put ?", "b")
				requireRestart(t, err)
				require.False(t, errors.Is(err, driver.ErrBadConn))
				err = tx.Commit()
				requireRestart(t, err)
				require.Zero(t, w.n1.count("commit"))
				w.honest(err, "a")
				require.NoError(t, w.put(t.Context(), "c"))
			})
		})
	}
}

func TestAnErrorInsideATransactionIsNotItsEnd(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		tx := w.begin(t.Context(), "a")
		_, err := tx.ExecContext(t.Context(), "bad")
		require.Equal(t, errSyntax, err)
		_, err = tx.ExecContext(t.Context(), "put ?", struct{}{})
		require.ErrorContains(t, err, "converting argument $1")
		ctx, cancel := context.WithCancel(t.Context())
		w.n1.fail("exec", func(ctx context.Context, _ *session, _ func() error) error { cancel(); return ctx.Err() })
		_, err = tx.ExecContext(ctx, "put ?", "b")
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, tx.Commit())
		require.Equal(t, []string{"a"}, w.n1.has())
	})
}

func TestBeginHasNoEffectAndIsTriedAgain(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		w.n1.fail("begin", with(errReset), after(driver.ErrBadConn), after(errReset))
		require.NoError(t, w.begin(t.Context(), "a").Commit())
		require.Equal(t, 4, w.n1.count("begin"))
		_, err := w.db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		require.Equal(t, errSyntax, err, "options reach the driver's BeginTx")
	})
}

func TestATransactionWhoseContextEndsIsRolledBack(t *testing.T) {
	for _, k := range []kind{full, bare} {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			each(t, setup{kind: k}, func(t *testing.T, w *world) {
				ctx, cancel := context.WithCancel(t.Context())
				tx := w.begin(ctx, "a")
				cancel()
				synctest.Wait()
				time.Sleep(time.Millisecond)
				require.Error(t, tx.Commit())
				require.Empty(t, w.n1.has())
				if k == full {
					require.Equal(t, 1, w.n1.open(), "it can be reset")
				} else {
					require.Zero(t, w.n1.open(), "nobody knows what state it is in")
				}
			})
		})
	}
}
