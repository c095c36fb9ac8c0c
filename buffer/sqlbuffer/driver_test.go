package sqlbuffer_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// kind is how much of database/sql/driver a fake driver implements.
type kind int

const (
	full   kind = iota // all that there is
	bare               // only what is required
	legacy             // the interfaces that came before contexts
	skips              // all, but it leaves arguments to prepared statements
)

type dialer struct {
	n    *server
	kind kind
}

func (d dialer) Driver() driver.Driver { return nil }

func (d dialer) Connect(ctx context.Context) (driver.Conn, error) {
	s, err := d.n.dial(ctx)
	if err != nil {
		return nil, err
	}
	b := bareConn{s}
	switch d.kind {
	case bare:
		return b, nil
	case legacy:
		return legacyConn{b}, nil
	case skips:
		return skipConn{fullConn{b}}, nil
	}
	return fullConn{b}, nil
}

// sessionOf finds the session behind any of the connections.
func sessionOf(c driver.Conn) *session {
	return c.(interface{ session() *session }).session()
}

var background = context.Background()

type bareConn struct{ s *session }

func (c bareConn) session() *session { return c.s }
func (c bareConn) Close() error      { c.s.end(); return nil }

func (c bareConn) Prepare(q string) (driver.Stmt, error) {
	return bareStmt{plainStmt{c.s, q}}, c.s.call(background, "prepare", func() error { return parse(q) })
}

func (c bareConn) Begin() (driver.Tx, error) {
	return fakeTx{c.s, background}, c.s.call(background, "begin", func() error { return c.s.begin(background) })
}

func parse(q string) error {
	switch verb, _, _ := strings.Cut(q, " "); verb {
	case "put", "putget", "get":
		return nil
	}
	return errSyntax
}

// run runs a query: it returns rows for those that have some.
func (s *session) run(ctx context.Context, verb, q string, args []driver.Value) (*fakeRows, error) {
	r := &fakeRows{s: s, ctx: ctx}
	s.n.set(func() { r.sets = s.n.sets })
	err := s.call(ctx, verb, func() error {
		if err := parse(q); err != nil {
			return err
		}
		var ids []string
		for _, a := range args {
			ids = append(ids, fmt.Sprint(a))
		}
		if strings.HasPrefix(q, "get") {
			r.left = []string{"a", "b", "c"}
			ids = nil
		} else if strings.HasPrefix(q, "putget") {
			r.left = ids
		}
		return s.put(ids...)
	})
	return r, err
}

type plainStmt struct {
	s *session
	q string
}

func (st plainStmt) Close() error { return nil }

func (st plainStmt) NumInput() int { return strings.Count(st.q, "?") }

func (st plainStmt) Exec(args []driver.Value) (driver.Result, error) {
	if _, err := st.s.run(background, "exec", st.q, args); err != nil {
		return nil, err
	}
	return driver.RowsAffected(len(args)), nil
}

func (st plainStmt) Query(args []driver.Value) (driver.Rows, error) {
	r, err := st.s.run(background, "query", st.q, args)
	if err != nil {
		return nil, err
	}
	return bareRows{r}, nil
}

type bareStmt struct{ plainStmt }

// ColumnConverter takes text only, in upper case.
func (st bareStmt) ColumnConverter(int) driver.ValueConverter { return upper{} }

type upper struct{}

func (upper) ConvertValue(v any) (driver.Value, error) {
	switch v := v.(type) {
	case string:
		return strings.ToUpper(v), nil
	case nil:
		return "NULL", nil
	}
	return nil, fmt.Errorf("not text: %T", v)
}

type legacyConn struct{ bareConn }

func (c legacyConn) Exec(q string, args []driver.Value) (driver.Result, error) {
	return plainStmt{c.s, q}.Exec(args)
}

func (c legacyConn) Query(q string, args []driver.Value) (driver.Rows, error) {
	return plainStmt{c.s, q}.Query(args)
}

// point is an argument that only this driver knows.
type point struct{ x, y int }

// option is one that is not an argument at all.
type option struct{ name string }

type fullConn struct{ bareConn }

func (c fullConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o.ReadOnly {
		return nil, errSyntax
	}
	return fakeTx{c.s, ctx}, c.s.call(ctx, "begin", func() error { return c.s.begin(ctx) })
}

func (c fullConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	return fullStmt{plainStmt{c.s, q}}, c.s.call(ctx, "prepare", func() error { return parse(q) })
}

func (c fullConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	if _, err := c.s.run(ctx, "exec", q, vals(args)); err != nil {
		return nil, err
	}
	return driver.RowsAffected(len(args)), nil
}

func (c fullConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.s.run(ctx, "query", q, vals(args))
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (c fullConn) Ping(ctx context.Context) error {
	return c.s.call(ctx, "ping", func() error { return nil })
}

func (c fullConn) ResetSession(ctx context.Context) error {
	if f := c.s.n.next("reset"); f != nil {
		return f(ctx, c.s, func() error { return nil })
	}
	return nil
}

func (c fullConn) IsValid() bool { return !c.s.ended() }

func (c fullConn) CheckNamedValue(nv *driver.NamedValue) error {
	switch v := nv.Value.(type) {
	case point:
		nv.Value = fmt.Sprintf("(%d,%d)", v.x, v.y)
		return nil
	case option:
		return driver.ErrRemoveArgument
	}
	return driver.ErrSkip
}

func vals(args []driver.NamedValue) (out []driver.Value) {
	for i, a := range args {
		if a.Ordinal != i+1 {
			panic("ordinals have a hole")
		}
		out = append(out, a.Value)
	}
	return out
}

type fullStmt struct{ plainStmt }

func (st fullStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return fullConn{bareConn{st.s}}.ExecContext(ctx, st.q, args)
}

func (st fullStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return fullConn{bareConn{st.s}}.QueryContext(ctx, st.q, args)
}

type skipConn struct{ fullConn }

func (c skipConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, driver.ErrSkip
}

func (c skipConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, driver.ErrSkip
}

// fakeTx gives a context to Commit as real drivers do: that of BeginTx.
type fakeTx struct {
	s   *session
	ctx context.Context
}

func (t fakeTx) Commit() error {
	return t.s.call(background, "commit", func() error { return t.s.finish(true) })
}

func (t fakeTx) Rollback() error {
	return t.s.call(background, "rollback", func() error { return t.s.finish(false) })
}

// bareRows hides what fakeRows can do besides.
type bareRows struct{ driver.Rows }

type fakeRows struct {
	s    *session
	ctx  context.Context
	left []string
	sets int // further result sets
}

func (r *fakeRows) Columns() []string { return []string{"v"} }

func (r *fakeRows) Next(dest []driver.Value) error {
	if f := r.s.n.next("next"); f != nil {
		if err := f(r.ctx, r.s, func() error { return nil }); err != nil {
			return err
		}
	}
	if len(r.left) == 0 {
		return io.EOF
	}
	dest[0], r.left = r.left[0], r.left[1:]
	return nil
}

func (r *fakeRows) Close() error {
	if f := r.s.n.next("close"); f != nil {
		return f(r.ctx, r.s, func() error { return nil })
	}
	return nil
}

func (r *fakeRows) HasNextResultSet() bool { return r.sets > 0 }

func (r *fakeRows) NextResultSet() error {
	if r.sets == 0 {
		return io.EOF
	}
	r.sets--
	r.left = []string{"d"}
	return nil
}

func (r *fakeRows) ColumnTypeScanType(int) reflect.Type               { return reflect.TypeFor[string]() }
func (r *fakeRows) ColumnTypeDatabaseTypeName(int) string             { return "TEXT" }
func (r *fakeRows) ColumnTypeLength(int) (int64, bool)                { return 7, true }
func (r *fakeRows) ColumnTypeNullable(int) (nullable, ok bool)        { return true, true }
func (r *fakeRows) ColumnTypePrecisionScale(int) (int64, int64, bool) { return 3, 2, true }
