package pgnode_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

const operations = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'tenure_op'"

// TestAPreparedNodeHasChangedNothing: the leader leads on, followers follow, and a change
// that is abandoned then has nothing to undo.
func TestAPreparedNodeHasChangedNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	look := func(id leadership.NodeID) []string {
		st, err := c.nodes[id].Status(ctx)
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(c.configs[id].Dir, "pgnode"))
		require.NoError(t, err)
		auto, err := os.ReadFile(filepath.Join(c.configs[id].Data, "postgresql.auto.conf"))
		require.NoError(t, err)
		return []string{st.Promised.String(), st.Leads.String(), st.Source.String(), st.Degraded, string(b), string(auto)}
	}
	for _, id := range c.ids {
		before := look(id)
		require.NoError(t, c.nodes[id].Prepare(ctx, term(10)))
		require.Equal(t, before, look(id), id)
		require.Equal(t, "1", c.scalar(id, operations), "%s keeps a session", id)
	}
	c.run(reparent.Planned("n2"))
	for _, id := range c.ids {
		// The term of that change is above the one that was adopted, and below this one.
		require.NoError(t, c.nodes[id].Prepare(ctx, term(10)))
		var stale *leadership.StaleTermError
		require.ErrorAs(t, c.nodes[id].Prepare(ctx, leadership.Term{Num: 1, Proposer: "a-b"}), &stale, id)
	}
}

// TestASessionThatWasLeftIsNotReliedUpon: it may be ended at any time, and goes with the
// node.
func TestASessionThatWasLeftIsNotReliedUpon(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	n := c.nodes["n2"]
	require.NoError(t, n.Prepare(ctx, term(10)))
	c.scalar("n2", "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'tenure_op'")
	before := c.scalar("n2", life)
	_, err := n.Promise(ctx, term(10))
	require.NoError(t, err, "it was ended")
	require.Equal(t, before, c.scalar("n2", life), "its server was not stopped for that")
	require.NoError(t, c.servers["n2"].Kill())
	require.NoError(t, c.servers["n2"].Start(ctx))
	_, err = n.Promise(ctx, term(11))
	require.NoError(t, err, "its server was killed")
	require.NoError(t, n.Prepare(ctx, term(12)))
	require.Equal(t, "1", c.scalar("n2", operations))
	require.Equal(t, "30s", pgnode.KeptFor(ctx, t, n), "the server itself ends one that nobody uses")
	n.Close()
	require.ErrorIs(t, n.Prepare(ctx, term(12)), leadership.ErrClosed)
	enginetest.Eventually(t, 10*time.Second, "no session is left", func(context.Context) error {
		if got := c.scalar("n2", operations); got != "0" {
			return fmt.Errorf("%s are", got)
		}
		return nil
	})
}

func TestASessionInATransactionIsNotLeftForTheNextOperation(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(t, c.nodes["n2"].Prepare(ctx, term(10)))
	require.False(t, pgnode.LeavesInTransaction(ctx, t, c.nodes["n2"]))
	_, err := c.nodes["n2"].Promise(ctx, term(10))
	require.NoError(t, err)
}

// TestWhatCouldNotBeNotedIsDoneAgain: what is put on disk beside something else must not be
// taken for done when it is not there.
func TestWhatCouldNotBeNotedIsDoneAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	n := c.nodes["n2"]
	inTheWay := filepath.Join(c.configs["n2"].Dir, "pgnode.tmp", "x")
	require.NoError(t, os.MkdirAll(inTheWay, 0o700))
	got, err := n.Promise(ctx, term(10))
	require.Error(t, err)
	require.Zero(t, got)
	st, err := n.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, term(10), st.Promised, "that was on disk before")
	require.Equal(t, "", c.scalar("n2", "SHOW primary_conninfo"))
	_, err = c.connect("n2", role).Exec(ctx, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
	require.NoError(t, err)
	c.scalar("n2", "SELECT pg_reload_conf()::text")
	require.NoError(t, os.RemoveAll(filepath.Dir(inTheWay)))
	_, err = n.Promise(ctx, term(10))
	require.NoError(t, err)
	require.Equal(t, "", c.scalar("n2", "SHOW primary_conninfo"), "it was not known to be fenced")
}
