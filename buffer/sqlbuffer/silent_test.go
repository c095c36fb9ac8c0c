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

	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

const linger = 200 * time.Millisecond

// freeze is a server that does not answer. Drivers of some kinds listen to
// nothing but their connection, and need an Abort.
var freezes = []struct {
	name  string
	kind  kind
	abort func(context.Context, driver.Conn) error
}{
	{"by context", full, nil},
	{"by context, prepared", skips, nil},
	{"by Abort", full, kill},
	{"by Abort, ignores contexts", bare, kill},
	{"by Abort, ignores contexts, with Exec", legacy, kill},
}

func eachFreeze(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	for _, z := range freezes {
		t.Run(z.name, func(t *testing.T) {
			each(t, setup{kind: z.kind, node: sqlbuffer.Node{Abort: z.abort}, cfg: sqlbuffer.Config{Linger: linger}}, f)
		})
	}
}

// silence runs f, which the server of now does not answer, lets a minute go by
// in which no other leadership is known, and deposes the leader.
func (w *world) silence(f func() error) (time.Duration, error) {
	back := false
	wait := w.go1(func() error {
		defer func() { back = true }()
		return f()
	})
	w.hold(2)
	time.Sleep(time.Minute)
	require.False(w.t, back, "nobody else leads yet")
	w.depose(2)
	start := time.Now()
	err := wait()
	return time.Since(start), err
}

// lingered checks that it took Linger, and at most a quarter more.
func lingered(t *testing.T, d time.Duration) {
	t.Helper()
	require.GreaterOrEqual(t, d, linger)
	require.Less(t, d, linger+linger/4+10*time.Millisecond)
}

func TestG9_AStatementThatASupersededLeaderDoesNotAnswerIsAbortedAndUnknown(t *testing.T) {
	for _, op := range []string{"exec", "query"} {
		for _, ran := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s ran=%v", op, ran), func(t *testing.T) {
				eachFreeze(t, func(t *testing.T, w *world) {
					w.n1.fail(op, hang(ran))
					d, err := w.silence(func() error { return ops[op](t.Context(), w.db) })
					lingered(t, d)
					out := requireUnknown(t, err)
					require.Equal(t, term(2), out.By)
					require.Equal(t, op, out.What)
					require.NotErrorIs(t, err, context.Canceled, "it was not the caller's context")
					require.ErrorContains(t, err, "no answer, and another leadership is known")
					w.honest(err, "x")
					require.Equal(t, 1, w.n1.count(op))
					require.Zero(t, w.n2.count(op), "never run again")
					require.Zero(t, w.n1.open())
				})
			})
		}
	}
}

func TestG9_AUnitThatASupersededLeaderDoesNotAnswerIsRestartedAtTheNext(t *testing.T) {
	for _, verb := range []string{"begin", "exec", "prepare", "query"} {
		t.Run(verb, func(t *testing.T) {
			eachFreeze(t, func(t *testing.T, w *world) {
				w.n1.fail(verb, hang(true))
				unit := func() error {
					return sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
						if _, err := tx.ExecContext(ctx, "put ?", "A"); err != nil {
							return err
						}
						st, err := tx.PrepareContext(ctx, "put ?")
						if err != nil {
							return err
						}
						var v string
						return errors.Join(st.Close(), tx.QueryRowContext(ctx, "putget ?", "B").Scan(&v))
					})
				}
				d, err := w.silence(unit)
				require.NoError(t, err)
				lingered(t, d)
				require.Equal(t, []string{"A", "B"}, w.n2.has())
				require.Empty(t, w.n1.has())
				require.Zero(t, w.n1.count("commit"))
			})
		})
	}
}

func TestG9_AStatementOfATransactionThatIsAbortedRestartsIt(t *testing.T) {
	ways := map[string]func(ctx context.Context, tx *sql.Tx) error{
		"exec":    func(ctx context.Context, tx *sql.Tx) error { _, err := tx.ExecContext(ctx, "put ?", "b"); return err },
		"query":   func(ctx context.Context, tx *sql.Tx) error { _, err := tx.QueryContext(ctx, "get"); return err },
		"prepare": func(ctx context.Context, tx *sql.Tx) error { _, err := tx.PrepareContext(ctx, "get"); return err },
	}
	for verb, way := range ways {
		t.Run(verb, func(t *testing.T) {
			eachFreeze(t, func(t *testing.T, w *world) {
				tx := w.begin(t.Context(), "a")
				w.n1.fail(verb, hang(true))
				d, err := w.silence(func() error { return way(t.Context(), tx) })
				lingered(t, d)
				require.Equal(t, term(2), requireRestart(t, err).By)
				require.NotErrorIs(t, err, context.Canceled)
				requireRestart(t, tx.Commit())
				require.Zero(t, w.n1.count("commit"))
				require.Empty(t, append(w.n1.has(), w.n1.lost...))
			})
		})
	}
}

func TestWhatHasNoEffectIsTriedAtTheNextLeaderOnceItIsAborted(t *testing.T) {
	for _, op := range []string{"begin", "prepare", "ping"} {
		t.Run(op, func(t *testing.T) {
			eachFreeze(t, func(t *testing.T, w *world) {
				if op == "ping" && (w.kind == bare || w.kind == legacy) {
					return // they have none
				}
				require.NoError(t, w.db.PingContext(t.Context()))
				w.n1.fail(op, hang(true))
				d, err := w.silence(func() error { return ops[op](t.Context(), w.db) })
				require.NoError(t, err)
				lingered(t, d)
				require.NotZero(t, w.n2.dials())
			})
		})
	}
}

func TestADialResetOrCheckThatIsNotAnsweredIsAbortedAndTheStatementMoves(t *testing.T) {
	check := func(ctx context.Context, c driver.Conn, _ leadership.Leadership) error {
		s := sessionOf(c)
		if f := s.n.next("check"); f != nil {
			return f(ctx, s, nil)
		}
		return nil
	}
	for _, abort := range []func(context.Context, driver.Conn) error{nil, kill} {
		for _, step := range []string{"dial", "reset", "check"} {
			t.Run(fmt.Sprintf("%s abort=%v", step, abort != nil), func(t *testing.T) {
				each(t, setup{node: sqlbuffer.Node{Abort: abort, Check: check}, cfg: sqlbuffer.Config{Linger: linger}}, func(t *testing.T, w *world) {
					switch step {
					case "dial":
						w.n1.fail("dial", func(ctx context.Context, _ *session, _ func() error) error {
							<-ctx.Done()
							require.ErrorContains(t, context.Cause(ctx), "another leadership is known")
							return ctx.Err()
						})
					case "reset":
						require.NoError(t, w.db.PingContext(t.Context()))
						w.n1.fail("reset", hang(false))
					case "check":
						w.n1.fail("check", hang(false))
					}
					d, err := w.silence(func() error { return w.put(t.Context(), "x") })
					require.NoError(t, err)
					lingered(t, d)
					require.Equal(t, []string{"x"}, w.n2.has())
					require.Zero(t, w.n1.count("exec"))
				})
			})
		}
	}
}
