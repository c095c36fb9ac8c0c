package mariadbnode_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func TestG9_ALeaderWithWaitingCommitsIsNotSteppedDownAndAnswersNobodyFalsely(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.ReadOnly = 300 * time.Millisecond }})
	c.lead(c.guard(reparent.Config{}), 0)
	c.stopReplicas(0)
	out := c.blocked(0, 1)

	began := time.Now()
	_, err := c.nodes[0].StepDown(t.Context(), term(1000))
	var b *mariadbnode.BlockedError
	require.ErrorAs(t, err, &b)
	require.Len(t, b.Waiting, 1)
	require.Equal(t, "app", b.Waiting[0].User)
	require.Less(t, time.Since(began), 5*time.Second, "bounded at the server")
	require.Equal(t, "0", c.value(c.root(0), "SELECT @@read_only"))
	require.Equal(t, "1", c.value(c.root(0), countWaiting), "the commit still waits")
	select {
	case err := <-out:
		t.Fatalf("the waiting client was answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	// The promise was written before: who comes with less is refused, while the
	// commit still waits.
	var stale *leadership.StaleTermError
	_, err = c.nodes[0].Promise(t.Context(), term(999))
	require.ErrorAs(t, err, &stale)
	require.Equal(t, term(1000), stale.Promised)

	c.startReplicas(0)
	require.NoError(t, <-out, "a replica has it now")
	tm, err := c.nodes[0].StepDown(t.Context(), term(1001))
	require.NoError(t, err)
	require.Equal(t, leadership.Promised, tm.Kind, "its leadership ended with the promise of 1000")
	require.NotNil(t, tm.Read)
	require.True(t, c.rows(0)[1])
	require.Equal(t, "1", c.value(c.root(0), "SELECT @@read_only"))
}

// killer ends a server of the harness.
type killer struct {
	c *cluster
	i int
}

func (k killer) Kill(context.Context) error { return k.c.servers[k.i].Kill() }

func TestAControllerEndsALeaderThatCannotBeMadeReadOnly(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	c.nodes[0] = c.node(0, func(i int, cfg *mariadbnode.Config) {
		cfg.Controller, cfg.Limits.ReadOnly = killer{c, i}, 200*time.Millisecond
	})
	g := c.guard(reparent.Config{})
	c.stopReplicas(0)
	out := c.blocked(0, 1)
	_, err := c.nodes[0].Promise(t.Context(), term(1000))
	var killed *mariadbnode.KilledError
	require.ErrorAs(t, err, &killed)
	require.Error(t, <-out, "the client was not told that it is done")
	require.NoError(t, c.servers[0].Start(t.Context()))
	require.Equal(t, term(1000), c.promised(0), "written before the server was killed")
	rep := c.run(g, reparent.Emergency())
	require.NoError(t, c.insert(c.app(int(rep.To[1]-'1')), 2))
	require.False(t, c.rows(int(rep.To[1] - '1'))[1], "init_rpl_role=SLAVE took it out of the log")
	sw, err := g.Sweep(t.Context())
	require.NoError(t, err, "%v", sw)
	c.holds(0, 2)
}

func (c *cluster) promised(i int) leadership.Term {
	c.t.Helper()
	s, err := c.nodes[i].Status(c.t.Context())
	require.NoError(c.t, err)
	return s.Promised
}

func TestAPrivilegedWriterIsFoundBeforeAStepDown(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	before := c.promised(0)
	conn, err := c.root(0).Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "DO 1")
	require.NoError(t, err)

	_, err = c.nodes[0].StepDown(t.Context(), term(1000))
	var p *mariadbnode.PrivilegedError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "root", p.Sessions[0].User)
	require.Equal(t, before, c.promised(0), "nothing was touched")
	// What the error is for: read_only does not stop such a writer.
	c.exec(c.root(0), "SET GLOBAL read_only=1")
	_, err = conn.ExecContext(t.Context(), "INSERT INTO app.kv VALUES (2, 'privileged')")
	require.NoError(t, err)
	c.exec(c.root(0), "SET GLOBAL read_only=0",
		"CREATE DEFINER=root@localhost EVENT app.tick ON SCHEDULE EVERY 1 HOUR DO INSERT INTO app.kv VALUES (3, 'event')", "SET GLOBAL event_scheduler=ON")
	c.closeRoot(0, conn)
	_, err = c.nodes[0].StepDown(t.Context(), term(1001))
	require.ErrorAs(t, err, &p)
	require.Equal(t, []string{"app.tick"}, p.Events)
	rep, err := g.Run(t.Context(), reparent.Planned("n2"))
	require.ErrorAs(t, err, &p)
	require.Equal(t, reparent.NotStarted, rep.Outcome, "%v", rep)
	require.EqualValues(t, "n1", rep.Leader())
}

// TestAPrivilegedWriterThatComesDuringAStepDownIsFound: who holds a lock is waited for, and
// it connects meanwhile.
func TestAPrivilegedWriterThatComesDuringAStepDownIsFound(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.ReadOnly = 15 * time.Second }})
	c.lead(c.guard(reparent.Config{}), 0)
	c.exec(c.root(0), "SET sql_log_bin=0", "GRANT LOCK TABLES ON app.* TO 'app'@'%'")
	tables, err := c.app(0).Conn(t.Context())
	require.NoError(t, err)
	_, err = tables.ExecContext(t.Context(), "LOCK TABLES app.kv WRITE")
	require.NoError(t, err)
	down := make(chan error, 1)
	go func() {
		_, err := c.nodes[0].StepDown(t.Context(), term(1000))
		down <- err
	}()
	look := c.open(c.account(0))
	c.eventually("it waits to be read-only", func() bool {
		var n int
		require.NoError(t, look.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SET GLOBAL read_only=1%' AND ID <> CONNECTION_ID()").Scan(&n))
		return n == 1
	})
	conn, err := c.root(0).Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "DO 1")
	require.NoError(t, err)
	_, err = tables.ExecContext(t.Context(), "UNLOCK TABLES")
	require.NoError(t, err)
	var p *mariadbnode.PrivilegedError
	require.ErrorAs(t, <-down, &p)
	require.Equal(t, "root", p.Sessions[0].User)
	require.Equal(t, term(1000), c.promised(0))
	c.closeRoot(0, conn)
}

// closeRoot waits until the server has noticed that a session of root is gone.
func (c *cluster) closeRoot(i int, conn *sql.Conn) {
	c.t.Helper()
	_ = conn.Close()
	c.eventually("no session of root is left", func() bool {
		_, err := c.nodes[i].StepDown(c.t.Context(), term(1))
		var p *mariadbnode.PrivilegedError
		return !errors.As(err, &p) || len(p.Sessions) == 0
	})
}

func TestAnOpenTransactionIsNotDoneWhenTheLeaderSteppedDown(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	app := c.app(0)
	tx, err := app.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "INSERT INTO app.kv VALUES (1, 'open')")
	require.NoError(t, err)
	xa, err := app.Conn(t.Context())
	require.NoError(t, err)
	for _, q := range []string{"XA START 'x'", "INSERT INTO app.kv VALUES (2, 'xa')", "XA END 'x'", "XA PREPARE 'x'"} {
		_, err := xa.ExecContext(t.Context(), q)
		require.NoError(t, err, q)
	}
	d, err := c.nodes[0].Drain(t.Context(), term(1000), 200*time.Millisecond)
	require.NoError(t, err)
	require.NotZero(t, d.Survivors, "they are counted")
	tm, err := c.nodes[0].StepDown(t.Context(), term(1000))
	require.NoError(t, err, "an idle transaction does not block it")
	require.Equal(t, leadership.Demoted, tm.Kind)
	var me *mysql.MySQLError
	require.ErrorAs(t, tx.Commit(), &me)
	require.EqualValues(t, 1290, me.Number)
	_, err = xa.ExecContext(t.Context(), "XA COMMIT 'x'")
	require.ErrorAs(t, err, &me)
	require.EqualValues(t, 1290, me.Number)
	require.False(t, c.rows(0)[1] || c.rows(0)[2])
}

func TestADrainRefusesNewSessionsAndEndsByItself(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.Drain = 700 * time.Millisecond }})
	c.lead(c.guard(reparent.Config{}), 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.check(0, rec.Active))
	_, err = c.nodes[0].Drain(t.Context(), term(1000), 300*time.Millisecond)
	require.NoError(t, err)
	var r *leadership.Refusal
	require.ErrorAs(t, c.check(0, rec.Active), &r)
	require.Equal(t, term(1000), r.Until)
	s, err := c.nodes[0].Status(t.Context())
	require.NoError(t, err)
	require.True(t, s.Draining)
	require.Equal(t, rec.Active.Term, s.Leads)
	c.eventually("the drain expired at the node", func() bool { return c.check(0, rec.Active) == nil })
	require.NoError(t, c.insert(c.app(0), 1))
}

// check asks a server, as an application would, whether it leads.
func (c *cluster) check(i int, to leadership.Leadership) error {
	c.t.Helper()
	nodes, err := mariadbnode.SQL(mariadbnode.SQLConfig{DSN: "app:app@tcp(placeholder)/app"})
	require.NoError(c.t, err)
	n, err := nodes(c.ids[i], c.client[i].Addr())
	require.NoError(c.t, err)
	conn, err := n.Connector.Connect(c.t.Context())
	require.NoError(c.t, err)
	defer func() { _ = conn.Close() }()
	return n.Check(c.t.Context(), conn, to)
}

func TestABackupLockBoundsAPromise(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.Statement = 300 * time.Millisecond }})
	c.lead(c.guard(reparent.Config{}), 0)
	conn, err := c.root(1).Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK")
	require.NoError(t, err)
	began := time.Now()
	_, err = c.nodes[1].Promise(t.Context(), term(1000))
	require.Error(t, err)
	require.Less(t, time.Since(began), 5*time.Second, fmt.Sprint(err))
	_, err = conn.ExecContext(t.Context(), "UNLOCK TABLES")
	require.NoError(t, err)
	_, err = c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
}
