package mariadbnode_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func TestALeaderThatIsToLeadAgainPromisesNothingWhileItTakesWritesUnderItsOldTerm(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{config: func(_ int, cfg *mariadbnode.Config) { cfg.Limits.ReadOnly = 300 * time.Millisecond }})
	c.lead(c.guard(reparent.Config{}), 0)
	c.stopReplicas(0)
	out := c.blocked(0, 1)
	var b *mariadbnode.BlockedError
	_, err := c.nodes[0].Install(t.Context(), mk(c, 0, 1000))
	require.ErrorAs(t, err, &b)
	require.Equal(t, term(1000), c.promised(0))
	_, err = c.nodes[0].Promise(t.Context(), term(1000))
	require.ErrorAs(t, err, &b, "its record names it as the source of that term, and it was not granted it")
	c.startReplicas(0)
	require.NoError(t, <-out)
	_, err = c.nodes[0].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	require.Equal(t, "1", c.value(c.root(0), "SELECT @@read_only"))
}

func TestAPrivilegedWriterIsFoundOnALeaderThatIsReadOnlyAlready(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	conn, err := c.root(0).Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "SET GLOBAL read_only=1")
	require.NoError(t, err)
	var p *mariadbnode.PrivilegedError
	_, err = c.nodes[0].Promise(t.Context(), term(1000))
	require.ErrorAs(t, err, &p)
	_, err = conn.ExecContext(t.Context(), "INSERT INTO app.kv VALUES (1, 'privileged')")
	require.NoError(t, err, "it writes, and a replica acknowledges")
	c.closeRoot(0, conn)
	_, err = c.nodes[0].Promise(t.Context(), term(1000))
	require.NoError(t, err)
}

func TestAPrivilegeThatIsNotInTheAccountsOwnMaskIsFound(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{flags: []string{"--binlog-ignore-db=scratch"}})
	c.lead(c.guard(reparent.Config{}), 0)
	c.exec(c.root(0), "SET sql_log_bin=0", "CREATE USER old@'%', bob@'%', eve@'%'", "GRANT SUPER, INSERT ON *.* TO old@'%'",
		"UPDATE mysql.global_priv SET Priv=JSON_SET(Priv, '$.version_id', 100603) WHERE User='old'", "FLUSH PRIVILEGES",
		"CREATE ROLE dba", "CREATE ROLE team", "GRANT READ_ONLY ADMIN, INSERT ON *.* TO dba", "GRANT dba TO team", "GRANT team TO bob@'%'", "SET DEFAULT ROLE team FOR bob@'%'")
	found, err := c.nodes[0].Doctor(t.Context())
	require.NoError(t, err)
	var subjects []string
	for _, f := range found {
		subjects = append(subjects, f.Subject)
	}
	require.Contains(t, subjects, "READ_ONLY ADMIN: bob, dba, old, root, team")
	require.Contains(t, subjects, "binlog_ignore_db=scratch")

	for i, user := range []string{"old", "bob", "eve"} {
		conn, err := c.open(user + "@tcp(" + c.client[0].Addr() + ")/").Conn(t.Context())
		require.NoError(t, err)
		c.exec(c.root(0), "SET GLOBAL read_only=1")
		_, writes := conn.ExecContext(t.Context(), "INSERT INTO app.kv VALUES (?, 'privileged')", i)
		c.exec(c.root(0), "SET GLOBAL read_only=0")
		c.eventually("no session of root is left", func() bool {
			_, err = c.nodes[0].StepDown(t.Context(), term(1))
			var p *mariadbnode.PrivilegedError
			return !errors.As(err, &p) || p.Sessions[0].User != "root"
		})
		_, err = c.nodes[0].StepDown(t.Context(), term(uint64(1000+i)))
		if user == "eve" {
			require.Error(t, writes)
			require.NoError(t, err)
			return
		}
		require.NoError(t, writes, "it writes to a server that is read-only")
		var p *mariadbnode.PrivilegedError
		require.ErrorAs(t, err, &p)
		require.Equal(t, user, p.Sessions[0].User)
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // ends it
		c.closeRoot(0, conn)
	}
}

func TestTheBoundOfReadOnlyIsItsOwn(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{config: func(_ int, cfg *mariadbnode.Config) {
		cfg.Limits.Statement, cfg.Limits.ReadOnly = time.Second, 15*time.Second
	}})
	c.lead(c.guard(reparent.Config{}), 0)
	db, out := c.app(0), make(chan error, 1)
	go func() {
		_, err := db.ExecContext(t.Context(), "INSERT INTO app.kv SELECT 1, SLEEP(2.5)")
		out <- err
	}()
	root := c.root(0)
	c.eventually("a statement runs", func() bool {
		return c.value(root, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'") == "1"
	})
	_, err := c.nodes[0].StepDown(t.Context(), term(1000))
	require.NoError(t, <-out)
	require.NoError(t, err, "it waited for longer than for another statement")
}

func TestADrainEndsSoonAfterTheLastTransaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	tx, err := c.app(0).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "INSERT INTO app.kv VALUES (1, 'open')")
	require.NoError(t, err)
	ended := make(chan time.Time, 1)
	timer := time.AfterFunc(300*time.Millisecond, func() {
		err = tx.Commit()
		ended <- time.Now()
	})
	defer timer.Stop()
	d, derr := c.nodes[0].Drain(t.Context(), term(1000), 30*time.Second)
	drained := time.Now()
	require.NoError(t, derr)
	at := <-ended
	require.NoError(t, err)
	require.Equal(t, 1, d.Finished)
	require.Zero(t, d.Survivors)
	require.Less(t, drained.Sub(at), 3*time.Second, "INNODB_TRX is a copy, which is not renewed for who asks all the time")
}

func TestAServerThatWasRestartedIsNotGrantedTheSameTermAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	waitForNextSecond(t)
	require.NoError(t, c.servers[0].Restart(t.Context()))
	_, err = c.nodes[0].Install(t.Context(), leadership.Marker{Term: rec.Active.Term, Leader: "n1", Ruleset: c.rs})
	require.NoError(t, err)
	var not *leadership.NotReadyError
	require.ErrorAs(t, c.nodes[0].Grant(t.Context(), rec.Active.Term), &not)
	require.Equal(t, "1", c.value(c.root(0), "SELECT @@read_only"))
	c.run(g, reparent.Emergency())
}

func TestADonorWithoutAnAddressIsFoundBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	s, err := c.nodes[1].Status(t.Context())
	require.NoError(t, err)
	p := s.Position.Point.(mariadbnode.Point)
	p.State = p.State.Merge(mariadbnode.State{{Server: 1, Seq: 1000}})
	pos := leadership.Position{Term: s.Position.Term, Point: p}
	require.True(t, pos.Extends(s.Position))
	var peer *mariadbnode.PeerError
	require.ErrorAs(t, c.nodes[1].CatchUp(t.Context(), s.Promised, "n9", pos), &peer)
	require.NotEqual(t, "No", c.ioRunning(1))
}

// TestG4_APromiseThatIsNotThereIsNotTestified: the server says that it is written, and it
// is not.
func TestG4_APromiseThatIsNotThereIsNotTestified(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	for i := range c.nodes {
		before := c.promised(i)
		c.exec(c.root(i), "SET sql_log_bin=0", "CREATE TRIGGER tenure.lost BEFORE UPDATE ON tenure.node FOR EACH ROW SET NEW.doc = OLD.doc")
		got, err := c.nodes[i].Promise(t.Context(), term(1000))
		var not *leadership.NotReadyError
		require.ErrorAs(t, err, &not, "node %d", i)
		require.Zero(t, got)
		require.Equal(t, before, c.promised(i))
		c.exec(c.root(i), "SET sql_log_bin=0", "DROP TRIGGER tenure.lost")
		c.eventually("it is promised", func() bool {
			_, err := c.nodes[i].Promise(t.Context(), term(1000))
			return err == nil
		})
	}
}

func TestADrainDoesNotWaitForAReplicaThatAsksBeforeItDumps(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	ctx, cancel := context.WithCancel(t.Context())
	db, out := c.open("repl:"+replPassword+"@tcp("+c.client[0].Addr()+")/"), make(chan struct{})
	go func() {
		defer close(out)
		_, _ = db.ExecContext(ctx, "DO SLEEP(20)") // it is cut off
	}()
	defer func() { cancel(); <-out }()
	c.eventually("a statement runs", func() bool {
		return c.value(c.root(0), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'repl' AND STATE = 'User sleep'") == "1"
	})
	d, err := c.nodes[0].Drain(t.Context(), term(1000), time.Second)
	require.NoError(t, err)
	require.Zero(t, d.Finished)
	require.Zero(t, d.Survivors)
}
