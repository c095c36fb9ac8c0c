package pgnode_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/leadership"
)

// TestASessionWhoseRoleWasDroppedIsEndedLikeAnyOther: it has no name any more, and all
// that it was granted through others.
func TestASessionWhoseRoleWasDroppedIsEndedLikeAnyOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	super := c.connect("n1", "postgres")
	for _, q := range []string{"CREATE ROLE tmp LOGIN", "GRANT INSERT, SELECT ON t TO PUBLIC"} {
		_, err := super.Exec(ctx, q)
		require.NoError(t, err)
	}
	tmp := c.connect("n1", "tmp")
	_, err := super.Exec(ctx, "DROP ROLE tmp")
	require.NoError(t, err)
	require.NoError(t, super.Close(ctx))
	before := c.scalar("n1", life)
	c.down()
	require.Equal(t, before, c.scalar("n1", life), "it was not stopped")
	_, err = tmp.Exec(ctx, "SET synchronous_commit = off")
	require.Error(t, err, "its session is there after the step-down")
}

// TestAFollowerThatLedEndsWhoSlipsInUntilItIsStopped: a client that was connected when
// the gate was closed, and had sent nothing, is let in by the rules from before.
func TestAFollowerThatLedEndsWhoSlipsInUntilItIsStopped(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	waiting, err := net.Dial("tcp", c.servers["n1"].Addr())
	require.NoError(t, err)
	before := c.scalar("n1", life)
	c.down()
	conf, err := pgx.ParseConfig(dsn(c.servers["n1"].Addr(), "app"))
	require.NoError(t, err)
	conf.DialFunc = func(context.Context, string, string) (net.Conn, error) { return waiting, nil }
	late, err := pgx.ConnectConfig(ctx, conf)
	require.NoError(t, err, "it is let in by the rules from before, or this shows nothing")
	defer late.Close(ctx)

	// Nobody leads yet, so that the follower waits, and does not stop its server.
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = c.nodes["n1"].Follow(following, term(10), "n2") })
	_, err = late.Exec(ctx, "SELECT pg_sleep(30)")
	require.Error(t, err)
	require.True(t, late.IsClosed())
	require.Equal(t, before, c.scalar("n1", life), "it was not stopped for that")
	stop()
	wg.Wait()
}
