package pgnode

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// UnreplicatedError is returned in the place of a success: the commit is on the
// leader, and its wait for standbys was cancelled, of which PostgreSQL tells the
// client in a warning beside the tag of success. The next leader may have it or
// not, so it is a leadership.ErrUnknownOutcome.
type UnreplicatedError struct{}

func (*UnreplicatedError) Error() string {
	return "pgnode: committed on the leader, and the wait for its standbys was cancelled: it may be lost with the leader"
}

// Unwrap returns leadership.ErrUnknownOutcome.
func (*UnreplicatedError) Unwrap() error { return leadership.ErrUnknownOutcome }

// unreplicatedKey marks a connection whose last wait was cancelled.
const unreplicatedKey = "tenure.unreplicated"

// isCancelledWait reports whether a notice says that a wait for standbys was
// cancelled. The code of the notice is that of any warning, and its text is in the
// server's language; the routine that it comes from is neither.
func isCancelledWait(n *pgconn.Notice) bool {
	return n != nil && n.Routine == "SyncRepWaitForLSN"
}

func watch(next pgconn.NoticeHandler) pgconn.NoticeHandler {
	return func(c *pgconn.PgConn, n *pgconn.Notice) {
		if isCancelledWait(n) {
			c.CustomData()[unreplicatedKey] = true
		}
		if next != nil {
			next(c, n)
		}
	}
}

// taken reports whether a wait of the connection was cancelled since the last call.
func taken(c *pgconn.PgConn) bool {
	_, was := c.CustomData()[unreplicatedKey]
	delete(c.CustomData(), unreplicatedKey)
	return was
}

func (s *session) unreplicated() bool { return taken(s.c) }

// Connector returns a driver.Connector over pgx for clients of the cluster, that
// differs from pgx's own in two ways. A commit whose wait for standbys was
// cancelled is an *UnreplicatedError, not a success. And a connection whose
// context ends is closed, without the request to cancel by which pgx would end
// the wait of a commit on its way and show the others a row that no standby has.
func Connector(conf pgx.ConnConfig) driver.Connector {
	conf.Config = *conf.Config.Copy()
	conf.OnNotice = watch(conf.OnNotice)
	return &connector{Connector: stdlib.GetConnector(conf,
		stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
			c.Config = *c.Config.Copy()
			neverCancel(&c.Config)
			return nil
		}))}
}

// neverCancel keeps the one connection that is made with c from asking the server
// to cancel a statement whose context has ended.
func neverCancel(c *pgconn.Config) {
	var up atomic.Bool
	dial, after := c.DialFunc, c.AfterConnect
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if up.Load() {
			return nil, errNoCancel
		}
		return dial(ctx, network, addr)
	}
	c.AfterConnect = func(ctx context.Context, pc *pgconn.PgConn) error {
		up.Store(true)
		if after == nil {
			return nil
		}
		return after(ctx, pc)
	}
}

// errNoCancel keeps a connection from dialling once more, which it does for a
// request to cancel and for nothing else.
var errNoCancel = errors.New("pgnode: a commit on its way is never cancelled")

type connector struct{ driver.Connector }

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: dc.(*stdlib.Conn)}, nil
}

// Conn is a connection of Connector. (*sql.Conn).Raw shows it.
type Conn struct{ *stdlib.Conn }

// LostError is returned when a statement was handed to pgx and its connection broke
// before the answer. It is a leadership.ErrUnknownOutcome.
//
// pgx (5.12) reports some of these as errors that are safe to retry, and hands them
// to database/sql as driver.ErrBadConn, upon which that runs the statement again: a
// read that fails between the messages of an answer closes the connection, and what
// is returned is that the connection is closed, as if nothing had been sent
// (pgconn.MultiResultReader.NextResult). This package takes nobody's word for it but
// its own look at the connection before the statement.
type LostError struct{ Err error }

func (e *LostError) Error() string { return "pgnode: the connection broke: " + e.Err.Error() }

// Unwrap returns leadership.ErrUnknownOutcome, and Err unless that says of itself
// that the statement may be run again.
func (e *LostError) Unwrap() []error {
	if errors.Is(e.Err, driver.ErrBadConn) || pgconn.SafeToRetry(e.Err) {
		return []error{leadership.ErrUnknownOutcome}
	}
	return []error{leadership.ErrUnknownOutcome, e.Err}
}

// settle returns the error of a statement that was handed over: a success that was
// not waited for is none, and that it was not sent nobody can tell any more.
func (c *Conn) settle(err error) error {
	var pe *pgconn.PgError
	switch waited := !taken(c.Conn.Conn().PgConn()); {
	case err == nil && !waited:
		return &UnreplicatedError{}
	case err == nil || errors.As(err, &pe):
		return err
	case errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err), c.Conn.Conn().IsClosed():
		return &LostError{err}
	}
	return err
}

// closed returns driver.ErrBadConn for a connection that is closed before anything
// is handed to it: this one proves that nothing was sent.
func (c *Conn) closed() error {
	if c.Conn.Conn().IsClosed() {
		return driver.ErrBadConn
	}
	return nil
}

// ExecContext implements driver.ExecerContext.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	res, err := c.Conn.ExecContext(ctx, query, args)
	if err = c.settle(err); err != nil {
		return nil, err
	}
	return res, nil
}

// QueryContext implements driver.QueryerContext.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	r, err := c.Conn.QueryContext(ctx, query, args)
	return c.rows(r, err)
}

func (c *Conn) rows(r driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, c.settle(err)
	}
	pr, ok := r.(*stdlib.Rows)
	if !ok {
		return nil, errors.New("pgnode: rows of an unknown driver")
	}
	return &rows{Rows: pr, c: c}, nil
}

// BeginTx implements driver.ConnBeginTx.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	t, err := c.Conn.BeginTx(ctx, opts)
	if err != nil {
		return nil, c.settle(err)
	}
	return &tx{Tx: t, c: c}, nil
}

// Begin implements driver.Conn.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// Prepare implements driver.Conn.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	s, err := c.Conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, c.settle(err)
	}
	return &stmt{Stmt: s.(*stdlib.Stmt), c: c}, nil
}

type stmt struct {
	*stdlib.Stmt
	c *Conn
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.c.closed(); err != nil {
		return nil, err
	}
	res, err := s.Stmt.ExecContext(ctx, args)
	if err = s.c.settle(err); err != nil {
		return nil, err
	}
	return res, nil
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.c.closed(); err != nil {
		return nil, err
	}
	r, err := s.Stmt.QueryContext(ctx, args)
	return s.c.rows(r, err)
}

type tx struct {
	driver.Tx
	c *Conn
}

func (t *tx) Commit() error { return t.c.settle(t.Tx.Commit()) }

func (t *tx) Rollback() error { return t.c.settle(t.Tx.Rollback()) }

// rows are those of a statement, which has committed by itself, or not, when they
// end.
type rows struct {
	*stdlib.Rows
	c *Conn
}

func (r *rows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if errors.Is(err, io.EOF) {
		if lost := r.c.settle(nil); lost != nil {
			return lost
		}
		return err
	}
	return r.c.settle(err)
}

func (r *rows) Close() error { return r.c.settle(r.Rows.Close()) }

// Classify says what an error of pgx proves, for sqlbuffer.Node. An answer of the
// server is an Answered: the statement failed and was rolled back, as far as one
// statement can tell, since a procedure may commit on its way. A session that the
// server ended, and a commit that was not waited for, prove nothing.
func Classify(err error) buffer.Class {
	var pe *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, leadership.ErrUnknownOutcome):
		return buffer.Unclassified
	case errors.As(err, &pe):
		if pe.SeverityUnlocalized == "FATAL" || pe.SeverityUnlocalized == "PANIC" || pe.Severity == "FATAL" {
			return buffer.MaybeExecuted
		}
		return buffer.Answered
	}
	return buffer.Unclassified
}

// Check asks a connection whether its server leads to, for sqlbuffer.Node: the
// server is no standby, and the newest marker in its log is to's. Its role needs
// SELECT on tenure.marker.
func Check(ctx context.Context, conn driver.Conn, to leadership.Leadership) error {
	c, ok := conn.(*Conn)
	if !ok {
		return errors.New("pgnode: not a connection of pgnode.Connector")
	}
	var standby bool
	var term, leader string
	err := c.Conn.Conn().QueryRow(ctx, "SELECT pg_is_in_recovery(), coalesce((SELECT term FROM tenure.marker ORDER BY seq DESC LIMIT 1), '0'), coalesce((SELECT leader FROM tenure.marker ORDER BY seq DESC LIMIT 1), '')").Scan(&standby, &term, &leader)
	if err != nil {
		return err
	}
	t, err := leadership.ParseTerm(term)
	if err != nil {
		return err
	}
	if standby || t != to.Term || leadership.NodeID(leader) != to.Leader {
		return &leadership.Refusal{Term: t, Until: leadership.MaxTerm(t, to.Term), Reason: "the server does not lead " + to.String()}
	}
	return nil
}

// Abort makes a Commit on conn return, for sqlbuffer.Node, by closing its socket.
// The server goes on with the commit, whose outcome is unknown. To cancel it would
// make it visible before any standby has it.
func Abort(_ context.Context, conn driver.Conn) error {
	c, ok := conn.(*Conn)
	if !ok {
		return errors.New("pgnode: not a connection of pgnode.Connector")
	}
	return c.Conn.Conn().PgConn().Conn().Close()
}

// SQL returns how clients reach a server with sqlbuffer: give it to
// sqlbuffer.Config.Nodes with a conf for the address that is asked for.
func SQL(conf pgx.ConnConfig) sqlbuffer.Node {
	return sqlbuffer.Node{Connector: Connector(conf), Classify: Classify, Check: Check, Abort: Abort}
}
