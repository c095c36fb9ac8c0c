package sqlbuffer_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// requireGone checks that conn is not moved to another connection, by any way of
// using it, and that its place in the pool is not lost.
func (w *world) requireGone(conn *sql.Conn) {
	dials := w.n1.dials() + w.n2.dials()
	for name, use := range map[string]func() error{
		"exec":  func() error { _, err := conn.ExecContext(context.Background(), "put ?", "lost"); return err },
		"begin": func() error { _, err := conn.BeginTx(context.Background(), nil); return err },
		"ping":  func() error { return conn.PingContext(context.Background()) },
	} {
		err := use()
		var restart *sqlbuffer.RestartUnitError
		require.True(w.t, errors.As(err, &restart), "%s: %v", name, err)
		require.True(w.t, restart.Session, name)
		require.Equal(w.t, lead("n1", 1), restart.Leadership)
		require.True(w.t, leadership.NotExecuted(err))
		w.honest(err, "lost")
	}
	require.Equal(w.t, dials, w.n1.dials()+w.n2.dials())
	require.NoError(w.t, conn.Close())
	require.NoError(w.t, w.put(context.Background(), "next"))
}

func TestAPinnedSessionIsNotReplacedAfterATransactionThatCouldNotBeEnded(t *testing.T) {
	ways := map[string]func(w *world, tx *sql.Tx, cancel func()){
		"superseded, rolled back": func(w *world, tx *sql.Tx, _ func()) {
			w.force("n2", 2)
			require.NoError(w.t, tx.Rollback())
		},
		"superseded, committed": func(w *world, tx *sql.Tx, _ func()) {
			w.force("n2", 2)
			require.Error(w.t, tx.Commit())
		},
		"rollback failed": func(w *world, tx *sql.Tx, _ func()) {
			w.n1.fail("rollback", with(errReset))
			require.Error(w.t, tx.Rollback())
		},
		"cancelled": func(_ *world, _ *sql.Tx, cancel func()) {
			cancel()
			synctest.Wait()
		},
	}
	for name, end := range ways {
		for _, before := range []bool{false, true} {
			if !before && name == "superseded, committed" {
				continue // its user has been told
			}
			t.Run(fmt.Sprintf("%s, a statement ran before=%v", name, before), func(t *testing.T) {
				each(t, setup{kind: bare}, func(t *testing.T, w *world) {
					w.n1.set(func() { w.n1.half = 0 }) // database/sql waits by a mutex, which stops the clock
					conn, err := w.db.Conn(t.Context())
					require.NoError(t, err)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					lock := func(run func(context.Context, string, ...any) (sql.Result, error)) {
						_, err := run(t.Context(), "put ?", "lock")
						require.NoError(t, err)
					}
					if before {
						lock(conn.ExecContext)
					}
					tx, err := conn.BeginTx(ctx, nil)
					require.NoError(t, err)
					if !before {
						lock(tx.ExecContext)
					}
					end(w, tx, cancel)
					require.Zero(t, w.n1.open(), "what was begun is not left open")
					w.requireGone(conn)
				})
			})
		}
	}
}

func TestATransactionThatIsToBeBegunAgainMayBeOnTheSameConn(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		try := func(between func()) error {
			tx, err := conn.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback()
			_, err = tx.ExecContext(t.Context(), "put ?", "a")
			require.NoError(t, err)
			between()
			if _, err = tx.ExecContext(t.Context(), "put ?", "b"); err != nil {
				return err
			}
			return tx.Commit()
		}
		requireRestart(t, try(func() { w.force("n2", 2) }))
		requireRestart(t, try(w.n2.kill))
		require.NoError(t, try(func() {}))
		require.Equal(t, []string{"a", "b"}, w.n2.has())
	})
}
