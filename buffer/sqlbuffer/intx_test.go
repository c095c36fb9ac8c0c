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

// unit is InTx of a unit that puts id.
func (w *world) unit(ctx context.Context, id string) error {
	ctx = context.WithValue(ctx, labelKey{}, id)
	return sqlbuffer.InTx(ctx, w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "put ?", id)
		return err
	})
}

func TestUnitsStartInTheOrderTheyArriveWhenThePoolIsEmpty(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		w.db.SetMaxOpenConns(1)
		first, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		var want []string
		for i := range 30 {
			id := fmt.Sprint(i)
			want = append(want, id)
			w.go1(func() error { return w.unit(t.Context(), id) })
		}
		require.NoError(t, first.Close())
		w.wg.Wait()
		require.Equal(t, want, w.n1.has())
	})
}

func TestUnitsThatAreHeldStartInTheOrderTheyArrived(t *testing.T) {
	each(t, setup{buf: buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}}}, func(t *testing.T, w *world) {
		w.hold(2)
		var want []string
		for i := range 30 {
			id := fmt.Sprint(i)
			want = append(want, id)
			w.go1(func() error { return w.unit(t.Context(), id) })
		}
		require.Equal(t, 30, w.lane.Snapshot().Held, "all wait in the lane, none for a connection")
		require.Zero(t, w.db.Stats().InUse)
		w.force("n2", 2)
		w.wg.Wait()
		w.n2.set(func() { require.Equal(t, want, w.n2.begun) })
		require.Len(t, w.n2.has(), 30)
	})
}

func TestInTxRestartsAUnitThatWasNotCommitted(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		tries := 0
		err := sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
			tries++
			if _, err := tx.ExecContext(ctx, "put ?", "a"); err != nil {
				return err
			}
			switch tries {
			case 1: // seen by Commit
				w.force("n2", 2)
			case 2: // seen by a statement
				w.force("n1", 3)
			case 3:
				w.n1.kill()
			case 4: // and fn keeps it to itself
				w.n1.fail("exec", with(errReset))
				_, _ = tx.ExecContext(ctx, "put ?", "b")
				return nil
			}
			if _, err := tx.ExecContext(ctx, "put ?", "b"); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 5, tries)
		require.Equal(t, []string{"a", "b"}, w.n1.has())
		require.Empty(t, w.n2.has())
	})
}

func TestInTxReturnsWhatItCannotRestart(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		mine := errors.New("mine")
		err := sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "put ?", "a")
			require.NoError(t, err)
			return mine
		})
		require.Equal(t, mine, err)
		require.Equal(t, 1, w.n1.count("rollback"))
		w.n1.fail("commit", after(errReset))
		err = w.unit(t.Context(), "b")
		requireUnknown(t, err)
		w.honest(err, "b")
		w.n1.fail("begin", with(errSyntax))
		require.Equal(t, errSyntax, w.unit(t.Context(), "c"))
		require.PanicsWithValue(t, "mine", func() {
			_ = sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "put ?", "d")
				require.NoError(t, err)
				panic("mine")
			})
		})
		require.Equal(t, []string{"b"}, w.n1.has())
		require.NoError(t, w.unit(t.Context(), "e"))
	})
}

func TestInTxIsBoundedByItsContext(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := sqlbuffer.InTx(ctx, w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "put ?", "a"); err != nil {
				return err
			}
			w.n1.fail("exec", with(errReset))
			_, err := tx.ExecContext(ctx, "put ?", "a")
			return err
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		w.honest(err, "a")
		require.Empty(t, w.n1.has())
		// Nor does it wait longer for the pool.
		w.db.SetMaxOpenConns(1)
		first, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		defer first.Close()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waits := w.go1(func() error { return w.unit(ctx, "b") })
		behind := w.go1(func() error { return w.unit(ctx, "c") })
		for id, wait := range map[string]func() error{"b": waits, "c": behind} {
			err = wait()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			w.honest(err, id)
		}
	})
}

func TestOneTurnIsCountedForAUnit(t *testing.T) {
	each(t, setup{buf: buffer.Config{Counted: true}}, func(t *testing.T, w *world) {
		inside, goOn := make(chan struct{}), make(chan struct{})
		unit := w.go1(func() error {
			return sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
				close(inside)
				<-goOn
				_, err := tx.ExecContext(ctx, "put ?", "a")
				return err
			})
		})
		<-inside
		w.hold(2)
		done := false
		quiet := w.go1(func() error {
			err := w.lane.Quiesced(t.Context(), term(2))
			done = true
			return err
		})
		require.False(t, done)
		close(goOn)
		require.NoError(t, unit())
		require.NoError(t, quiet())
		require.Equal(t, []string{"a"}, w.n1.has())
		w.route("n1", 1) // given up
		require.Panics(t, func() {
			_ = sqlbuffer.InTx(t.Context(), w.db, nil, func(context.Context, *sql.Tx) error { panic("mine") })
		})
		w.hold(3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, w.lane.Quiesced(ctx, term(3)))
	})
}

func TestAUnitDoesNotWaitWithItsTurnForConnectionsOfHeldStatements(t *testing.T) {
	each(t, setup{buf: buffer.Config{Counted: true}}, func(t *testing.T, w *world) {
		w.db.SetMaxOpenConns(1)
		conn, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		unit := w.go1(func() error { return w.unit(t.Context(), "a") })
		second := w.go1(func() error { return w.unit(t.Context(), "b") })
		w.hold(2)
		held := w.go1(func() error { _, err := conn.ExecContext(t.Context(), "put ?", "c"); return err })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, w.lane.Quiesced(ctx, term(2)), "nothing was sent, and the turns were given back")
		w.force("n2", 2)
		require.NoError(t, held())
		require.NoError(t, conn.Close())
		require.NoError(t, unit())
		require.NoError(t, second())
		require.Len(t, w.n2.has(), 3)
		require.Empty(t, w.n1.has())
	})
}

func TestARequestEndsWhenItsRowsAreClosed(t *testing.T) {
	each(t, setup{buf: buffer.Config{Counted: true, Flush: buffer.Flush{Start: 1, Max: 1}}}, func(t *testing.T, w *world) {
		w.db.SetMaxOpenConns(0)
		w.hold(2)
		var rows [3]*sql.Rows
		for i := range rows {
			w.go1(func() (err error) {
				rows[i], err = w.db.QueryContext(t.Context(), "get")
				return err
			})
		}
		w.force("n2", 2)
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range rows {
			require.NotNil(t, rows[i], "a flush slot is free when the query is answered")
		}
		w.hold(3)
		done := false
		quiet := w.go1(func() error {
			err := w.lane.Quiesced(t.Context(), term(3))
			done = true
			return err
		})
		for i, r := range rows {
			require.False(t, done, "%d", i)
			for r.Next() {
			}
			require.NoError(t, r.Err())
			require.NoError(t, r.Close())
		}
		require.NoError(t, quiet())
	})
}

func TestAnErrorInTheMidstOfRowsIsNotRunAgain(t *testing.T) {
	for _, f := range []error{errReset, driver.ErrBadConn, &leadership.Refusal{Term: term(1)}} {
		t.Run(f.Error(), func(t *testing.T) {
			each(t, setup{}, func(t *testing.T, w *world) {
				rows, err := w.db.QueryContext(t.Context(), "get")
				require.NoError(t, err)
				require.True(t, rows.Next())
				w.n1.fail("next", with(f))
				require.False(t, rows.Next())
				requireUnknown(t, rows.Err())
				require.NoError(t, rows.Close())
				require.Equal(t, 1, w.n1.count("query"))
				require.Zero(t, w.db.Stats().Idle)
				// When closing fails, too.
				rows, err = w.db.QueryContext(t.Context(), "get")
				require.NoError(t, err)
				w.n1.fail("close", with(f))
				requireUnknown(t, rows.Close())
				// In a transaction it is the transaction that cannot go on.
				tx := w.begin(t.Context(), "a")
				rows, err = tx.QueryContext(t.Context(), "get")
				require.NoError(t, err)
				w.n1.fail("next", with(f))
				require.False(t, rows.Next())
				requireRestart(t, rows.Err())
				requireRestart(t, tx.Commit())
				synctest.Wait()
				require.Empty(t, w.n1.has())
			})
		})
	}
}
