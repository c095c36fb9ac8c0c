package pgnode_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

var host *engines.Host

// runVar makes of this binary a node that runs a program from a directory.
const runVar = "PGNODE_RUN"

func TestMain(m *testing.M) {
	if code, ok := load.Main(openEngine); ok {
		os.Exit(code)
	}
	if text, ok := os.LookupEnv(coordinatorVar); ok {
		if err := coordinate(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if bin, ok := os.LookupEnv(runVar); ok {
		_, _ = pgnode.PgCtl{Bin: bin, Data: bin}.Run(context.Background(), nil, "program")
		os.Exit(0)
	}
	if data, ok := os.LookupEnv(stopVar); ok {
		stopBlind(data)
		os.Exit(0)
	}
	os.Exit(enginetest.Main(m, &host))
}

// clientConf is how an application reaches addr.
func clientConf(addr string) (pgx.ConnConfig, error) {
	h, p, err := net.SplitHostPort(addr)
	if err != nil {
		return pgx.ConnConfig{}, err
	}
	conf, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s user=app dbname=postgres sslmode=disable connect_timeout=5", h, p))
	if err != nil {
		return pgx.ConnConfig{}, err
	}
	return *conf, nil
}

func openEngine(load.Spec) (load.Engine, error) {
	return load.Engine{Nodes: func(_ leadership.NodeID, addr string) (sqlbuffer.Node, error) {
		conf, err := clientConf(addr)
		if err != nil {
			return sqlbuffer.Node{}, err
		}
		return pgnode.SQL(conf), nil
	}}, nil
}

// control is a Controller over a server of the harness.
type control struct{ s *engines.Server }

func (c control) Start(ctx context.Context) error { return c.s.Start(ctx) }

func (c control) Running(context.Context) (bool, error) { return c.s.Running(), nil }

func (c control) Stop(ctx context.Context, mode pgnode.StopMode) error {
	if !c.s.Running() {
		return nil
	}
	if mode == pgnode.StopFast {
		return c.s.Stop(ctx)
	}
	return c.s.Kill()
}

func (c control) Run(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	cmd, err := c.s.Command(ctx, c.s.Binary(program), args...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return out, err
}

// cluster is three servers, each with its node, and a proxy for each directed edge
// between them and for the way of clients to each.
type cluster struct {
	t       testing.TB
	ids     []leadership.NodeID
	servers map[leadership.NodeID]*engines.Server
	nodes   map[leadership.NodeID]*pgnode.Node
	configs map[leadership.NodeID]pgnode.Config
	edges   map[[2]leadership.NodeID]*netproxy.Proxy
	clients map[leadership.NodeID]*netproxy.Proxy
	dir     string
	reg     *leadership.FileRegistry
	barrier *leadership.FileBarrier
	rs      leadership.Ruleset
}

// role is the node's own, with the grants that the package says it needs and
// nothing else.
const role = "tenure"

func initSQL() string {
	lines := []string{
		"CREATE ROLE tenure LOGIN", "CREATE ROLE app LOGIN",
		"CREATE TABLE t (id bigint PRIMARY KEY)", "GRANT ALL ON t TO app", "GRANT SELECT ON t TO tenure",
	}
	for _, s := range append(pgnode.Setup(role), pgnode.Grants(role)...) {
		lines = append(lines, strings.Join(strings.Fields(s), " "))
	}
	return strings.Join(lines, "\n")
}

func newCluster(t testing.TB, policy leadership.Policy, settings map[string]string) *cluster {
	t.Helper()
	enginetest.Need(t, engines.Postgres)
	c := &cluster{
		t: t, ids: []leadership.NodeID{"n1", "n2", "n3"},
		servers: map[leadership.NodeID]*engines.Server{}, nodes: map[leadership.NodeID]*pgnode.Node{},
		configs: map[leadership.NodeID]pgnode.Config{},
		edges:   map[[2]leadership.NodeID]*netproxy.Proxy{}, clients: map[leadership.NodeID]*netproxy.Proxy{},
		dir: t.TempDir(),
	}
	all := enginetest.Start(t, len(c.ids), func(i int) (*engines.Server, error) {
		return host.Postgres(t.Context(), engines.PostgresConfig{
			Name: string(c.ids[i]), Standby: i > 0, Init: initSQL(), Settings: settings,
		})
	})
	var members []leadership.Node
	for i, id := range c.ids {
		c.servers[id] = all[i]
		c.clients[id] = enginetest.Edge(t, all[i].Addr())
		members = append(members, leadership.Node{ID: id})
	}
	for _, from := range c.ids {
		for _, to := range c.ids {
			if from != to {
				c.edges[[2]leadership.NodeID{from, to}] = enginetest.Edge(t, c.servers[to].Addr())
			}
		}
	}
	for _, id := range c.ids {
		c.addNode(id)
	}
	var err error
	c.reg, err = leadership.OpenFileRegistry(filepath.Join(c.dir, "registry"))
	require.NoError(t, err)
	c.barrier, err = leadership.OpenFileBarrier(filepath.Join(c.dir, "barrier"))
	require.NoError(t, err)
	c.rs, err = leadership.NewRuleset(policy, members...)
	require.NoError(t, err)
	return c
}

func dsn(addr, user string) string {
	h, p, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable", h, p, user)
}

func (c *cluster) addNode(id leadership.NodeID) {
	c.t.Helper()
	s := c.servers[id]
	dir := filepath.Join(c.dir, string(id))
	require.NoError(c.t, os.Mkdir(dir, 0o700))
	cfg := pgnode.Config{
		ID: id, Conn: dsn(s.Addr(), role), Addr: c.clients[id].Addr(), Data: s.Data(), Dir: dir,
		Controller: control{s}, AdmitMethod: "trust", Peers: map[leadership.NodeID]pgnode.Peer{},
	}
	for _, to := range c.ids {
		if to != id {
			cfg.Peers[to] = pgnode.Peer{Conn: dsn(c.edges[[2]leadership.NodeID{id, to}].Addr(), role)}
		}
	}
	require.NoError(c.t, pgnode.Init(c.t.Context(), cfg))
	n, err := pgnode.New(cfg)
	require.NoError(c.t, err)
	c.t.Cleanup(n.Close)
	c.nodes[id], c.configs[id] = n, cfg
}

// guard is a coordinator that reaches the given nodes, all when none is given.
func (c *cluster) guard(reach ...leadership.NodeID) *reparent.Guard {
	c.t.Helper()
	if len(reach) == 0 {
		reach = c.ids
	}
	var nodes []reparent.Node
	for _, id := range c.ids {
		n := c.nodes[id].Reparent()
		if !contains(reach, id) {
			n = away(n)
		}
		nodes = append(nodes, n)
	}
	g, err := reparent.New("orders", c.reg, nodes, reparent.Config{
		Barrier: c.barrier,
		Limits: reparent.Limits{
			Status: 2 * time.Second, Quiet: 5 * time.Second, Drain: 3 * time.Second,
			Revoke: 20 * time.Second, Install: 30 * time.Second, Linger: time.Second,
		},
	})
	require.NoError(c.t, err)
	return g
}

func contains(ids []leadership.NodeID, id leadership.NodeID) bool {
	for _, v := range ids {
		if v == id {
			return true
		}
	}
	return false
}

var errAway = errors.New("the node cannot be reached")

type gone struct{}

func (gone) Status(context.Context) (leadership.Status, error) { return leadership.Status{}, errAway }
func (gone) Promise(context.Context, leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, errAway
}
func (gone) Follow(context.Context, leadership.Term, leadership.NodeID) (leadership.Acceptance, error) {
	return leadership.Acceptance{}, errAway
}

// away is a node whose machine cannot be reached, by any coordinator.
func away(n reparent.Node) reparent.Node {
	n.Status, n.Promise, n.Follow, n.Repair, n.Prepare = gone{}, gone{}, gone{}, nil, nil
	return n
}

func (c *cluster) run(ch reparent.Change, reach ...leadership.NodeID) *reparent.Report {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 90*time.Second)
	defer cancel()
	rep, err := c.guard(reach...).Run(ctx, ch)
	c.t.Log(rep)
	require.NoError(c.t, err)
	return rep
}

// adopt makes n1 the first leader.
func (c *cluster) adopt() {
	c.t.Helper()
	if rep := c.run(reparent.Adopt(c.rs, "n1")); len(rep.Stragglers) > 0 {
		c.sweepAll() // of a machine that is too busy to wait for
	}
}

func (c *cluster) sweep() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 90*time.Second)
	defer cancel()
	rep, err := c.guard().Sweep(ctx)
	c.t.Log(rep)
	require.NoError(c.t, err)
}

// connect opens a session at a node's server.
func (c *cluster) connect(id leadership.NodeID, user string) *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), dsn(c.servers[id].Addr(), user))
	require.NoError(c.t, err)
	c.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (c *cluster) rows(id leadership.NodeID) []int64 {
	c.t.Helper()
	conn := c.connect(id, role1(id))
	r, err := conn.Query(c.t.Context(), "SELECT id FROM t")
	require.NoError(c.t, err)
	ids, err := pgx.CollectRows(r, pgx.RowTo[int64])
	require.NoError(c.t, err)
	return ids
}

// role1 is who reads a node's rows, whatever its gate.
func role1(leadership.NodeID) string { return role }

// level waits until every node has what the leader has.
func (c *cluster) level(leader leadership.NodeID, others ...leadership.NodeID) {
	c.t.Helper()
	conn := c.connect(leader, role)
	var lsn string
	require.NoError(c.t, conn.QueryRow(c.t.Context(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&lsn))
	for _, id := range others {
		at := c.connect(id, role)
		enginetest.Eventually(c.t, 20*time.Second, string(id)+" is level", func(ctx context.Context) error {
			var ok bool
			if err := at.QueryRow(ctx, "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", lsn).Scan(&ok); err != nil {
				return err
			}
			if !ok {
				return errors.New("behind")
			}
			return nil
		})
	}
}

// write starts writers in other processes.
func (c *cluster) write(workers, writers int) *load.Load {
	c.t.Helper()
	dir := filepath.Join(c.dir, "load")
	require.NoError(c.t, os.MkdirAll(dir, 0o700))
	l, err := load.Start(c.t.Context(), load.Config{Workers: workers, Spec: load.Spec{
		Dir: dir, Cluster: "orders", Registry: filepath.Join(c.dir, "registry"), Barrier: filepath.Join(c.dir, "barrier"),
		Writers: writers, InTx: true, Insert: "INSERT INTO t (id) VALUES ($1)",
	}})
	require.NoError(c.t, err)
	return l
}

// flows waits until n more writes were acknowledged.
func (c *cluster) flows(l *load.Load, n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(c.t, l.AwaitAcks(ctx, n))
}
