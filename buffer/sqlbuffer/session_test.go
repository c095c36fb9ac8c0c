package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// ops are the ways into a DB.
var ops = map[string]func(ctx context.Context, db *sql.DB) error{
	"exec": func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "put ?", "x")
		return err
	},
	"query": func(ctx context.Context, db *sql.DB) error {
		var v string
		return db.QueryRowContext(ctx, "putget ?", "x").Scan(&v)
	},
	"prepare": func(ctx context.Context, db *sql.DB) error {
		st, err := db.PrepareContext(ctx, "put ?")
		if err == nil {
			err = st.Close()
		}
		return err
	},
	"ping": func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) },
	"begin": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err == nil {
			err = tx.Rollback()
		}
		return err
	},
	"in-tx": func(ctx context.Context, db *sql.DB) error {
		return sqlbuffer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "put ?", "x")
			return err
		})
	},
}

func TestConnectNeitherDialsNorWaits(t *testing.T) {
	each(t, setup{mute: true}, func(t *testing.T, w *world) {
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c, err := w.con.Connect(ctx)
		require.NoError(t, err, "it may run with the context of the DB")
		require.NoError(t, c.Close())
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.Zero(t, time.Since(start))
		require.Zero(t, w.n1.dials())
	})
}

func TestConnectionsThatThePoolOpensForWaitersAreNotDialledByIt(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		// Fill the pool, let others wait, and end one connection: then the
		// opener goroutine of database/sql connects for those who wait.
		w.db.SetMaxOpenConns(1)
		first, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, first.PingContext(t.Context()))
		wait := w.go1(func() error { return w.put(context.WithValue(t.Context(), labelKey{}, "caller"), "a") })
		w.force("n2", 2)
		require.NoError(t, first.Close()) // not valid any more
		require.NoError(t, wait())
		w.n2.set(func() {
			require.Len(t, w.n2.dialled, 1)
			require.Equal(t, "caller", w.n2.dialled[0].Value(labelKey{}), "dialled in the caller's context")
		})
		w.honest(nil, "a")
	})
}

func TestStatementsAreHeldInTheCallersContext(t *testing.T) {
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			each(t, setup{buf: buffer.Config{Counted: true}}, func(t *testing.T, w *world) {
				w.hold(2)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				defer cancel()
				err := op(ctx, w.db)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 30*time.Millisecond, time.Since(start))
				var held *buffer.CanceledError
				require.ErrorAs(t, err, &held)
				require.True(t, leadership.NotExecuted(err))
				require.Zero(t, w.n1.dials()+w.n2.dials(), "nobody is dialled for who waits")
			})
		})
	}
}

func TestHeldStatementsRunAtTheNextLeader(t *testing.T) {
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			each(t, setup{buf: buffer.Config{Counted: true}}, func(t *testing.T, w *world) {
				w.hold(2)
				wait := w.go1(func() error { return op(t.Context(), w.db) })
				time.Sleep(time.Second)
				w.force("n2", 2)
				require.NoError(t, wait())
				require.Zero(t, w.n1.dials())
				require.NotZero(t, w.n2.dials())
			})
		})
	}
}

func TestAnAnnouncementHoldsTransactionsBeforeStatements(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		w.hold(2)
		require.NoError(t, w.put(t.Context(), "a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := w.db.BeginTx(ctx, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"a"}, w.n1.has())
	})
}

func TestRefusedStatementsAreHeldAndRunOnce(t *testing.T) {
	for name, op := range ops {
		if name == "ping" || name == "prepare" {
			continue // the fake answers them whoever leads
		}
		t.Run(name, func(t *testing.T) {
			each(t, setup{}, func(t *testing.T, w *world) {
				require.NoError(t, w.db.PingContext(t.Context()))
				w.crown("n2")
				w.n1.set(func() { w.n1.refusal = &leadership.Refusal{Term: term(1), Until: term(2)} })
				wait := w.go1(func() error { return op(t.Context(), w.db) })
				time.Sleep(time.Second)
				w.route("n2", 2)
				require.NoError(t, wait())
				require.Empty(t, w.n1.has())
				require.LessOrEqual(t, len(w.n2.has()), 1)
			})
		})
	}
}

func TestResetSessionNeitherWaitsNorRefuses(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		c, err := w.con.Connect(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.(driver.Pinger).Ping(t.Context()))
		w.hold(2)
		w.n1.fail("reset", with(driver.ErrBadConn))
		w.n1.kill()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		require.NoError(t, c.(driver.SessionResetter).ResetSession(ctx))
		require.Zero(t, time.Since(start))
		require.NoError(t, c.Close())
	})
}

func TestTheDriversSessionIsResetBeforeItIsUsedAgain(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		resets := 0
		counts := func(err error) fault {
			return func(context.Context, *session, func() error) error { resets++; return err }
		}
		w.n1.fail("reset", counts(nil), counts(errSyntax), counts(driver.ErrBadConn))
		for _, id := range []string{"a", "b", "c", "d"} {
			require.NoError(t, w.put(t.Context(), id))
		}
		require.Equal(t, 3, resets)
		require.Equal(t, 2, w.n1.dials(), "only a bad connection counts")
		require.Equal(t, []string{"a", "b", "c", "d"}, w.n1.has())
	})
}

func TestPooledConnectionsToAnOldLeaderAreNotUsed(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		require.NoError(t, w.put(t.Context(), "a"))
		require.Equal(t, 1, w.n1.open(), "idle in the pool")
		w.force("n2", 2)
		require.NoError(t, w.put(t.Context(), "b"))
		require.Zero(t, w.n1.open())
		// The same leader at a later term is another leadership.
		w.force("n2", 3)
		require.NoError(t, w.put(t.Context(), "c"))
		require.Equal(t, 2, w.n2.dials())
		require.Equal(t, 1, w.n2.open())
		require.Equal(t, []string{"b", "c"}, w.n2.has())
	})
}

func TestConnectionsInUseAreDiscardedByTermWhenPutBack(t *testing.T) {
	each(t, setup{cfg: sqlbuffer.Config{Trust: func(_, _ leadership.Leadership) bool { return true }}}, func(t *testing.T, w *world) {
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		w.force("n2", 2)
		require.True(t, rows.Next())
		require.NoError(t, rows.Close())
		require.Zero(t, w.n1.open())
		require.Zero(t, w.db.Stats().Idle, "not back in the pool")
	})
}

func TestABrokenConnectionIsDiscardedWhenPutBack(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		require.NoError(t, w.put(t.Context(), "a"))
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		w.n1.kill()
		require.NoError(t, rows.Close())
		require.Zero(t, w.db.Stats().Idle, "the driver's own IsValid is asked")
	})
}

func TestAFailedDialIsTriedAgainAndHoldsNobodyElse(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		w.n1.fail("dial", with(driver.ErrBadConn), with(errReset), with(errSyntax))
		require.NoError(t, w.put(t.Context(), "a"))
		require.Equal(t, 4, w.n1.dials())
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		w.n1.set(func() { w.n1.down = true })
		w.n1.kill()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := w.put(ctx, "b")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, leadership.NotExecuted(err))
		w.honest(err, "b")
	})
}

func TestALeaderWithoutANodeIsWaitedFor(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		w.force("n3", 2)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := w.put(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `no node for leader "n3" at "n3:1"`)
		require.True(t, leadership.NotExecuted(err))
		w.force("n2", 3)
		require.NoError(t, w.put(t.Context(), "b"))
	})
}
