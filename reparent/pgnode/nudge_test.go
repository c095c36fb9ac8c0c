package pgnode_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// TestAFollowerDoesNotWaitForTheRetryInterval: its first attempt to get a stream fails, and
// PostgreSQL would make the next one after wal_retrieve_retry_interval.
func TestAFollowerDoesNotWaitForTheRetryInterval(t *testing.T) {
	t.Parallel()
	const interval = 45 * time.Second
	c := newCluster(t, leadership.Majority(), map[string]string{"wal_retrieve_retry_interval": interval.String()})
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	stream := enginetest.Edge(t, c.servers["n1"].Addr())
	cfg := c.configs["n3"]
	peer := cfg.Peers["n1"]
	peer.Replication = dsn(stream.Addr(), role)
	cfg.Peers = map[leadership.NodeID]pgnode.Peer{"n1": peer}
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()

	m := leadership.Marker{Term: term(10), Leader: "n1", Ruleset: c.rs}
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(10))
		require.NoError(t, err)
	}
	require.NoError(t, stream.Set(netproxy.Refuse))
	followed := make(chan error, 1)
	go func() {
		_, err := n.Follow(ctx, term(10), "n1")
		followed <- err
	}()
	_, err = c.nodes["n1"].Install(ctx, m)
	require.NoError(t, err)
	waits := c.connect("n3", role)
	enginetest.Eventually(t, 20*time.Second, "an attempt failed", func(ctx context.Context) error {
		var event, info string
		err := waits.QueryRow(ctx, `SELECT coalesce(wait_event, ''), current_setting('primary_conninfo') FROM pg_stat_activity WHERE backend_type = 'startup'`).Scan(&event, &info)
		if err == nil && (info == "" || event != "RecoveryRetrieveRetryInterval") {
			err = errors.New(event)
		}
		return err
	})
	began := time.Now()
	require.NoError(t, stream.Set(netproxy.Pass))
	require.NoError(t, <-followed)
	require.Less(t, time.Since(began), interval/2)
}
