package pgnode_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

const (
	isStandby = "SELECT pg_is_in_recovery()::text::char"
	life      = "SELECT pg_postmaster_start_time()::text"
)

// down steps n1 down in term 10 and returns what it testified.
func (c *cluster) down() leadership.Testimony {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	got, err := c.nodes["n1"].StepDown(ctx, term(10))
	require.NoError(c.t, err)
	require.Equal(c.t, leadership.Demoted, got.Kind)
	return got
}

// shut fails unless n1's server is one that no client gets into and that acknowledges
// nothing that is written in it.
func (c *cluster) shut() {
	c.t.Helper()
	for _, user := range []string{"app", "postgres"} {
		_, err := pgx.Connect(c.t.Context(), dsn(c.servers["n1"].Addr(), user))
		require.ErrorContains(c.t, err, "pg_hba.conf rejects", user)
	}
}

// stopped waits until n1's server is up in another life than the one that began at
// before.
func (c *cluster) stopped(before string) {
	c.t.Helper()
	enginetest.Eventually(c.t, 20*time.Second, "it was stopped and is a standby", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, dsn(c.servers["n1"].Addr(), role))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		var standby bool
		var began string
		err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery(), pg_postmaster_start_time()::text").Scan(&standby, &began)
		if err == nil && (began == before || !standby) {
			err = fmt.Errorf("standby %v, since %s", standby, began)
		}
		return err
	})
}

// TestAStepDownInOrderLeavesAPrimaryThatCompletesNothing: a standby is attached and has
// all of it, and a commit of a session that the gate lets in is not answered.
func TestAStepDownInOrderLeavesAPrimaryThatCompletesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	app := c.connect("n1", "app")
	_, err := app.Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	open := c.connect("n1", "app")
	_, err = open.Exec(ctx, "BEGIN; INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	before := c.scalar("n1", life)
	// What was completed without a wait for the disk is in the log that is handed on.
	_, err = app.Exec(ctx, "SET synchronous_commit = off; INSERT INTO t VALUES (3)")
	require.NoError(t, err)

	got := c.down()
	require.Equal(t, before, c.scalar("n1", life), "it was not stopped")
	held, err := c.nodes["n2"].Promise(ctx, term(10))
	require.NoError(t, err)
	if held.Read == nil {
		held, err = c.nodes["n2"].Read(ctx, term(10))
		require.NoError(t, err)
	}
	require.True(t, held.Read.Extends(*got.Read))
	require.ElementsMatch(t, []int64{1, 3}, c.rows("n2"))
	require.Equal(t, "f", c.scalar("n1", isStandby))
	require.NotNil(t, got.Read, "a position that is final needs no other look")
	c.shut()
	for _, conn := range []*pgx.Conn{app, open} {
		_, err := conn.Exec(ctx, "COMMIT")
		require.Error(t, err)
		require.True(t, conn.IsClosed())
	}
	c.level("n1", "n3")
	require.Equal(t, "1", c.scalar("n1", "SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'"))
	late := c.connect("n1", role)
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	_, err = late.Exec(short, "SELECT pg_logical_emit_message(true, 'late', '')")
	require.ErrorIs(t, err, context.DeadlineExceeded, "it was answered")

	st, err := c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	require.True(t, st.Leads.IsZero())
	require.Contains(t, st.Degraded, "stepped down")

	again, err := c.nodes["n1"].Promise(ctx, term(10))
	require.NoError(t, err)
	require.Equal(t, got.Read.String(), again.Read.String(), "what it wrote of its own since does not count")
	require.Equal(t, before, c.scalar("n1", life))
	require.Error(t, c.nodes["n1"].Grant(ctx, term(10)), "it does not lead in the term it stepped down for")

	// Read is the answer for whoever wants to know all that is in the log.
	all, err := c.nodes["n1"].Read(ctx, term(10))
	require.NoError(t, err)
	require.NotEqual(t, before, c.scalar("n1", life))
	require.Equal(t, "t", c.scalar("n1", isStandby))
	require.Equal(t, leadership.Ahead, all.Read.Point.Compare(got.Read.Point))
}

// TestAServerThatWasShutComesBackAsAStandbyBehindAClosedGate, whoever starts it and
// whatever ended it, while the change goes on.
func TestAServerThatWasShutComesBackAsAStandbyBehindAClosedGate(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*cluster){
		"killed and started by a service manager": func(c *cluster) {
			require.NoError(c.t, c.servers["n1"].Kill())
			require.NoError(c.t, c.servers["n1"].Start(c.t.Context()))
		},
		"stopped in order and started": func(c *cluster) {
			require.NoError(c.t, c.servers["n1"].Stop(c.t.Context()))
			require.NoError(c.t, c.servers["n1"].Start(c.t.Context()))
		},
		"a process of it was killed, and it started all anew by itself": func(c *cluster) {
			require.NoError(c.t, syscall.Kill(c.pid("n1", "walwriter"), syscall.SIGKILL))
			enginetest.Eventually(c.t, 30*time.Second, "it is up again", func(ctx context.Context) error {
				conn, err := pgx.Connect(ctx, dsn(c.servers["n1"].Addr(), role))
				if err != nil {
					return err
				}
				defer conn.Close(ctx)
				var standby bool
				if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || !standby {
					return fmt.Errorf("standby: %v, %w", standby, errors.Join(err))
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, leadership.Majority(), nil)
			c.adopt()
			_, err := c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
			require.NoError(t, err)
			c.down()
			end(c)
			require.Equal(t, "t", c.scalar("n1", isStandby))
			require.Equal(t, "0", c.scalar("n1", receivers))
			c.shut()
			// The change goes on with it as it is.
			lead := c.resume()
			c.sweepAll()
			c.level(lead, others(c, lead)...)
			require.Equal(t, []int64{1}, c.rows("n1"))
		})
	}
}

// TestAServerThatWasShutIsStoppedByAHigherPromiseOnce, and is a follower like any other
// from there on.
func TestAServerThatWasShutIsStoppedByAHigherPromiseOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	before := c.scalar("n1", life)
	c.down()
	_, err := c.nodes["n1"].Promise(t.Context(), term(11))
	require.NoError(t, err)
	c.stopped(before)
	before = c.scalar("n1", life)
	st, err := c.nodes["n1"].Status(t.Context())
	require.NoError(t, err)
	require.NotContains(t, st.Degraded, "stepped down")
	got, err := c.nodes["n1"].Read(t.Context(), term(11))
	require.NoError(t, err)
	require.NotNil(t, got.Read)
	require.Equal(t, before, c.scalar("n1", life))
}

// TestACallThatEndsWhileAServerIsRestartedLeavesItUp, or nobody could read its log when
// the next leader fails.
func TestACallThatEndsWhileAServerIsRestartedLeavesItUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	before := c.scalar("n1", life)
	c.down()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := c.configs["n1"]
	cfg.Controller = ending{cfg.Controller, cancel}
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Read(ctx, term(10))
	require.ErrorIs(t, err, context.Canceled)
	c.stopped(before)
}

// ending is a Controller whose caller is gone once the server is stopped.
type ending struct {
	pgnode.Controller
	end context.CancelFunc
}

func (e ending) Stop(ctx context.Context, mode pgnode.StopMode) error {
	defer e.end()
	return e.Controller.Stop(ctx, mode)
}

// TestWhatAShutServerWroteOfItsOwnIsDiscardedWhenItFollows: a checkpoint after its
// last position is in no other log.
func TestWhatAShutServerWroteOfItsOwnIsDiscardedWhenItFollows(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	_, err := c.connect("n1", "app").Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	c.down()
	held := map[leadership.NodeID]*leadership.Position{}
	for _, id := range []leadership.NodeID{"n2", "n3"} {
		got, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
		if got.Read == nil {
			got, err = c.nodes[id].Read(ctx, term(10))
			require.NoError(t, err)
		}
		held[id] = got.Read
	}
	if held["n3"].Extends(*held["n2"]) { // it was attached for longer
		require.NoError(t, c.nodes["n2"].CatchUp(ctx, term(10), "n3", *held["n3"]))
	}
	_, err = c.connect("n1", role).Exec(ctx, "CHECKPOINT")
	require.NoError(t, err)
	m := leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs}
	_, err = c.nodes["n2"].Install(ctx, m)
	require.NoError(t, err)
	_, err = c.nodes["n3"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	require.NoError(t, c.nodes["n2"].Grant(ctx, term(10)))
	_, err = c.connect("n2", "app").Exec(ctx, "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	_, err = c.nodes["n1"].Follow(ctx, term(10), "n2")
	require.NoError(t, err)
	c.level("n2", "n1", "n3")
	require.ElementsMatch(t, []int64{1, 2}, c.rows("n1"))
	st, err := c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	require.Empty(t, st.Degraded)
	require.False(t, st.BelowFloor)
}

// TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting: what neither a gate
// nor the end of sessions stops is stopped with the server.
func TestALeaderIsStoppedWhenAGateDoesNotKeepEverybodyFromWriting(t *testing.T) {
	t.Parallel()
	t.Run("a superuser's session, which the node's role may not end", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), nil)
		c.adopt()
		super := c.connect("n1", "postgres")
		before := c.scalar("n1", life)
		c.down()
		_, err := super.Exec(t.Context(), "INSERT INTO t VALUES (1)")
		require.Error(t, err)
		require.True(t, super.IsClosed())
		c.stopped(before)
	})
	t.Run("a policy by which the leader alone is enough", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.AtLeast(1), nil)
		c.adopt()
		before := c.scalar("n1", life)
		c.down()
		c.stopped(before)
	})
	t.Run("a process that answers for a standby and does not hear that it must not", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), nil)
		c.adopt()
		before := c.scalar("n1", life)
		pid, err := strconv.Atoi(c.scalar("n1", "SELECT min(pid)::text FROM pg_stat_replication WHERE sync_priority > 0"))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		c.down()
		c.stopped(before)
	})
	t.Run("a subscription whose worker is between two tries", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), map[string]string{"max_logical_replication_workers": "0"})
		super := c.connect("n1", "postgres")
		for _, q := range []string{
			"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)", "ALTER SUBSCRIPTION s ENABLE",
		} {
			_, err := super.Exec(t.Context(), q)
			require.NoError(t, err, q)
		}
		c.adopt()
		before := c.scalar("n1", life)
		c.down()
		c.stopped(before)
	})
	t.Run("a worker that applies another cluster's changes", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, leadership.Majority(), map[string]string{"wal_level": "logical"})
		super := c.connect("n1", "postgres")
		for _, q := range []string{
			"CREATE ROLE sub LOGIN REPLICATION", "CREATE TABLE u (id int PRIMARY KEY)", "GRANT SELECT ON u TO sub",
			"CREATE PUBLICATION p FOR TABLE u", "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
			"CREATE SUBSCRIPTION s CONNECTION '" + dsn(c.servers["n1"].Addr(), "sub") + "' PUBLICATION p WITH (create_slot = false, copy_data = false, enabled = false)",
		} {
			_, err := super.Exec(t.Context(), q)
			require.NoError(t, err, q)
		}
		c.adopt()
		// Adopting has restarted it.
		super = c.connect("n1", "postgres")
		_, err := super.Exec(t.Context(), "ALTER SUBSCRIPTION s ENABLE")
		require.NoError(t, err)
		super.Close(t.Context())
		enginetest.Eventually(t, 20*time.Second, "it applies", func(context.Context) error {
			if n := c.scalar("n1", "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'logical replication worker'"); n != "1" {
				return errors.New(n)
			}
			return nil
		})
		before := c.scalar("n1", life)
		c.down()
		c.stopped(before)
	})
}
