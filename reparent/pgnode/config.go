package pgnode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// Peer is another node as this one reaches it.
type Peer struct {
	// Conn is its connection string for the node's role, as Config.Conn. The
	// node asks there whether the peer leads, and pg_rewind reads from it.
	Conn string
	// Replication is what primary_conninfo is made of; "" is Conn. A password in
	// it is stored in postgresql.auto.conf, as PostgreSQL does: passfile= keeps
	// it out.
	Replication string
}

// Config describes a node. A Node runs beside its server: one per machine, or
// one that a Controller and Files reach the server's machine for. Whatever it
// is, Dir belongs to one server and is reached by nobody else.
type Config struct {
	// ID is the node's name in the cohort. Required.
	ID leadership.NodeID
	// Conn is the connection string of the server, "host=... user=..." or a
	// postgres:// URL, for the node's own role (see Grants). Required. The
	// database is where the marker table is.
	Conn string
	// Addr is where clients reach the server, host:port; it goes into the
	// registry's record when the node leads. Required.
	Addr string
	// Data is the data directory on the server's machine. Required.
	Data string
	// HBA is the path of pg_hba.conf; "" is the one in Data.
	HBA string
	// Dir keeps what the node must not forget: its promise above all. It must
	// exist, on storage that survives what the server's storage survives, and
	// must not be in Data, where pg_rewind and pg_basebackup replace files by
	// those of another node. Required.
	Dir string
	// Peers are the other nodes of the cohort. Required for following.
	Peers map[leadership.NodeID]Peer
	// Controller starts and stops the server. Required.
	Controller Controller
	// Files reaches the server's files; nil is this machine's.
	Files Files
	// Admit are the roles besides the node's own that a closed gate lets in, such
	// as those that standbys replicate as. A session of such a role is not ended
	// when the leadership is, so it must not write what matters.
	Admit []string
	// AdmitMethod is how the roles that a closed gate lets in authenticate;
	// "" is scram-sha-256.
	AdmitMethod string
	// Priority is the operator's preference among equal candidates.
	Priority int
	// Limits bound what is done at the server.
	Limits Limits

	_ struct{}
}

// Limits bound the steps at a server. A zero field takes its default.
type Limits struct {
	// Connect bounds one connection attempt, and each statement that asks how
	// the server is. Default 2 s.
	Connect time.Duration
	// Stop bounds an orderly stop, after which the server is stopped at once.
	// An orderly one waits until attached standbys have the whole log. Default
	// 5 s.
	Stop time.Duration
	// Start bounds how long a server that was started may take until it
	// answers. Default 30 s.
	Start time.Duration
	// Promote bounds pg_promote. Default 10 s.
	Promote time.Duration
	_       struct{}
}

func (l *Limits) defaults() error {
	for _, f := range []struct {
		d    *time.Duration
		def  time.Duration
		name string
	}{
		{&l.Connect, 2 * time.Second, "Connect"}, {&l.Stop, 5 * time.Second, "Stop"},
		{&l.Start, 30 * time.Second, "Start"}, {&l.Promote, 10 * time.Second, "Promote"},
	} {
		if *f.d < 0 {
			return &ConfigError{"Limits." + f.name, "it is negative"}
		}
		if *f.d == 0 {
			*f.d = f.def
		}
	}
	return nil
}

// ConfigError is returned by New and Init for what cannot be used. Nothing was
// touched.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "pgnode: config: " + e.Field + ": " + e.Reason }

// NotExecuted reports true.
func (e *ConfigError) NotExecuted() bool { return true }

func (c *Config) check() error {
	if err := c.ID.Validate(); err != nil {
		return err
	}
	for _, f := range []struct{ name, v string }{{"Conn", c.Conn}, {"Addr", c.Addr}, {"Data", c.Data}, {"Dir", c.Dir}} {
		if f.v == "" {
			return &ConfigError{f.name, "it is empty"}
		}
	}
	switch {
	case c.Controller == nil:
		return &ConfigError{"Controller", "it is nil"}
	case !filepath.IsAbs(c.Data):
		return &ConfigError{"Data", "want an absolute path"}
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return &ConfigError{"Dir", err.Error()}
	}
	if rel, err := filepath.Rel(c.Data, dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return &ConfigError{"Dir", "it is in the data directory, which pg_rewind overwrites with another node's"}
	}
	if c.HBA == "" {
		c.HBA = filepath.Join(c.Data, "pg_hba.conf")
	}
	if c.AdmitMethod == "" {
		c.AdmitMethod = "scram-sha-256"
	}
	for _, s := range append([]string{c.AdmitMethod}, c.Admit...) {
		if strings.ContainsAny(s, "\r\n") || s == "" {
			return &ConfigError{"Admit", fmt.Sprintf("%q cannot be in a line of pg_hba.conf", s)}
		}
	}
	if c.Files == nil {
		c.Files = LocalFiles{}
	}
	for id, p := range c.Peers {
		if err := id.Validate(); err != nil {
			return err
		}
		if p.Replication == "" {
			p.Replication = p.Conn
		}
		for _, s := range []string{p.Conn, p.Replication} {
			if m, err := parseConninfo(s); err != nil || len(m) == 0 {
				return &ConfigError{"Peers", fmt.Sprintf("%s: it is no connection string", id)}
			}
		}
	}
	return c.Limits.defaults()
}

// Init makes the record of a node that never was one: on the first boot of a new
// member, and never again, since a node that lost its record has lost what it
// promised and must come back under another name. It asks the server nothing.
//
// It returns a *ConfigError, a *leadership.NodeIDError, an *acceptor.ExistsError
// when there is a record, or what writing it returned; then some of it may be
// there, and calling Init again settles it.
func Init(ctx context.Context, cfg Config) error {
	n, err := newNode(cfg)
	if err != nil {
		return err
	}
	if err := n.take(ctx, leadership.Term{}); err != nil {
		return err
	}
	defer n.give()
	unlock, err := lockDir(ctx, n.cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	own, ok, err := loadLineage(n.cfg.Dir)
	if err != nil {
		return err
	}
	if !ok {
		own = lineage{Incarnation: "pg-" + strings.ToLower(rand.Text()[:16])}
		if err := own.save(n.cfg.Dir); err != nil {
			return err
		}
	}
	_, err = acceptor.Create(ctx, n.store, n.cfg.ID, own.Incarnation)
	return err
}

// New returns the node. It dials nothing. The server may be down.
//
// It returns a *ConfigError, a *leadership.NodeIDError, an
// *acceptor.NoRecordError before Init, a *leadership.IncarnationError when Dir is
// another node's, or a *leadership.CorruptError.
func New(cfg Config) (*Node, error) {
	n, err := newNode(cfg)
	if err != nil {
		return nil, err
	}
	own, ok, err := loadLineage(n.cfg.Dir)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &acceptor.NoRecordError{Node: cfg.ID}
	}
	if _, err := acceptor.Open(context.Background(), n.store, cfg.ID, own.Incarnation, acceptor.Options{Catalog: n.catalog}); err != nil {
		return nil, err
	}
	return n, nil
}

func newNode(cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	conf, err := pgx.ParseConfig(cfg.Conn)
	if err != nil {
		// The error of pgx shows no password.
		return nil, &ConfigError{"Conn", err.Error()}
	}
	store, err := acceptor.OpenFile(cfg.Dir)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, conf: conf, store: store, catalog: &leadership.Catalog{}, turn: make(chan struct{}, 1), peers: map[leadership.NodeID]*session{}}
	if err := RegisterPoint(n.catalog); err != nil {
		return nil, err
	}
	roles := append([]string{conf.User}, cfg.Admit...)
	n.admit = admitRules(roles, cfg.AdmitMethod)
	n.exempt = roles
	return n, nil
}

// errNoPeer is returned for a leader or donor that Config.Peers does not name.
var errNoPeer = errors.New("pgnode: Config.Peers does not name it")

func (n *Node) peer(id leadership.NodeID) (Peer, error) {
	p, ok := n.cfg.Peers[id]
	if !ok {
		return Peer{}, fmt.Errorf("%w: %w", errNoPeer, &leadership.UnknownNodeError{Node: id})
	}
	if p.Replication == "" {
		p.Replication = p.Conn
	}
	return p, nil
}
