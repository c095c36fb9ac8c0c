package pgnode_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "test"} }

func (c *cluster) scalar(id leadership.NodeID, q string) string {
	c.t.Helper()
	var s string
	require.NoError(c.t, c.connect(id, role).QueryRow(c.t.Context(), q).Scan(&s))
	return s
}

const receivers = "SELECT count(*)::text FROM pg_stat_wal_receiver"

func TestAFenceOutlivesARestartAndAnEndedReceiverIsNone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	super := c.connect("n2", "postgres") // before the gate is closed
	c.adopt()

	t.Run("a receiver that is ended comes back", func(t *testing.T) {
		_, err := super.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_wal_receiver")
		require.NoError(t, err)
		enginetest.Eventually(t, 20*time.Second, "it is back", func(context.Context) error {
			if c.scalar("n2", receivers) == "0" {
				return errors.New("not yet")
			}
			return nil
		})
	})

	t.Run("one that was told by a promise does not, nor after a crash", func(t *testing.T) {
		got, err := c.nodes["n2"].Promise(t.Context(), term(20))
		require.NoError(t, err)
		require.Equal(t, leadership.Promised, got.Kind)
		require.Equal(t, "0", c.scalar("n2", receivers))
		require.NoError(t, c.servers["n2"].Kill())
		require.NoError(t, c.servers["n2"].Start(t.Context()))
		// A commit finds n3 and no n2.
		app := c.connect("n1", "app")
		_, err = app.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
		require.Equal(t, "0", c.scalar("n2", receivers))
		require.Equal(t, "", c.scalar("n2", "SELECT current_setting('primary_conninfo')"))
		require.Equal(t, "1", c.scalar("n1", "SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'"))
		_, err = c.nodes["n2"].Follow(t.Context(), term(19), "n1")
		var stale *leadership.StaleTermError
		require.ErrorAs(t, err, &stale)
		require.Equal(t, "0", c.scalar("n2", receivers))
	})

	t.Run("a leader that crashes and is started by whomever is a standby", func(t *testing.T) {
		require.NoError(t, c.servers["n3"].Freeze())
		done := c.insert("n1", 2)
		c.waiting("n1", 1)
		require.NoError(t, c.servers["n1"].Kill())
		require.True(t, isGone(<-done))
		require.NoError(t, c.servers["n3"].Thaw())
		require.NoError(t, c.servers["n1"].Start(t.Context()))
		conn := c.connect("n1", "app")
		_, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (3)")
		require.ErrorContains(t, err, "read-only transaction")
		st, err := c.nodes["n1"].Status(t.Context())
		require.NoError(t, err)
		require.True(t, st.Leads.IsZero(), "a node that restarts does not lead")
		// It may lead again by a new term; then what waited is durable or gone.
		c.run(reparent.Refresh())
		_, err = c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (3)")
		require.NoError(t, err)
		c.level("n1", "n2", "n3")
		require.ElementsMatch(t, c.rows("n1"), c.rows("n3"))
		require.ElementsMatch(t, c.rows("n1"), c.rows("n2"))
	})
}

func TestAPromotedServerWaitsForItsStandbysBeforeItTakesAClient(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, id := range []leadership.NodeID{"n1", "n2"} { // n3 promises by following
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
	}
	// A client of a standby, whose session would survive the promotion, and a
	// superuser's, which the node's role may not end.
	m := leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs}
	acc, err := c.nodes["n2"].Install(ctx, m)
	require.NoError(t, err)
	require.Equal(t, term(10), acc.Position.Term)

	_, err = pgx.Connect(ctx, dsn(c.servers["n2"].Addr(), "app"))
	require.ErrorContains(t, err, "pg_hba.conf")
	require.Equal(t, "f", c.scalar("n2", "SELECT pg_is_in_recovery()::text::char"))
	require.Equal(t, fmt.Sprintf(`ANY 1 (%q, %q)`, pgnode.AckName("n1", term(10)), pgnode.AckName("n3", term(10))),
		c.scalar("n2", "SELECT current_setting('synchronous_standby_names')"))

	// Nobody follows: no commit of anybody gets through.
	pctx, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	require.Error(t, c.nodes["n2"].Grant(pctx, term(10)))
	_, err = pgx.Connect(ctx, dsn(c.servers["n2"].Addr(), "app"))
	require.ErrorContains(t, err, "pg_hba.conf", "an attempted grant opens nothing")

	again, err := c.nodes["n2"].Install(ctx, m)
	require.NoError(t, err)
	require.Equal(t, acc.Term, again.Term)

	_, err = c.nodes["n3"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	require.NoError(t, c.nodes["n2"].Grant(ctx, term(10)))
	_, err = c.connect("n2", "app").Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err)

	// A duplicate of the promise, late, detaches nobody, and does not unseat it.
	_, err = c.nodes["n3"].Promise(ctx, term(10))
	require.NoError(t, err)
	require.Equal(t, "1", c.scalar("n3", receivers))
	_, err = c.nodes["n2"].Promise(ctx, term(10))
	require.NoError(t, err)
	got, err := c.nodes["n2"].Read(ctx, term(10))
	require.NoError(t, err)
	require.Equal(t, term(10), got.Read.Term)
	_, err = c.connect("n2", "app").Exec(ctx, "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	require.NoError(t, c.nodes["n2"].Grant(ctx, term(10)))
}

func TestASessionOnAStandbyDoesNotSurviveItsPromotion(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	app, super := c.connect("n2", "app"), c.connect("n2", "postgres")
	c.adopt()
	c.run(reparent.Planned("n2"))
	for _, conn := range []*pgx.Conn{app, super} {
		_, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		require.Error(t, err)
		require.True(t, conn.IsClosed())
	}
}

// diverge makes an old leader n1 that is dead, with a tail that nobody has, and a
// new leader.
func (c *cluster) diverge(rows int) (leader leadership.NodeID) {
	c.t.Helper()
	c.deaf(netproxy.Hold)
	for i := range rows {
		c.insert("n1", int64(1000+i))
	}
	c.waiting("n1", rows)
	// The standbys are cut off; make the tail longer than what they will write.
	super := c.connect("n1", "postgres")
	for range 40 {
		_, err := super.Exec(c.t.Context(), "SELECT pg_logical_emit_message(false, 'x', repeat('x', 60000))")
		require.NoError(c.t, err)
	}
	require.NoError(c.t, c.servers["n1"].Kill())
	rep := c.run(reparent.Emergency(), "n2", "n3")
	c.deaf(netproxy.Pass)
	return rep.To
}

func TestAnOldLeaderWithATailIsNotAttachedBeforeItIsRewound(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	leader := c.diverge(3)
	other := others(c, leader)
	var third leadership.NodeID
	for _, id := range other {
		if id != "n1" {
			third = id
		}
	}
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	lead := rec.Active
	lsn := func(id leadership.NodeID, q string) pgnode.LSN {
		at, err := pgnode.ParseLSN(c.scalar(id, q))
		require.NoError(t, err)
		return at
	}
	require.NoError(t, c.servers["n1"].Start(t.Context()))
	require.Greater(t, lsn("n1", "SELECT pg_last_wal_replay_lsn()::text"), lsn(leader, "SELECT pg_current_wal_lsn()::text"), "the diverged log is the longer one")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = c.nodes["n1"].Follow(ctx, lead.Term, lead.Leader)
	var not *pgnode.NotAncestorError
	require.ErrorAs(t, err, &not)
	require.False(t, leadership.NotExecuted(err), "the promise and the source are on disk")

	t.Run("attached by hand it acknowledges what it never received", func(t *testing.T) {
		// What the node refuses to do, done by hand: with the third fenced, an
		// acknowledgement can come from nobody who has the row.
		_, err := c.nodes[third].Promise(t.Context(), term(90))
		require.NoError(t, err)
		ghost := c.connect("n1", role)
		host := c.configs["n1"].Peers[leader].Conn
		_, err = ghost.Exec(t.Context(), "ALTER SYSTEM SET primary_conninfo = '"+host+" application_name="+pgnode.AckName("n1", lead.Term)+"'")
		require.NoError(t, err)
		_, err = ghost.Exec(t.Context(), "SELECT pg_reload_conf()")
		require.NoError(t, err)
		acked := 0
		for i := range 10 {
			done := c.insert(leader, int64(2000+i))
			select {
			case err := <-done:
				if err == nil {
					acked++
				}
			case <-time.After(200 * time.Millisecond):
			}
		}
		t.Logf("%d of 10 commits were acknowledged that no other node has", acked)
		rows := c.rows("n1")
		require.NotContains(t, rows, int64(2000), "it has none of them")
		require.Contains(t, rows, int64(1000), "it shows its own to readers")
		_, err = ghost.Exec(t.Context(), "ALTER SYSTEM SET primary_conninfo = ''")
		require.NoError(t, err)
		_, err = ghost.Exec(t.Context(), "SELECT pg_reload_conf()")
		require.NoError(t, err)
	})
	c.run(reparent.Refresh(), leader, third)
	port := c.servers["n1"].Port()
	c.sweepAll()
	require.Equal(t, port, c.servers["n1"].Port())
	conf, err := os.ReadFile(filepath.Join(c.servers["n1"].Data(), "postgresql.conf"))
	require.NoError(t, err)
	require.Contains(t, string(conf), fmt.Sprintf("port = '%d'", port), "its own files are kept")
	auto, err := os.ReadFile(filepath.Join(c.servers["n1"].Data(), "postgresql.auto.conf"))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(auto), "primary_conninfo"))
	c.level(leader, "n1", third)
	require.ElementsMatch(t, c.rows(leader), c.rows("n1"))
	require.NotContains(t, c.rows("n1"), int64(1000))
	// It acknowledges, as itself, in this term.
	require.NoError(t, c.servers[third].Kill())
	_, err = c.connect(leader, "app").Exec(t.Context(), "INSERT INTO t VALUES (3000)")
	require.NoError(t, err)
}
