package mariadbnode

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/leadership"
)

// Limits bound the steps of a call; the context of the call bounds all of them.
// A zero field takes its default.
type Limits struct {
	// Dial bounds a connection attempt. Default 1 s.
	Dial time.Duration
	// Statement is the server-side bound of every statement that should be
	// quick. Default 2 s.
	Statement time.Duration
	// ReadOnly is the server-side bound of SET GLOBAL read_only=1, during which
	// writers wait. Default 3 s.
	ReadOnly time.Duration
	// Idle is after how long the server ends a connection of a call whose
	// coordinator froze. Whole seconds, at least 1. Default 10 s.
	Idle time.Duration
	// Stolen is how long a holder of the turn that has not said its term, or
	// has the same one as the caller, is waited for. Default 250 ms.
	Stolen time.Duration
	// Poll is the pace at which a state of the server is asked for. Default 1 ms.
	Poll time.Duration
	// Drain is how long a drained leader goes on refusing after the time that
	// the drain was given. Default 5 s.
	Drain time.Duration
	_     struct{}
}

func (l *Limits) defaults() error {
	for _, f := range []struct {
		d    *time.Duration
		def  time.Duration
		name string
	}{
		{&l.Dial, time.Second, "Dial"}, {&l.Statement, 2 * time.Second, "Statement"},
		{&l.ReadOnly, 3 * time.Second, "ReadOnly"},
		{&l.Idle, 10 * time.Second, "Idle"}, {&l.Stolen, 250 * time.Millisecond, "Stolen"},
		{&l.Poll, time.Millisecond, "Poll"}, {&l.Drain, 5 * time.Second, "Drain"},
	} {
		if *f.d < 0 {
			return &ConfigError{"Limits." + f.name, "it is negative"}
		}
		if *f.d == 0 {
			*f.d = f.def
		}
	}
	if l.Idle < time.Second {
		return &ConfigError{"Limits.Idle", "it is below 1 s, the server's unit"}
	}
	return nil
}

// Replication is how servers connect to each other.
type Replication struct {
	// User and Password are of the account with REPLICATION SLAVE that every
	// server has. User is required for a node that may follow.
	User     string
	Password string
	// TLS has replicas connect with TLS; the paths are on the servers.
	TLS        bool
	CA         string
	Cert       string
	Key        string
	VerifyCert bool
	// Heartbeat is MASTER_HEARTBEAT_PERIOD. Default 500 ms.
	Heartbeat time.Duration
	_         struct{}
}

// Controller ends the process of a server, for a leader that cannot be made
// read-only because its commits wait for acknowledgements that do not come.
type Controller interface {
	// Kill ends the server at once, as SIGKILL does (not SHUTDOWN), and returns
	// when the process is gone. Whoever supervises it may start it again.
	Kill(ctx context.Context) error
}

// Config describes a node. ID, DSN and, for a node that may follow,
// Replication and Peers are required.
type Config struct {
	ID leadership.NodeID
	// DSN is of the account that this package works with, in the form of
	// github.com/go-sql-driver/mysql: "user:password@tcp(host:port)/". Grants
	// lists what the account needs. It is not shown in any error.
	DSN string
	// TLS, when not nil, is used for the connections of DSN.
	TLS *tls.Config
	// Addr is where clients reach the server; "" is the address in DSN.
	Addr string
	// Peers are the replication addresses, host:port, of the other nodes as
	// this server reaches them.
	Peers map[leadership.NodeID]string
	// PeerDSN are the DSNs of the other nodes' servers, as DSN is of this one's. With
	// that of its source, Repair sees for itself that the source stands by the term
	// before anything is discarded; without, Rebuild has to. No other call uses them.
	PeerDSN     map[leadership.NodeID]string
	Replication Replication
	// RestartsFenced is the operator's statement that the server's option files
	// have read_only=1, skip_slave_start=1 and rpl_semi_sync_master_enabled=0,
	// so that it comes up fenced after every start. Not all of them can be read
	// over SQL. Without it every promise of this node is a held one, upon which
	// nobody can be established, and CanEnforce refuses every policy.
	RestartsFenced bool
	// Observer keeps this node from acknowledging, member or not. A member that is
	// to be removed from the ruleset is made an observer first, and swept: until
	// it has applied the marker that leaves it out, a leader would count its
	// acknowledgements.
	Observer bool
	// Schema is where the node's record and the markers are; "" is "tenure".
	// [a-z0-9_]{1,32}.
	Schema string
	// Priority is the operator's preference among equal candidates.
	Priority int
	// Catalog reads policies; nil: the built-in ones.
	Catalog *leadership.Catalog
	// Controller, when not nil, ends a leader that cannot be made read-only.
	Controller Controller
	// Rebuild, when not nil, makes this server's data a copy of another node's,
	// for example with mariadb-backup, and returns when it serves again, read-only
	// and with gtid_slave_pos set to the position of the copy. The table marker of
	// the schema Schema must be in the copy; node and turn are written anew. It
	// returns an error, and discards nothing, unless From has promised Rebuild.Term
	// and still leads under it; with PeerDSN, Repair has seen that it had and did.
	Rebuild func(ctx context.Context, r Rebuild) error
	Limits  Limits
	// Logger gets a line for what was done beyond what was asked; nil: none.
	Logger *slog.Logger
	_      struct{}
}

// String shows no secret.
func (c Config) String() string { return "mariadbnode.Config{" + string(c.ID) + "}" }

// GoString shows no secret.
func (c Config) GoString() string { return c.String() }

// LogValue implements slog.LogValuer and shows no secret.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String shows no secret.
func (r Replication) String() string { return "mariadbnode.Replication{" + r.User + "}" }

// GoString shows no secret.
func (r Replication) GoString() string { return r.String() }

// LogValue implements slog.LogValuer and shows no secret.
func (r Replication) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Rebuild is what a rebuild of a server is asked for.
type Rebuild struct {
	Node leadership.NodeID
	// From is the node to copy, FromAddr its replication address.
	From     leadership.NodeID
	FromAddr string
	// Term is the one under which From leads.
	Term leadership.Term
	// Holds is what the server holds before.
	Holds State
}

var schemaName = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// dsn reads a DSN and makes it fit for this package's statements.
func dsn(field, text string, t *tls.Config, dial time.Duration) (*mysql.Config, error) {
	c, err := mysql.ParseDSN(text)
	if err != nil {
		// The driver's error may quote the text.
		return nil, &ConfigError{field, `it cannot be read: want "user:password@tcp(host:port)/"`}
	}
	if t != nil {
		c.TLS, c.TLSConfig = t, ""
	}
	if c.Timeout == 0 {
		c.Timeout = dial
	}
	c.InterpolateParams = true
	c.MultiStatements = false
	c.RejectReadOnly = false // 1290 is for the classifier to judge
	c.Logger = &mysql.NopLogger{}
	return c, nil
}

func (c *Config) check() error {
	if err := c.ID.Validate(); err != nil {
		return err
	}
	if c.DSN == "" {
		return &ConfigError{"DSN", "it is empty"}
	}
	if c.Schema == "" {
		c.Schema = "tenure"
	}
	if !schemaName.MatchString(c.Schema) {
		return &ConfigError{"Schema", "want [a-z0-9_]{1,32}"}
	}
	if c.Replication.Heartbeat < 0 {
		return &ConfigError{"Replication.Heartbeat", "it is negative"}
	}
	if c.Replication.Heartbeat == 0 {
		c.Replication.Heartbeat = 500 * time.Millisecond
	}
	c.Peers = maps.Clone(c.Peers)
	for id, addr := range c.Peers {
		if err := id.Validate(); err != nil {
			return err
		}
		if _, _, err := splitAddr(addr); err != nil {
			return &ConfigError{"Peers", fmt.Sprintf("address of %s: %v", id, err)}
		}
	}
	c.PeerDSN = maps.Clone(c.PeerDSN)
	for id, text := range c.PeerDSN {
		if err := id.Validate(); err != nil {
			return err
		}
		if _, err := dsn("PeerDSN", text, c.TLS, c.Limits.Dial); err != nil {
			return err
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c.Limits.defaults()
}

func splitAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 || host == "" {
		return "", 0, fmt.Errorf("want host:port")
	}
	return host, port, nil
}
