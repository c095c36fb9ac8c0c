package mariadbnode

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// SQLConfig says how an application reaches the servers.
type SQLConfig struct {
	// DSN is the application's own, in the form of
	// github.com/go-sql-driver/mysql. Its address is replaced by that of the
	// leader. The account needs what AppGrants says besides what the application
	// needs, and must not have READ_ONLY ADMIN.
	DSN string
	// TLS, when not nil, is used for the connections of DSN.
	TLS *tls.Config
	// Schema is that of Config.Schema; "" is "tenure".
	Schema string
	// SingleStatements states that the application calls no stored procedures,
	// sends one statement at a time and uses no tables without transactions.
	// Then error 1290 (read-only) proves that the statement it answers was not
	// executed, and the statement is held and sent to the next leader. Without
	// it nothing is proven, since a CALL may have half run.
	SingleStatements bool
	_                struct{}
}

// String shows no secret.
func (c SQLConfig) String() string { return "mariadbnode.SQLConfig{" + c.Schema + "}" }

// GoString shows no secret.
func (c SQLConfig) GoString() string { return c.String() }

// LogValue implements slog.LogValuer and shows no secret.
func (c SQLConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// SQL returns the Nodes function of a sqlbuffer.Config. It returns a
// *ConfigError. The lane must be one that counts (buffer.Config.Counted): a
// MariaDB server checks no terms.
func SQL(cfg SQLConfig) (func(id leadership.NodeID, addr string) (sqlbuffer.Node, error), error) {
	if cfg.Schema == "" {
		cfg.Schema = "tenure"
	}
	if !schemaName.MatchString(cfg.Schema) {
		return nil, &ConfigError{"Schema", "want [a-z0-9_]{1,32}"}
	}
	base, err := dsn("DSN", cfg.DSN, cfg.TLS, time.Second)
	if err != nil {
		return nil, err
	}
	return func(id leadership.NodeID, addr string) (sqlbuffer.Node, error) {
		if addr == "" {
			return sqlbuffer.Node{}, &ConfigError{"addr", fmt.Sprintf("the record has no address of %q", string(id))}
		}
		c := base.Clone()
		c.Addr = addr
		return sqlNode(c, id, cfg)
	}, nil
}

func sqlNode(c *mysql.Config, id leadership.NodeID, cfg SQLConfig) (sqlbuffer.Node, error) {
	connector := &appConnector{}
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer(dial)(ctx, network, addr)
		if s, ok := ctx.Value(socketKey{}).(*socket); ok && err == nil {
			s.set(conn)
		}
		return conn, err
	}
	inner, err := mysql.NewConnector(c)
	if err != nil {
		return sqlbuffer.Node{}, &ConfigError{"DSN", "it cannot be used"}
	}
	connector.inner = inner
	return sqlbuffer.Node{
		Connector: connector,
		Classify:  classifier(cfg.SingleStatements),
		Check: func(ctx context.Context, conn driver.Conn, to leadership.Leadership) error {
			return check(ctx, conn, id, cfg.Schema, to)
		},
		Abort:           abort,
		DistrustBadConn: true,
	}, nil
}

func dialer(f func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if f != nil {
		return f
	}
	return (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
}

// fullConn is what the driver's connections are.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

// appConn is a connection of the driver with its socket.
type appConn struct {
	fullConn
	socket *socket
}

type appConnector struct{ inner driver.Connector }

type socketKey struct{}

// socket is the network connection of a driver's connection.
type socket struct {
	mu   sync.Mutex // guards conn, for moments
	conn net.Conn
}

func (s *socket) set(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
}

func (s *socket) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

// Connect implements driver.Connector.
func (c *appConnector) Connect(ctx context.Context) (driver.Conn, error) {
	s := &socket{}
	conn, err := c.inner.Connect(context.WithValue(ctx, socketKey{}, s))
	if err != nil {
		return nil, err
	}
	full, err := full(conn)
	if err != nil {
		return nil, err
	}
	return &appConn{fullConn: full, socket: s}, nil
}

// full returns a connection as what the driver's are, or closes it.
func full(conn driver.Conn) (fullConn, error) {
	if full, ok := conn.(fullConn); ok {
		return full, nil
	}
	_ = conn.Close()
	return nil, errors.New("mariadbnode: the driver's connection lacks an interface")
}

// Driver implements driver.Connector.
func (c *appConnector) Driver() driver.Driver { return c.inner.Driver() }

// abort makes a Commit return: it closes the client's socket. A KILL from
// another connection would be answered with OK now and then although no replica
// has the transaction; a closed socket never is.
func abort(_ context.Context, conn driver.Conn) error {
	c, ok := conn.(*appConn)
	if !ok {
		return errors.New("mariadbnode: not a connection of this package")
	}
	return c.socket.close()
}

// errReadOnly is ER_OPTION_PREVENTS_STATEMENT, for --read-only and a few other
// options.
const errReadOnly = 1290

// classifier says what an error of a statement proves.
func classifier(single bool) func(error) buffer.Class {
	return func(err error) buffer.Class {
		var me *mysql.MySQLError
		switch {
		case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrPktSync):
			return buffer.MaybeExecuted // a lost connection, in the driver's own words
		case !errors.As(err, &me):
			return buffer.Unclassified
		}
		if me.Number == errReadOnly {
			if single && strings.Contains(me.Message, "--read-only") {
				return buffer.Refused
			}
			return buffer.MaybeExecuted
		}
		return answered(me)
	}
}

// answered tells errors about a statement from errors about the session or the
// server: a commit that was interrupted, or whose server is going down, may be
// in the log.
func answered(me *mysql.MySQLError) buffer.Class {
	switch me.Number {
	case errLockWait:
		return buffer.Answered
	}
	switch state := string(me.SQLState[:2]); state {
	case "21", "22", "23", "42", "0A", "40", "3D", "44":
		return buffer.Answered
	case "45": // SIGNAL of the application's own
		return buffer.Answered
	}
	return buffer.MaybeExecuted
}

// check asks a connection whether its server leads as to.
func check(ctx context.Context, conn driver.Conn, id leadership.NodeID, schema string, to leadership.Leadership) error {
	q, ok := conn.(driver.QueryerContext)
	if !ok {
		return errors.New("mariadbnode: the connection cannot be asked")
	}
	row, err := one(ctx, q, "SELECT @@global.read_only, doc, "+selectNow+", (SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME') FROM `"+schema+"`.node WHERE k = 1", 4)
	if err != nil {
		return fmt.Errorf("mariadbnode: ask %s whether it leads: %w", id, err)
	}
	var r record
	if err := json.Unmarshal([]byte(row[1]), &r); err != nil {
		return fmt.Errorf("mariadbnode: the record of %s: %w", id, err)
	}
	var now, start float64
	if _, err := fmt.Sscan(row[2]+" "+row[3], &now, &start); err != nil {
		return fmt.Errorf("mariadbnode: the clock of %s: %w", id, err)
	}
	return r.admits(to, id, row[0] != "0", int64(start), time.UnixMicro(int64(now*1e6)))
}

// soon is when to ask a server again that is about to lead.
const soon = 3 * time.Millisecond

// admits returns a *leadership.Refusal unless the node leads as to and does not
// drain.
func (r *record) admits(to leadership.Leadership, id leadership.NodeID, readOnly bool, start int64, now time.Time) error {
	refuse := func(reason string) error {
		return &leadership.Refusal{Term: to.Term, Until: leadership.MaxTerm(to.Term, r.Promised), Leader: r.Source.Leader, Reason: reason}
	}
	switch led := r.led(readOnly, start); {
	case r.Granted.IsZero() && r.Promised == to.Term && r.Source == to && r.Node == id && to.Leader == id:
		// Its marker is in its log: the grant is a few messages away.
		return &leadership.Refusal{Term: to.Term, Until: to.Term, Leader: id, Reason: "it is about to lead", RetryAfter: soon}
	case r.Node != id || to.Leader != id:
		return refuse("this server is " + string(r.Node))
	case led != to.Term || r.Promised != to.Term:
		return refuse(fmt.Sprintf("it leads under %s and has promised %s", led, r.Promised))
	case !r.draining(now).IsZero():
		return &leadership.Refusal{Term: to.Term, Until: r.Drain, Reason: "it drains", RetryAfter: r.draining(now).Sub(now)}
	}
	return nil
}

// one reads one row of text.
func one(ctx context.Context, q driver.QueryerContext, query string, n int) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	vals := make([]driver.Value, n)
	if err := rows.Next(vals); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it has no record")
		}
		return nil, err
	}
	out := make([]string, n)
	for i, v := range vals {
		switch v := v.(type) {
		case []byte:
			out[i] = string(v)
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out, nil
}
