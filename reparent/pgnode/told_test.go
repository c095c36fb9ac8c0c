package pgnode_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// TestAServerThatWasToldToPromoteIsStoppedByAHigherPromise: its startup process gets no
// time, so that it is a standby when the promise comes, and would be a primary later.
func TestAServerThatWasToldToPromoteIsStoppedByAHigherPromise(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
		_, err = c.nodes[id].Read(ctx, term(10))
		require.NoError(t, err)
	}
	before := c.scalar("n2", life)
	startup := c.pid("n2", "startup")
	require.NoError(t, syscall.Kill(startup, syscall.SIGSTOP))
	thaw := func() { _ = syscall.Kill(startup, syscall.SIGCONT) }
	t.Cleanup(thaw)
	installing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := c.nodes["n2"].Install(installing, leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs})
		ended <- err
	}()
	enginetest.Eventually(t, 20*time.Second, "it was told to promote", func(context.Context) error {
		_, err := os.Stat(filepath.Join(c.servers["n2"].Data(), "promote"))
		return err
	})
	stop()
	require.Error(t, <-ended)
	require.Equal(t, "t", c.scalar("n2", isStandby))
	_, err := c.nodes["n2"].Promise(ctx, term(11))
	require.NoError(t, err)
	require.NotEqual(t, before, c.scalar("n2", life))
	thaw()
	require.Equal(t, "t", c.scalar("n2", isStandby))
}

// TestAPromiseEndsAReceiverThatDoesNotHearIt: it can still flush and acknowledge what is
// on its way to it.
func TestAPromiseEndsAReceiverThatDoesNotHearIt(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	receiver := c.pid("n2", "walreceiver")
	require.NoError(t, syscall.Kill(receiver, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(receiver, syscall.SIGCONT) })
	_, err := c.nodes["n2"].Promise(t.Context(), term(10))
	require.NoError(t, err)
	require.Equal(t, "0", c.scalar("n2", "SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'walreceiver'"))
	require.ErrorIs(t, syscall.Kill(receiver, 0), syscall.ESRCH)
}

// TestAGrantWhoseCommitWasNotWaitedForIsNone: somebody cancels its wait, and the server
// says that it is done.
func TestAGrantWhoseCommitWasNotWaitedForIsNone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
	}
	n := c.nodes["n2"]
	_, err := n.Install(ctx, leadership.Marker{Term: term(10), Leader: "n2", Ruleset: c.rs})
	require.NoError(t, err)
	granted := make(chan error, 1)
	go func() { granted <- n.Grant(ctx, term(10)) }()
	c.waiting("n2", 1)
	c.scalar("n2", "SELECT count(pg_cancel_backend(pid))::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	var un *pgnode.UnreplicatedError
	require.ErrorAs(t, <-granted, &un)
	st, err := n.Status(ctx)
	require.NoError(t, err)
	require.Zero(t, st.Leads)
}

// TestTheLastPositionOfALeaderHasWhatWasCompletedWithoutTheDisk: the walwriter does not
// come to it meanwhile.
func TestTheLastPositionOfALeaderHasWhatWasCompletedWithoutTheDisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), map[string]string{"wal_writer_delay": "10s"})
	c.adopt()
	walwriter := c.pid("n1", "walwriter")
	require.NoError(t, syscall.Kill(walwriter, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(walwriter, syscall.SIGCONT) })
	app := c.connect("n1", "app")
	_, err := app.Exec(t.Context(), "SET synchronous_commit = off")
	require.NoError(t, err)
	_, err = app.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	var end, flushed string
	require.NoError(t, app.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text, pg_current_wal_flush_lsn()::text").Scan(&end, &flushed))
	want, err := pgnode.ParseLSN(end)
	require.NoError(t, err)
	on, err := pgnode.ParseLSN(flushed)
	require.NoError(t, err)
	require.Less(t, on, want, "it is not on disk")
	got := c.down()
	if got.Read == nil { // it was stopped, on a machine that is too busy
		got, err = c.nodes["n1"].Read(t.Context(), term(10))
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, got.Read.Point.(pgnode.Point).LSN, want)
}
