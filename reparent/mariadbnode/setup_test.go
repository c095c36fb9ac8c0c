package mariadbnode_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// Every test runs with exactly the grants that the package documents.
const (
	adminPassword = "s3cret-Admin"
	replPassword  = "s3cret-Repl"
)

// accounts is the template's SQL.
func accounts() string {
	stmts := []string{"CREATE USER 'tenure'@'%' IDENTIFIED BY '" + adminPassword + "'"}
	stmts = append(stmts, mariadbnode.Grants("'tenure'@'%'", "")...)
	stmts = append(stmts,
		"CREATE USER 'repl'@'%' IDENTIFIED BY '"+replPassword+"'",
		"GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'",
		"CREATE DATABASE app",
		"CREATE TABLE app.kv (id BIGINT PRIMARY KEY, v VARCHAR(64) NOT NULL) ENGINE=InnoDB",
		"CREATE DATABASE tenure",
		"CREATE TABLE tenure.node (k TINYINT PRIMARY KEY, doc LONGTEXT NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4",
		"CREATE USER 'app'@'%' IDENTIFIED BY 'app'",
		"GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON app.* TO 'app'@'%'",
	)
	stmts = append(stmts, mariadbnode.AppGrants("'app'@'%'", "")...)
	return strings.Join(stmts, ";\n") + ";\n"
}

// cluster is n servers, a node for each, and a proxy for each directed edge.
type cluster struct {
	t       testing.TB
	servers []*engines.Server
	nodes   []*mariadbnode.Node
	ids     []leadership.NodeID
	admin   []*netproxy.Proxy   // coordinator -> server
	client  []*netproxy.Proxy   // clients -> server
	edge    [][]*netproxy.Proxy // edge[i][j]: server i replicates from server j
	reg     leadership.Registry
	rs      leadership.Ruleset
	roots   map[int]*sql.DB
}

type options struct {
	flags  []string
	config func(i int, c *mariadbnode.Config)
	policy leadership.Policy
}

func newCluster(t testing.TB, size int, o options) *cluster {
	t.Helper()
	enginetest.Need(t, engines.MariaDB)
	c := &cluster{t: t, reg: &leadership.MemoryRegistry{}}
	c.servers = enginetest.MariaDB(t, host, size, engines.MariaDBConfig{Name: "n", Flags: o.flags, Init: accounts()})
	var members []leadership.Node
	for i, s := range c.servers {
		c.ids = append(c.ids, leadership.NodeID(fmt.Sprintf("n%d", i+1)))
		members = append(members, leadership.Node{ID: c.ids[i]})
		c.admin = append(c.admin, enginetest.Edge(t, s.Addr()))
		c.client = append(c.client, enginetest.Edge(t, s.Addr()))
	}
	for i := range c.servers {
		c.edge = append(c.edge, make([]*netproxy.Proxy, size))
		for j, s := range c.servers {
			if i != j {
				c.edge[i][j] = enginetest.Edge(t, s.Addr())
			}
		}
	}
	for i := range c.servers {
		c.nodes = append(c.nodes, c.node(i, o.config))
		require.NoError(t, c.nodes[i].Setup(t.Context()))
	}
	if o.policy == nil {
		o.policy = leadership.AtLeast(min(2, size))
	}
	var err error
	c.rs, err = leadership.NewRuleset(o.policy, members...)
	require.NoError(t, err)
	return c
}

// config is what node i is made with.
func (c *cluster) config(i int) mariadbnode.Config {
	peers := map[leadership.NodeID]string{}
	for j := range c.servers {
		if i != j {
			peers[c.ids[j]] = c.edge[i][j].Addr()
		}
	}
	return mariadbnode.Config{
		ID: c.ids[i], DSN: "tenure:" + adminPassword + "@tcp(" + c.admin[i].Addr() + ")/", Addr: c.client[i].Addr(), Peers: peers,
		Replication:    mariadbnode.Replication{User: "repl", Password: replPassword},
		RestartsFenced: true,
	}
}

func (c *cluster) node(i int, edit func(i int, c *mariadbnode.Config)) *mariadbnode.Node {
	cfg := c.config(i)
	if edit != nil {
		edit(i, &cfg)
	}
	n, err := mariadbnode.New(cfg)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = n.Close() })
	return n
}

func (c *cluster) guard(cfg reparent.Config) *reparent.Guard {
	c.t.Helper()
	var nodes []reparent.Node
	for _, n := range c.nodes {
		nodes = append(nodes, n.Reparent())
	}
	g, err := reparent.New("test", c.reg, nodes, cfg)
	require.NoError(c.t, err)
	return g
}

// run runs a change that must be done, and returns its report.
func (c *cluster) run(g *reparent.Guard, ch reparent.Change) *reparent.Report {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	rep, err := g.Run(ctx, ch)
	if rep.Outcome == reparent.Superseded {
		// A term that a test made a node promise is one that the guard does not know
		// of when the others answer first. Now it does.
		rep, err = g.Run(ctx, ch)
	}
	require.NoError(c.t, err, "%v", rep)
	c.t.Log(rep)
	return rep
}

// lead makes node i the first leader.
func (c *cluster) lead(g *reparent.Guard, i int) {
	c.t.Helper()
	c.run(g, reparent.Bootstrap(c.rs, c.ids[i]))
}

// root connects to a server as root, past every proxy. It keeps no connection
// open between statements: a session of root is a privileged writer.
func (c *cluster) root(i int) *sql.DB {
	c.t.Helper()
	if c.roots[i] == nil {
		if c.roots == nil {
			c.roots = map[int]*sql.DB{}
		}
		c.roots[i] = c.open("root:@tcp(" + c.servers[i].Addr() + ")/?interpolateParams=true")
		c.roots[i].SetMaxIdleConns(-1)
	}
	return c.roots[i]
}

// app connects to a server as an application.
func (c *cluster) app(i int) *sql.DB {
	c.t.Helper()
	return c.open("app:app@tcp(" + c.client[i].Addr() + ")/app?interpolateParams=true&checkConnLiveness=false")
}

func (c *cluster) open(dsn string) *sql.DB {
	c.t.Helper()
	db, err := sql.Open("mysql", dsn)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = db.Close() })
	return db
}

// onConn runs f on a session of its own, and returns when the server has noticed
// that it is over, if it is one of root: until then it is a writer that read_only
// does not stop, whom a step-down finds.
func (c *cluster) onConn(db *sql.DB, f func(conn *sql.Conn)) {
	c.t.Helper()
	conn, err := db.Conn(c.t.Context())
	require.NoError(c.t, err)
	var id uint64
	require.NoError(c.t, conn.QueryRowContext(c.t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	defer func() {
		_ = conn.Close()
		for i, root := range c.roots {
			if root == db {
				c.gone(i, id)
			}
		}
	}()
	f(conn)
}

func (c *cluster) gone(i int, id uint64) {
	c.t.Helper()
	admin, err := sql.Open("mysql", "tenure:"+adminPassword+"@tcp("+c.servers[i].Addr()+")/?interpolateParams=true")
	require.NoError(c.t, err)
	defer func() { _ = admin.Close() }()
	enginetest.Eventually(c.t, 10*time.Second, "the session of root is over", func(ctx context.Context) error {
		var n int
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := admin.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = ?", id).Scan(&n); err != nil {
			return nil // a server that does not answer, or not us, is another matter
		}
		if n > 0 {
			return fmt.Errorf("connection %d is there", id)
		}
		return nil
	})
}

func (c *cluster) exec(db *sql.DB, stmts ...string) {
	c.t.Helper()
	c.onConn(db, func(conn *sql.Conn) {
		for _, q := range stmts {
			_, err := conn.ExecContext(c.t.Context(), q)
			require.NoError(c.t, err, q)
		}
	})
}

func (c *cluster) value(db *sql.DB, q string) string {
	c.t.Helper()
	var v sql.NullString
	c.onConn(db, func(conn *sql.Conn) {
		require.NoError(c.t, conn.QueryRowContext(c.t.Context(), q).Scan(&v), q)
	})
	return v.String
}

// insert writes one row as the application, within 10 s.
func (c *cluster) insert(db *sql.DB, id int) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, err := db.ExecContext(ctx, "INSERT INTO app.kv VALUES (?, 'v')", id)
	return err
}

// rows returns the ids in the table of a server.
func (c *cluster) rows(i int) map[int]bool {
	c.t.Helper()
	out := map[int]bool{}
	c.onConn(c.root(i), func(conn *sql.Conn) {
		rs, err := conn.QueryContext(c.t.Context(), "SELECT id FROM app.kv")
		require.NoError(c.t, err)
		defer func() { _ = rs.Close() }()
		for rs.Next() {
			var id int
			require.NoError(c.t, rs.Scan(&id))
			out[id] = true
		}
		require.NoError(c.t, rs.Err())
	})
	return out
}

// holds waits until a server has all of the rows.
func (c *cluster) holds(i int, ids ...int) {
	c.t.Helper()
	enginetest.Eventually(c.t, 10*time.Second, fmt.Sprintf("%s has %v", c.ids[i], ids), func(context.Context) error {
		have := c.rows(i)
		for _, id := range ids {
			if !have[id] {
				return fmt.Errorf("row %d is missing", id)
			}
		}
		return nil
	})
}

// eventually waits for a condition of the test's own.
func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	enginetest.Eventually(c.t, 20*time.Second, what, func(context.Context) error {
		if ok() {
			return nil
		}
		return errors.New("not yet")
	})
}

// blocked starts a write as the application that is expected to wait for its
// acknowledgement, and returns when it does. The channel gets its outcome.
func (c *cluster) blocked(i, id int) <-chan error {
	c.t.Helper()
	db := c.app(i)
	out := make(chan error, 1)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	go func() {
		defer close(done)
		_, err := db.ExecContext(ctx, "INSERT INTO app.kv VALUES (?, 'v')", id)
		out <- err
	}()
	c.t.Cleanup(func() { cancel(); <-done })
	root := c.root(i)
	c.eventually("a commit waits for its acknowledgement", func() bool { return c.value(root, countWaiting) != "0" })
	return out
}

const countWaiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'Waiting for semi-sync ACK from slave'"

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "t"} }

func mk(c *cluster, i int, n uint64) leadership.Marker {
	return leadership.Marker{Term: term(n), Leader: c.ids[i], Ruleset: c.rs}
}
