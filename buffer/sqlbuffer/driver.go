package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"
)

// The functions of this file call a driver the way database/sql does, with its
// fallbacks for drivers that lack an optional interface. Interfaces that are
// deprecated and still supported by database/sql are spelled out.

type (
	execer interface {
		Exec(query string, args []driver.Value) (driver.Result, error)
	}
	queryer interface {
		Query(query string, args []driver.Value) (driver.Rows, error)
	}
	columnConverter interface {
		ColumnConverter(idx int) driver.ValueConverter
	}
)

var (
	errNamed     = errors.New("sqlbuffer: driver does not support the use of Named Parameters")
	errIsolation = errors.New("sqlbuffer: driver does not support non-default isolation level")
	errReadOnly  = errors.New("sqlbuffer: driver does not support read-only transactions")
)

func prepare(ctx context.Context, conn driver.Conn, query string) (driver.Stmt, error) {
	if p, ok := conn.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	st, err := conn.Prepare(query)
	if err == nil && ctx.Err() != nil {
		_ = st.Close()
		return nil, ctx.Err()
	}
	return st, err
}

func begin(ctx context.Context, conn driver.Conn, opts driver.TxOptions) (driver.Tx, error) {
	if b, ok := conn.(driver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	switch {
	case opts.Isolation != 0:
		return nil, &unsent{errIsolation}
	case opts.ReadOnly:
		return nil, &unsent{errReadOnly}
	}
	//lint:ignore SA1019 drivers without BeginTx have only this
	tx, err := conn.Begin()
	if err == nil && ctx.Err() != nil {
		_ = tx.Rollback()
		return nil, ctx.Err()
	}
	return tx, err
}

// exec runs a query without rows on conn, by whichever way the driver offers.
func exec(ctx context.Context, conn driver.Conn, query string, raw []driver.NamedValue) (driver.Result, error) {
	ec, ok := conn.(driver.ExecerContext)
	old, okOld := conn.(execer)
	if ok || okOld {
		args, err := convert(conn, nil, raw)
		if err != nil {
			return nil, err
		}
		var res driver.Result
		if ok {
			res, err = ec.ExecContext(ctx, query, args)
		} else if vals, verr := values(ctx, args); verr != nil {
			return nil, verr
		} else {
			res, err = old.Exec(query, vals)
		}
		if err != driver.ErrSkip {
			return res, err
		}
	}
	st, err := prepare(ctx, conn, query)
	if err != nil {
		return nil, &preparing{err}
	}
	res, err := stmtExec(ctx, conn, st, raw)
	_ = st.Close()
	return res, err
}

// query is exec for rows. The statement it returns, if any, is to be closed
// after the rows.
func query(ctx context.Context, conn driver.Conn, q string, raw []driver.NamedValue) (driver.Rows, driver.Stmt, error) {
	qc, ok := conn.(driver.QueryerContext)
	old, okOld := conn.(queryer)
	if ok || okOld {
		args, err := convert(conn, nil, raw)
		if err != nil {
			return nil, nil, err
		}
		var rows driver.Rows
		if ok {
			rows, err = qc.QueryContext(ctx, q, args)
		} else if vals, verr := values(ctx, args); verr != nil {
			return nil, nil, verr
		} else {
			rows, err = old.Query(q, vals)
		}
		if err != driver.ErrSkip {
			return rows, nil, err
		}
	}
	st, err := prepare(ctx, conn, q)
	if err != nil {
		return nil, nil, &preparing{err}
	}
	rows, err := stmtQuery(ctx, conn, st, raw)
	if err != nil {
		_ = st.Close()
		return nil, nil, err
	}
	return rows, st, nil
}

func stmtExec(ctx context.Context, conn driver.Conn, st driver.Stmt, raw []driver.NamedValue) (driver.Result, error) {
	args, err := convert(conn, st, raw)
	if err != nil {
		return nil, err
	}
	if s, ok := st.(driver.StmtExecContext); ok {
		return s.ExecContext(ctx, args)
	}
	vals, err := values(ctx, args)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 drivers without StmtExecContext have only this
	return st.Exec(vals)
}

func stmtQuery(ctx context.Context, conn driver.Conn, st driver.Stmt, raw []driver.NamedValue) (driver.Rows, error) {
	args, err := convert(conn, st, raw)
	if err != nil {
		return nil, err
	}
	if s, ok := st.(driver.StmtQueryContext); ok {
		return s.QueryContext(ctx, args)
	}
	vals, err := values(ctx, args)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 drivers without StmtQueryContext have only this
	return st.Query(vals)
}

// values is for drivers that know neither names nor contexts.
func values(ctx context.Context, named []driver.NamedValue) ([]driver.Value, error) {
	vals := make([]driver.Value, len(named))
	for i, n := range named {
		if n.Name != "" {
			return nil, &unsent{errNamed}
		}
		vals[i] = n.Value
	}
	if err := ctx.Err(); err != nil {
		return nil, &unsent{err}
	}
	return vals, nil
}

// unsent marks an error that arose here, before the driver was given anything.
type unsent struct{ err error }

func (e *unsent) Error() string     { return e.err.Error() }
func (e *unsent) Unwrap() error     { return e.err }
func (e *unsent) NotExecuted() bool { return true }

// preparing marks an error of the Prepare of a statement that was then not
// run. Preparing has no effect that outlives its connection.
type preparing struct{ err error }

func (e *preparing) Error() string { return e.err.Error() }
func (e *preparing) Unwrap() error { return e.err }
