package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
)

// rows is the end of a query: outside a transaction its turn lasts until they
// are closed, and only then it is known whether its OK counts.
type rows struct {
	c    *Conn
	b    *binding
	ctx  context.Context
	real driver.Rows
	stmt driver.Stmt // closed with the rows; nil for none
	t    *ticket     // outside a transaction
	tx   *tx         // in one
	j    *joint      // that the query was called with
	room joint
	held bool // the connection is watched for it

	settled bool
	outcome error
	closed  bool
}

var (
	_ driver.RowsNextResultSet              = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
)

func (r *rows) Columns() []string { return r.real.Columns() }

// open keeps the connection watched until the rows are closed.
func (r *rows) open(ctx context.Context) {
	r.b.w.hold()
	r.held, r.j = true, keep(ctx)
}

// drop closes the driver's rows, once.
func (r *rows) drop() (err error) {
	if !r.held {
		return nil
	}
	r.held = false
	defer r.b.w.release()
	defer r.j.release()
	r.b.w.begin()
	defer r.b.w.end()
	err = r.real.Close()
	if r.stmt != nil {
		_ = r.stmt.Close()
	}
	return err
}

func (r *rows) next(dest []driver.Value) error {
	r.b.w.calls.Add(1)
	defer r.b.w.calls.Add(1)
	return r.real.Next(dest)
}

func (r *rows) Next(dest []driver.Value) error {
	err := r.next(dest)
	if err == io.EOF && !r.HasNextResultSet() {
		if err := r.settle(nil); err != nil {
			return err
		}
		return io.EOF
	}
	return r.seen(err)
}

// seen judges an error in the midst of the rows. Nothing is run again: its
// caller has seen a part.
func (r *rows) seen(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case r.tx != nil:
		return r.tx.failed(r.ctx, err)
	}
	again, verdict := r.b.judge(r.ctx, "query", err)
	if again {
		// A proof that nothing was sent comes too late to be one.
		r.b.broken = true
		verdict = r.b.unknown("query", hide(err))
	}
	return r.settle(verdict)
}

// settle decides, once, how the query ended: outside a transaction, at its last
// row or when it is closed, by whether its OK counts.
func (r *rows) settle(err error) error {
	if r.t == nil || r.settled {
		return err
	}
	r.settled = true
	if err == nil {
		err = r.b.acknowledged("query")
	}
	r.outcome = err
	return err
}

func (r *rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.seen(r.drop())
	if r.t == nil {
		return err
	}
	if serr := r.settle(nil); serr != nil {
		err = serr
	}
	r.t.done(r.outcome)
	return err
}

func (r *rows) HasNextResultSet() bool {
	n, ok := r.real.(driver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	n, ok := r.real.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	r.b.w.begin()
	err := n.NextResultSet()
	r.b.w.end()
	return r.seen(err)
}

// What the driver does not tell is answered as database/sql would without it.

func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if c, ok := r.real.(driver.RowsColumnTypeScanType); ok {
		return c.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if c, ok := r.real.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return c.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	if c, ok := r.real.(driver.RowsColumnTypeLength); ok {
		return c.ColumnTypeLength(i)
	}
	return 0, false
}

func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if c, ok := r.real.(driver.RowsColumnTypeNullable); ok {
		return c.ColumnTypeNullable(i)
	}
	return false, false
}

func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if c, ok := r.real.(driver.RowsColumnTypePrecisionScale); ok {
		return c.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
