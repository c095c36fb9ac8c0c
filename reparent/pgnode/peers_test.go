package pgnode_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

const atPeers = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'tenure_peer'"

// TestAPreparedNodeHasASessionAtEachPeer: one that is not relied upon, that goes with the
// node, and that is not opened where it would be one of many.
func TestAPreparedNodeHasASessionAtEachPeer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	gone := func(id leadership.NodeID) {
		t.Helper()
		enginetest.Eventually(t, 10*time.Second, "no session of a peer is left", func(context.Context) error {
			if got := c.scalar(id, atPeers); got != "0" {
				return fmt.Errorf("%s are", got)
			}
			return nil
		})
	}
	for range 2 {
		require.NoError(t, c.nodes["n3"].Prepare(ctx, term(10)))
		for _, id := range []leadership.NodeID{"n1", "n2"} {
			require.Equal(t, "1", c.scalar(id, atPeers), "at %s", id)
		}
	}
	for _, id := range c.ids {
		c.scalar(id, "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE application_name = 'tenure_peer'")
	}
	r := c.run(reparent.Planned("n2"))
	require.Equal(t, leadership.NodeID("n2"), r.To)
	require.NoError(t, c.edges[[2]leadership.NodeID{"n3", "n1"}].Set(netproxy.Drop))
	require.NoError(t, c.nodes["n3"].Prepare(ctx, term(10)), "a peer that does not answer is done without")
	require.NoError(t, c.edges[[2]leadership.NodeID{"n3", "n1"}].Set(netproxy.Pass))
	for _, id := range c.ids {
		c.nodes[id].Close()
	}
	gone("n1")
	gone("n2")

	// In a cluster of four it opens none.
	cfg := c.configs["n3"]
	cfg.Peers = map[leadership.NodeID]pgnode.Peer{"n4": {Conn: "host=127.0.0.1 port=1 user=tenure"}}
	for id, p := range c.configs["n3"].Peers {
		cfg.Peers[id] = p
	}
	n, err := pgnode.New(cfg)
	require.NoError(t, err)
	defer n.Close()
	require.NoError(t, n.Prepare(ctx, term(10)))
	require.Equal(t, "0", c.scalar("n1", atPeers))
}

// TestALeaderBehindAClosedGateDoesNotSayThatItLeads: as a crash leaves it between the note
// of a grant and its gate. Watchers leave alone who says that it leads. It is granted
// again, without another proof that commits wait: that was given before its standbys were
// named.
func TestALeaderBehindAClosedGateDoesNotSayThatItLeads(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	n := c.nodes["n1"]
	before, err := n.Status(ctx)
	require.NoError(t, err)
	require.False(t, before.Leads.IsZero())
	hba := filepath.Join(c.configs["n1"].Data, "pg_hba.conf")
	b, err := os.ReadFile(hba)
	require.NoError(t, err)
	closed, err := pgnode.SetGate(string(b), false, pgnode.AdmitRules([]string{role}, "trust"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(hba, []byte(closed), 0o600))
	st, err := n.Status(ctx)
	require.NoError(t, err)
	require.Zero(t, st.Leads)
	require.Contains(t, st.Degraded, "serves nobody")

	require.NoError(t, os.WriteFile(hba, []byte(strings.ReplaceAll(string(b), "# END tenure gate\n", "")), 0o600))
	st, err = n.Status(ctx)
	require.NoError(t, err, "a file that somebody spoilt unseats nobody")
	require.Equal(t, before.Leads, st.Leads)
	require.Contains(t, st.Degraded, "cannot be told")
	require.NoError(t, os.WriteFile(hba, []byte(closed), 0o600))

	require.NoError(t, n.Grant(ctx, before.Leads))
	st, err = n.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, before.Leads, st.Leads)
	require.Empty(t, st.Degraded)
	_, err = c.connect("n1", "app").Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err, "clients are let in when the grant returns")
}

// TestNamesThatASessionHasNotReadYetAreNotProvenAnew: Install has named the standbys and
// had the server read it, and Grant asks a session that may not have come to it.
func TestNamesThatASessionHasNotReadYetAreNotProvenAnew(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	st, err := c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	names := c.scalar("n1", "SHOW synchronous_standby_names")
	super := c.connect("n1", "postgres")
	for _, q := range []string{`ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("tenure~nobody")'`, "SELECT pg_reload_conf()"} {
		_, err := super.Exec(ctx, q)
		require.NoError(t, err)
	}
	enginetest.Eventually(t, 5*time.Second, "it is read", func(context.Context) error {
		if got := c.scalar("n1", "SHOW synchronous_standby_names"); !strings.Contains(got, "nobody") {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	require.NoError(t, c.nodes["n1"].Prepare(ctx, term(10)), "the session that it keeps reads it, too")
	_, err = super.Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'")
	require.NoError(t, err)
	probes := func() int {
		b, err := os.ReadFile(c.servers["n1"].Log())
		require.NoError(t, err)
		return strings.Count(string(b), "canceling the wait for synchronous replication")
	}
	before := probes()
	require.Positive(t, before, "the first grant was proven")
	require.NoError(t, c.nodes["n1"].Grant(ctx, st.Leads))
	require.Equal(t, before, probes())
	require.Equal(t, names, c.scalar("n1", "SHOW synchronous_standby_names"))
}

// TestASegmentIsEndedBeforeAChangeOnlyWhereItHoldsMuch: what is left of it is sent, too.
func TestASegmentIsEndedBeforeAChangeOnlyWhereItHoldsMuch(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	const file = "SELECT pg_walfile_name(pg_current_wal_insert_lsn())"
	prepare := func(n uint64) (before, after string) {
		t.Helper()
		before = c.scalar("n1", file)
		st, err := c.nodes["n1"].Status(ctx)
		require.NoError(t, err)
		require.NoError(t, c.nodes["n2"].CatchUp(ctx, term(n), "n1", st.Position))
		return before, c.scalar("n1", file)
	}
	const write = "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000)))::text FROM generate_series(1, "
	prepare(10) // what initdb wrote is much
	c.scalar("n1", write+"1)")
	before, after := prepare(10)
	require.Equal(t, before, after)
	c.scalar("n1", write+"4)")
	before, after = prepare(11)
	require.NotEqual(t, before, after)
	require.Equal(t, "0", c.scalar("n1", "SELECT count(*)::text FROM pg_stat_replication WHERE pg_walfile_name(flush_lsn + 1) < '"+after+"'"), "standbys have the rest of it")
}

func TestTheDoctorCountsTheSessionsThatNodesKeepAtEachOther(t *testing.T) {
	t.Parallel()
	peers := func(n int) map[leadership.NodeID]pgnode.Peer {
		all := map[leadership.NodeID]pgnode.Peer{}
		for i := range n {
			all[leadership.NodeID(fmt.Sprintf("p%d", i))] = pgnode.Peer{Conn: "host=127.0.0.1 port=1 user=tenure"}
		}
		return all
	}
	for n, want := range map[int]int{0: 2, 1: 5, 2: 8, 3: 8, 4: 10} {
		require.Equal(t, want, pgnode.Senders(pgnode.Config{Peers: peers(n)}), "%d peers", n)
	}
}
