package mariadbnode

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Node is a MariaDB server as a member of a cluster. It keeps no state of its
// own: what it promised is on the server, so that any number of Nodes, in any
// processes, may act on one server. It is safe for concurrent use and owns no
// goroutine beyond those of its pool of connections, which Close ends.
type Node struct {
	cfg    Config
	addr   string
	secret []string
	db     *sql.DB
	closed atomic.Bool
}

// New checks the configuration and returns a node. It connects to nothing. It
// returns a *ConfigError or a *leadership.NodeIDError.
func New(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c, err := dsn("DSN", cfg.DSN, cfg.TLS, cfg.Limits.Dial)
	if err != nil {
		return nil, err
	}
	c.MultiStatements = true // see ask
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, &ConfigError{"DSN", "it cannot be used"}
	}
	n := &Node{cfg: cfg, addr: cfg.Addr, db: sql.OpenDB(poolConnector{connector})}
	if n.addr == "" {
		n.addr = c.Addr
	}
	for _, s := range []string{c.Passwd, cfg.Replication.Password} {
		if s != "" {
			// Of a statement, the server quotes the literal.
			n.secret = append(n.secret, quote(s), s)
		}
	}
	n.db.SetMaxIdleConns(2)
	n.db.SetConnMaxIdleTime(cfg.Limits.Idle / 2)
	return n, nil
}

// ID returns the node's name.
func (n *Node) ID() leadership.NodeID { return n.cfg.ID }

// Addr returns where clients reach the server.
func (n *Node) Addr() string { return n.addr }

// Reparent returns the node as package reparent takes it. Repair is there when
// Config.Rebuild is.
func (n *Node) Reparent() reparent.Node {
	r := reparent.Node{
		ID: n.cfg.ID, Addr: n.addr, Priority: n.cfg.Priority,
		Status: n, Promise: n, StepDown: n, Candidate: n, Follow: n, Enforce: n, Prepare: n,
	}
	if n.cfg.Rebuild != nil {
		r.Repair = n
	}
	return r
}

// Close closes the connections of the node. Calls under way fail; what they
// asked for may still happen.
func (n *Node) Close() error {
	n.closed.Store(true)
	return n.db.Close()
}

// step wraps an error of the server or the driver: it says which step failed
// and shows no secret.
func (n *Node) step(step string, err error) error {
	if err == nil {
		return nil
	}
	if n.closed.Load() {
		return ErrClosed
	}
	return &StepError{Node: n.cfg.ID, Step: step, Err: n.hide(err)}
}

// hide replaces an error whose text shows a secret: a server quotes the
// statement that it could not parse.
func (n *Node) hide(err error) error {
	text := err.Error()
	if clean := n.redact(text); clean == text {
		return err
	}
	var me *mysql.MySQLError
	if errors.As(err, &me) {
		return &mysql.MySQLError{Number: me.Number, SQLState: me.SQLState, Message: n.redact(me.Message)}
	}
	return errors.New(n.redact(text))
}

func (n *Node) redact(text string) string {
	for _, s := range n.secret {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// number returns the server's error code, 0 when err is none of the server's.
func number(err error) uint16 {
	var me *mysql.MySQLError
	if errors.As(err, &me) {
		return me.Number
	}
	return 0
}

// poll calls f every Limits.Poll until it says that it is done, fails, or ctx
// ends.
func (n *Node) poll(ctx context.Context, f func() (done bool, err error)) error {
	t := time.NewTicker(n.cfg.Limits.Poll)
	defer t.Stop()
	for {
		done, err := f()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}
