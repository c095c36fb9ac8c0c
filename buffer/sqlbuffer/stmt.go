package sqlbuffer

import (
	"context"
	"database/sql/driver"
)

// stmt is a prepared statement of a virtual session. It is prepared on the
// driver's connection that the session is bound to, and once more when that is
// another.
type stmt struct {
	c    *Conn
	q    string
	b    *binding // that real was prepared on
	real driver.Stmt
}

var (
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

// on prepares the statement on b, unless it is. What was prepared on an older
// binding went with that connection.
func (s *stmt) on(ctx context.Context, b *binding) error {
	if s.b == b {
		return nil
	}
	real, err := prepare(ctx, b.conn, s.q)
	if err != nil {
		return &preparing{err}
	}
	s.b, s.real = b, real
	return nil
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.exec(ctx, func(ctx context.Context, b *binding) (driver.Result, error) {
		if err := s.on(ctx, b); err != nil {
			return nil, err
		}
		return stmtExec(ctx, b.conn, s.real, args)
	})
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.query(ctx, func(ctx context.Context, b *binding) (driver.Rows, driver.Stmt, error) {
		if err := s.on(ctx, b); err != nil {
			return nil, nil, err
		}
		rows, err := stmtQuery(ctx, b.conn, s.real, args)
		return rows, nil, err
	})
}

// CheckNamedValue takes anything, see Conn.
func (s *stmt) CheckNamedValue(*driver.NamedValue) error { return nil }

// NumInput returns -1: the arguments are counted once they are converted.
func (s *stmt) NumInput() int { return -1 }

// Close closes what was prepared, unless its connection is gone.
func (s *stmt) Close() error {
	if s.real == nil || s.b != s.c.b {
		return nil
	}
	real, b := s.real, s.b
	s.real, s.b = nil, nil
	b.w.begin()
	defer b.w.end()
	return hide(real.Close())
}

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return out
}
