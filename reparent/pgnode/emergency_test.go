package pgnode_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// verdict stops the load and checks every acknowledged write on every node.
func (c *cluster) verdict(l *load.Load, leader leadership.NodeID, others ...leadership.NodeID) load.Verdict {
	c.t.Helper()
	h, err := l.Stop(c.t.Context())
	require.NoError(c.t, err)
	c.level(leader, others...)
	var rows []load.Rows
	for _, id := range others {
		rows = append(rows, load.Rows{Node: string(id), IDs: c.rows(id)})
	}
	v := h.Check(load.Rows{Node: string(leader), IDs: c.rows(leader)}, rows...)
	c.t.Log(v)
	require.NoError(c.t, v.Err())
	require.Zero(c.t, v.Other, "neither acknowledged nor unknown")
	return v
}

func TestG2_EmergencyAfterTheLeaderIsKilledLosesNothingAndTheOldLeaderRejoins(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	l := c.write(2, 8)
	c.flows(l, 50)
	require.NoError(t, c.servers["n1"].Kill())
	rep := c.run(reparent.Emergency(), "n2", "n3")
	c.flows(l, 50)
	c.sweep()
	c.verdict(l, rep.To, others(c, rep.To)...)
}

func others(c *cluster, leader leadership.NodeID) []leadership.NodeID {
	var out []leadership.NodeID
	for _, id := range c.ids {
		if id != leader {
			out = append(out, id)
		}
	}
	return out
}

// pending is a commit that is on its way in another goroutine.
type pending chan error

func (c *cluster) insert(id leadership.NodeID, n int64) pending {
	conn := c.connect(id, "app")
	done := make(pending, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		_, err := conn.Exec(ctx, "INSERT INTO t VALUES ($1)", n)
		done <- err
	}()
	return done
}

// waiting waits until a session at the server waits for its standbys.
func (c *cluster) waiting(id leadership.NodeID, n int) {
	c.t.Helper()
	conn := c.connect(id, role)
	enginetest.Eventually(c.t, 10*time.Second, "a commit waits for its standbys", func(ctx context.Context) error {
		var got int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&got); err != nil {
			return err
		}
		if got < n {
			return fmt.Errorf("%d wait", got)
		}
		return nil
	})
}

// TestG1_APendingCommitOfAFrozenLeaderIsNeverAcknowledgedAfterTheChange: the network
// to the standbys is cut first, so that the commit waits; the leader is frozen, a
// new one is established, and the old one wakes up into a network that is whole.
func TestG1_APendingCommitOfAFrozenLeaderIsNeverAcknowledgedAfterTheChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	cut := []*netproxy.Proxy{c.edges[[2]leadership.NodeID{"n2", "n1"}], c.edges[[2]leadership.NodeID{"n3", "n1"}]}
	for _, p := range cut {
		require.NoError(t, p.Set(netproxy.Hold))
	}
	commit := c.insert("n1", 7)
	c.waiting("n1", 1)
	require.NoError(t, c.servers["n1"].Freeze())
	rep := c.run(reparent.Emergency(), "n2", "n3")
	for _, p := range cut {
		require.NoError(t, p.Set(netproxy.Pass))
	}
	require.NoError(t, c.servers["n1"].Thaw())
	select {
	case err := <-commit:
		require.Error(t, err, "a commit of a leader that was revoked was acknowledged")
	case <-time.After(3 * time.Second):
	}
	require.NotContains(t, c.rows(rep.To), int64(7))
	// Its own promise ends it, by the connection and not by an answer.
	c.sweepAll()
	if len(commit) > 0 {
		require.Error(t, <-commit)
	}
	c.level(rep.To, others(c, rep.To)...)
	for _, id := range c.ids {
		require.NotContains(t, c.rows(id), int64(7), "%s has a row that no leader holds", id)
	}
}

// sweepAll sweeps until every node follows: the first sweep may find a server that
// is only waking up.
func (c *cluster) sweepAll() {
	c.t.Helper()
	enginetest.Eventually(c.t, 60*time.Second, "every node follows", func(ctx context.Context) error {
		rep, err := c.guard().Sweep(ctx)
		c.t.Log(rep)
		return err
	})
}

func TestEmergencyAfterTheNetworkIsCutBetweenTheLeaderAndItsStandbys(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	l := c.write(1, 8)
	c.flows(l, 50)
	for edge, p := range c.edges {
		if edge[0] == "n1" || edge[1] == "n1" {
			require.NoError(t, p.Set(netproxy.Drop))
		}
	}
	rep := c.run(reparent.Emergency(), "n2", "n3")
	c.flows(l, 50)
	for _, p := range c.edges {
		require.NoError(t, p.Set(netproxy.Pass))
	}
	c.sweepAll()
	c.verdict(l, rep.To, others(c, rep.To)...)
}

// TestWhatAStandbyAcknowledgedSurvivesItsRestartWhileTheLeaderIsDead: it has not
// replayed what it acknowledged when it is killed, and goes on replaying long after
// it takes sessions again. Read before that, its log would look no longer than that
// of the one that is to lead.
func TestWhatAStandbyAcknowledgedSurvivesItsRestartWhileTheLeaderIsDead(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	admin := c.connect("n2", "postgres") // before the gate is closed
	c.adopt()
	require.NoError(t, c.servers["n3"].Kill())
	_, err := admin.Exec(t.Context(), "ALTER SYSTEM SET recovery_min_apply_delay = '6s'")
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "SELECT pg_reload_conf()")
	require.NoError(t, err)
	app := c.connect("n1", "app")
	for i := range int64(50) {
		_, err := app.Exec(t.Context(), "INSERT INTO t VALUES ($1)", i)
		require.NoError(t, err)
	}
	require.NoError(t, c.servers["n1"].Kill())
	require.NoError(t, c.servers["n2"].Kill())
	rep := c.run(forced(to(reparent.Emergency(), "n3")), "n2", "n3")
	require.Equal(t, leadership.NodeID("n3"), rep.To)
	require.Len(t, c.rows("n3"), 50)
	c.sweepAll()
	c.level("n3", "n1", "n2")
	require.Len(t, c.rows("n1"), 50)
	require.Len(t, c.rows("n2"), 50)
}

func forced(ch reparent.Change) reparent.Change {
	ch.Force = true
	return ch
}

func isGone(err error) bool {
	var pe *pgconn.PgError
	return err != nil && (!errors.As(err, &pe) || pe.Code == "57P01" || pe.Code == "57P02")
}
