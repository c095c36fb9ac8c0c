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

func TestErrorsOfStatementsOutsideATransaction(t *testing.T) {
	odd := errors.New("nobody explains this")
	cases := []struct {
		name  string
		f     fault
		plain bool
		node  sqlbuffer.Node
		want  string
	}{
		{name: "lost before it ran", f: with(errReset), want: "unknown"},
		{name: "lost after it ran", f: after(errReset), want: "unknown"},
		{name: "bad connection", f: with(driver.ErrBadConn), want: "done"},
		{name: "bad connection, distrusted, did not run", f: with(driver.ErrBadConn), node: sqlbuffer.Node{DistrustBadConn: true}, want: "unknown"},
		{name: "bad connection, distrusted, ran", f: after(driver.ErrBadConn), node: sqlbuffer.Node{DistrustBadConn: true}, want: "unknown"},
		{name: "wrapped bad connection, distrusted, ran", f: after(fmt.Errorf("x: %w", driver.ErrBadConn)), node: sqlbuffer.Node{DistrustBadConn: true}, want: "unknown"},
		{name: "not explained", f: after(odd), want: "unknown"},
		{name: "answered", f: with(errSyntax), want: "answered"},
		{name: "a code of a server that does not lead", f: with(errReadOnly), want: "answered"},
		{name: "refused", f: with(&leadership.Refusal{Term: term(1)}), want: "done"},
	}
	for _, c := range cases {
		for _, op := range []string{"exec", "query"} {
			t.Run(c.name+" "+op, func(t *testing.T) {
				each(t, setup{node: c.node}, func(t *testing.T, w *world) {
					w.n1.fail(op, c.f)
					err := ops[op](t.Context(), w.db)
					w.honest(err, "x")
					switch c.want {
					case "done":
						require.NoError(t, err)
						require.Equal(t, 2, w.n1.count(op))
					case "unknown":
						requireUnknown(t, err)
						require.Equal(t, 1, w.n1.count(op), "database/sql did not run it again")
					default:
						require.False(t, leadership.NotExecuted(err), "a code is no proof")
						require.Equal(t, 1, w.n1.count(op))
					}
				})
			})
		}
	}
}

func TestAStatementWhoseContextEndsUnderWayIsUnknown(t *testing.T) {
	for _, ran := range []bool{false, true} {
		t.Run(fmt.Sprintf("ran=%v", ran), func(t *testing.T) {
			each(t, setup{}, func(t *testing.T, w *world) {
				w.n1.fail("exec", hang(ran))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := w.put(ctx, "a")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				requireUnknown(t, err)
				w.honest(err, "a")
			})
		})
	}
}

func TestPreparingOutsideATransactionIsTriedAgain(t *testing.T) {
	for _, k := range []kind{full, bare, skips} {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			each(t, setup{kind: k}, func(t *testing.T, w *world) {
				st, err := w.db.PrepareContext(t.Context(), "put ?")
				require.NoError(t, err)
				w.force("n2", 2)
				w.n2.fail("prepare", with(errReset), with(driver.ErrBadConn))
				_, err = st.ExecContext(t.Context(), "A")
				require.NoError(t, err)
				require.NoError(t, st.Close())
				w.n2.fail("ping", with(errReset))
				require.NoError(t, w.db.PingContext(t.Context()))
				_, err = w.db.PrepareContext(t.Context(), "bad")
				require.Equal(t, errSyntax, err)
				require.Equal(t, []string{"A"}, w.n2.has())
			})
		})
	}
}

type null struct{ v *string }

func (n null) Value() (driver.Value, error) {
	if n.v == nil {
		return nil, nil
	}
	return *n.v, nil
}

func TestArgumentsAreConvertedByTheNodeTheyGoTo(t *testing.T) {
	cases := []struct {
		kind kind
		args []any
		want []string
		err  string
	}{
		{kind: full, args: []any{"a", 1, point{1, 2}}, want: []string{"a", "1", "(1,2)"}},
		{kind: full, args: []any{option{"x"}, "a", option{"y"}, "b"}, want: []string{"a", "b"}},
		{kind: full, args: []any{sql.Named("n", "a")}, want: []string{"a"}},
		{kind: full, args: []any{struct{}{}}, err: "converting argument $1 type"},
		{kind: full, args: []any{sql.Named("n", struct{}{})}, err: `converting argument with name "n" type`},
		{kind: skips, args: []any{point{1, 2}}, want: []string{"(1,2)"}},
		{kind: skips, args: []any{"a", "b"}, err: "expected 1 arguments, got 2"},
		{kind: bare, args: []any{"a"}, want: []string{"A"}},
		{kind: bare, args: []any{(*null)(nil)}, want: []string{"NULL"}},
		{kind: bare, args: []any{null{}}, want: []string{"NULL"}},
		{kind: bare, args: []any{1}, err: "not text: int"},
		{kind: bare, args: []any{point{1, 2}}, err: "not text"},
		{kind: bare, args: []any{"a", "b"}, err: "expected 1 arguments, got 2"},
		{kind: bare, args: []any{sql.Named("n", "a")}, err: "does not support the use of Named Parameters"},
		{kind: legacy, args: []any{"a", 7}, want: []string{"a", "7"}},
		{kind: legacy, args: []any{sql.Named("n", "a")}, err: "does not support the use of Named Parameters"},
	}
	for i, c := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			each(t, setup{kind: c.kind}, func(t *testing.T, w *world) {
				w.hold(2) // what is bound is n2
				w.force("n2", 2)
				_, err := w.db.ExecContext(t.Context(), "put ?", c.args...)
				var v string
				qerr := w.db.QueryRowContext(t.Context(), "putget ?", c.args...).Scan(&v)
				if c.err != "" {
					require.ErrorContains(t, err, c.err)
					require.ErrorContains(t, qerr, c.err)
					require.Empty(t, w.n2.has())
					return
				}
				require.NoError(t, err)
				require.NoError(t, qerr)
				require.Equal(t, append(c.want, c.want...), w.n2.has())
				require.Equal(t, c.want[0], v)
			})
		})
	}
}

func TestDriversLackingOptionalInterfacesWork(t *testing.T) {
	for _, k := range []kind{full, bare, legacy, skips} {
		t.Run(fmt.Sprint("kind ", k), func(t *testing.T) {
			each(t, setup{kind: k}, func(t *testing.T, w *world) {
				for name, op := range ops {
					require.NoError(t, op(t.Context(), w.db), name)
				}
				_, err := w.db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
				require.Error(t, err)
				tx, err := w.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
				if k == full || k == skips {
					require.NoError(t, err)
					require.NoError(t, tx.Rollback())
				} else {
					require.ErrorContains(t, err, "isolation")
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				for name, op := range ops {
					require.ErrorIs(t, op(ctx, w.db), context.Canceled, name)
				}
			})
		})
	}
}

func TestRowsTellWhatTheDriverTells(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		defer rows.Close()
		cols, err := rows.ColumnTypes()
		require.NoError(t, err)
		c := cols[0]
		require.Equal(t, "TEXT", c.DatabaseTypeName())
		require.Equal(t, "string", c.ScanType().String())
		length, ok := c.Length()
		require.True(t, ok)
		require.EqualValues(t, 7, length)
		nullable, ok := c.Nullable()
		require.True(t, ok && nullable)
		p, s, ok := c.DecimalSize()
		require.True(t, ok)
		require.Equal(t, []int64{3, 2}, []int64{p, s})
		require.False(t, rows.NextResultSet())
		require.NoError(t, rows.Err())
	})
}

func TestRowsOfADriverThatTellsNothing(t *testing.T) {
	each(t, setup{kind: bare}, func(t *testing.T, w *world) {
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		defer rows.Close()
		cols, err := rows.ColumnTypes()
		require.NoError(t, err)
		c := cols[0]
		require.Empty(t, c.DatabaseTypeName())
		require.Equal(t, "interface {}", c.ScanType().String())
		_, ok := c.Length()
		require.False(t, ok)
		_, ok = c.Nullable()
		require.False(t, ok)
		_, _, ok = c.DecimalSize()
		require.False(t, ok)
		n := 0
		for rows.Next() {
			n++
		}
		require.Equal(t, 3, n)
		require.False(t, rows.NextResultSet())
		require.NoError(t, rows.Err())
	})
}

func TestFurtherResultSetsAreReached(t *testing.T) {
	each(t, setup{}, func(t *testing.T, w *world) {
		w.n1.set(func() { w.n1.sets = 2 })
		rows, err := w.db.QueryContext(t.Context(), "get")
		require.NoError(t, err)
		var got []string
		for more := true; more; more = rows.NextResultSet() {
			for rows.Next() {
				var v string
				require.NoError(t, rows.Scan(&v))
				got = append(got, v)
			}
		}
		require.NoError(t, rows.Err())
		require.Equal(t, []string{"a", "b", "c", "d", "d"}, got)
		require.NoError(t, rows.Close())
	})
}
