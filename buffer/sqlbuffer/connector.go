package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// Node is how to reach one server.
type Node struct {
	// Connector dials the server. Required. Its Connect is called in the
	// goroutine and with the context of the statement that needs it.
	Connector driver.Connector
	// Classify says what an error of this driver proves about the statement it
	// is about. It is asked first; Unclassified, or nil, leaves the error to
	// the rules in the package documentation. Return Answered for errors that
	// the server sent in reply to a statement it did not, or only partly, run,
	// such as a syntax error or a failed constraint: else a statement outside
	// a transaction ends as one of unknown outcome. An error code is hardly
	// ever proof of non-execution: a procedure may have half run when it hits
	// a read-only server.
	Classify func(err error) buffer.Class
	// Check asks a connection, by a statement of its own, whether the server
	// leads as to. It runs after each dial and, on a connection that was
	// dialled earlier, while the lane is not serving or while the last answer
	// on it was a refusal: what is sent as a probe is then never a user's
	// statement. Any error keeps the statement from being sent and ends the
	// connection, but for one with a *leadership.Refusal in it, which holds the
	// lane and leaves the connection to the next try. nil for servers that
	// check terms themselves.
	Check func(ctx context.Context, conn driver.Conn, to leadership.Leadership) error
	// Abort makes what is under way on conn return: a Commit whose context
	// ended, a Rollback, or anything that a superseded leader does not answer.
	// It closes the socket, or kills the session over a connection of its own;
	// after it the connection is closed. It is called from another goroutine
	// than the one in the driver, which may be in any of its methods, and again
	// until the driver returns; the context of each call ends Config.Budget
	// after it at the latest. It must not ask the server to cancel a commit:
	// some answer that with success.
	//
	// With nil, Commit and Rollback take as long as the driver does, and the
	// context that it has for a statement, derived from the caller's, ends in
	// the place of an abort. With Abort the driver gets the caller's own.
	Abort func(ctx context.Context, conn driver.Conn) error
	// DistrustBadConn says that this driver returns driver.ErrBadConn for
	// statements that may have been sent, against that error's contract
	// (golang/go#11978, go-sql-driver/mysql#302, lib/pq#939). Then it proves
	// nothing. For Commit it never does.
	DistrustBadConn bool

	_ struct{}
}

// Config says how to reach the nodes. The zero values of all but Nodes are
// usable.
type Config struct {
	// Nodes returns the node to dial for a leader; addr is what the lane knows
	// of its address and may be empty. Required. It is called for each dial,
	// must not block, and is safe for concurrent use. An error counts as a
	// failed dial: the statement is held and the node asked for again, until a
	// bound of the buffer ends that.
	Nodes func(id leadership.NodeID, addr string) (Node, error)
	// Bytes is what a held statement or transaction counts against the
	// buffer's caps. 0 is allowed.
	Bytes int64
	// Budget bounds what is done after a context has ended, or for calls that
	// have none: one call of Node.Abort, and a Rollback before it is aborted.
	// 0 means 1s.
	Budget time.Duration
	// Linger is how long anything may stay unanswered once its leadership is
	// known to be superseded, before it is aborted. 0 means 1s. A Commit is
	// aborted then, anything else within a quarter of Linger (at least 2ms)
	// more. What is answered before counts as Trust says.
	Linger time.Duration
	// Patience is how long InTx restarts a unit under one leadership, counted
	// from the first of these restarts, what is held in between included. 0
	// means 10s; one whose buffer has a higher MaxAge may want as much. It ends
	// a unit that breaks every connection itself, by a packet that is too large
	// say. A later leadership is another chance.
	Patience time.Duration
	// Trust reports whether old was ended by a step-down that left no
	// survivors, so that what it acknowledged is part of what later
	// leaderships hold. Then its late acknowledgements count. nil trusts
	// none. It must not block and is safe for concurrent use.
	Trust func(old, now leadership.Leadership) bool

	_ struct{}
}

// Connector follows the leader of one lane. Make one with New and give it to
// sql.OpenDB, one Connector for each DB. It is safe for concurrent use.
type Connector struct {
	lane *buffer.Lane
	cfg  Config
	turn chan struct{} // one InTx at a time asks the pool
	// blocked counts those who wait in the lane with a connection of the pool.
	blocked gauge
}

// New returns a connector that follows the leader of lane, or a *ConfigError.
// It dials nothing. The lane must be fed, by Buffer.Follow or Lane.Observe: as
// long as it knows no leader, statements are held.
func New(lane *buffer.Lane, cfg Config) (*Connector, error) {
	switch {
	case lane == nil:
		return nil, &ConfigError{"lane", "is nil"}
	case cfg.Nodes == nil:
		return nil, &ConfigError{"Nodes", "is nil"}
	case cfg.Bytes < 0:
		return nil, &ConfigError{"Bytes", "is negative"}
	case cfg.Budget < 0:
		return nil, &ConfigError{"Budget", "is negative"}
	case cfg.Linger < 0:
		return nil, &ConfigError{"Linger", "is negative"}
	case cfg.Patience < 0:
		return nil, &ConfigError{"Patience", "is negative"}
	}
	if cfg.Budget == 0 {
		cfg.Budget = time.Second
	}
	if cfg.Linger == 0 {
		cfg.Linger = time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	return &Connector{lane: lane, cfg: cfg, turn: make(chan struct{}, 1)}, nil
}

// Connect implements driver.Connector. It neither dials nor waits, because
// database/sql may call it from its own goroutine, with the context of the DB:
// the connection is dialled by the first statement that uses it. It fails for
// the zero Connector only, with a *ConfigError.
func (c *Connector) Connect(context.Context) (driver.Conn, error) {
	if c.lane == nil {
		return nil, errNotMade
	}
	return &Conn{c: c}, nil
}

// Driver implements driver.Connector.
func (c *Connector) Driver() driver.Driver { return connDriver{c} }

// Lane returns the lane that the connector follows.
func (c *Connector) Lane() *buffer.Lane { return c.lane }

// connDriver leads from a *sql.DB back to its Connector.
type connDriver struct{ c *Connector }

// Open implements driver.Driver. It always fails: there is no name to open.
func (connDriver) Open(string) (driver.Conn, error) { return nil, errOpen }

var errNotMade error = &ConfigError{"Connector", "was not made by New"}

var errOpen = errors.New("sqlbuffer: use sql.OpenDB with a Connector")

// superseded reports whether the lane knows a later leadership than l, and
// which.
func (c *Connector) superseded(l leadership.Leadership) (leadership.Leadership, bool) {
	now, _ := c.lane.Leader()
	return now, l.Term.Less(now.Term)
}

// overtaken returns why nothing is handed to l any more, if so.
func (c *Connector) overtaken(l leadership.Leadership) error {
	if now, gone := c.superseded(l); gone {
		return fmt.Errorf("sqlbuffer: %s is superseded by %s", l, now)
	}
	return nil
}

// dial connects to the leader.
func (c *Connector) dial(ctx context.Context, to leadership.Leadership, addr string) (*binding, error) {
	n, err := c.cfg.Nodes(to.Leader, addr)
	if err == nil && n.Connector == nil {
		err = errNoConnector
	}
	if err != nil {
		return nil, &NodeError{to.Leader, addr, hide(err)}
	}
	b := &binding{c: c, node: n, to: to}
	b.w = newWatch(b, c.cfg.Linger)
	var conn driver.Conn
	err = b.call(ctx, nil, func(ctx context.Context, _ *binding) (err error) {
		conn, err = n.Connector.Connect(ctx)
		return err
	})
	if err != nil {
		return nil, hide(b.cut(ctx, err))
	}
	b.opened(conn)
	return b, nil
}

var errNoConnector = errors.New("its Connector is nil")
