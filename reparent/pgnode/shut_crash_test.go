package pgnode_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// dying is a Files that writes n files more, and then ends the operation: as if the
// process of the node had died there.
type dying struct {
	pgnode.LocalFiles
	left int
	end  context.CancelFunc
}

func (d *dying) Write(ctx context.Context, path string, content []byte) error {
	if d.left == 0 {
		d.end()
		return context.Canceled
	}
	d.left--
	return d.LocalFiles.Write(ctx, path, content)
}

// TestG4_AStepDownThatDiesBetweenTwoStepsLeavesNoSecondLeader: whatever was written by
// then, the old server leads as before or is fenced when it is started again, and the
// next change goes through.
func TestG4_AStepDownThatDiesBetweenTwoStepsLeavesNoSecondLeader(t *testing.T) {
	t.Parallel()
	for left := range 3 {
		t.Run(fmt.Sprint(left, " files are written"), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, leadership.Majority(), nil)
			c.adopt()
			_, err := c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cfg := c.configs["n1"]
			cfg.Files = &dying{left: left, end: cancel}
			half, err := pgnode.New(cfg)
			require.NoError(t, err)
			defer half.Close()
			_, err = half.StepDown(ctx, term(10))
			if left < 2 { // the gate and the settings
				require.Error(t, err)
				require.False(t, leadership.NotExecuted(err), "its promise was on disk")
			}
			// It is started by somebody who knows nothing of all that.
			require.NoError(t, c.servers["n1"].Kill())
			require.NoError(t, c.servers["n1"].Start(t.Context()))
			require.Equal(t, "t", c.scalar("n1", isStandby))
			lead := c.resume()
			c.sweepAll()
			_, err = c.connect(lead, "app").Exec(t.Context(), "INSERT INTO t VALUES (2)")
			require.NoError(t, err)
			c.level(lead, others(c, lead)...)
			for _, id := range c.ids {
				require.ElementsMatch(t, []int64{1, 2}, c.rows(id), id)
			}
		})
	}
}

// TestTheOldLeaderLeadsAgainWhenTheCandidateHangs, from the log that it has, after its
// server was shut and not stopped.
func TestTheOldLeaderLeadsAgainWhenTheCandidateHangs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	_, err := c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	var nodes []reparent.Node
	for _, id := range c.ids {
		nodes = append(nodes, c.nodes[id].Reparent())
	}
	before := c.scalar("n1", life)
	g, err := reparent.New("orders", c.reg, nodes, reparent.Config{
		Barrier: c.barrier,
		Limits:  reparent.Limits{Status: 2 * time.Second, Revoke: 20 * time.Second, Install: 3 * time.Second, Undo: 60 * time.Second},
		Hooks: reparent.Hooks{Before: func(_ context.Context, e reparent.Event) error {
			if e.Step != reparent.StepInstall || e.Kind != leadership.KindPlanned {
				return nil
			}
			require.Equal(t, before, c.scalar("n1", life), "it was not stopped for this")
			return c.servers["n2"].Freeze()
		}},
	})
	require.NoError(t, err)
	rep, err := g.Run(t.Context(), reparent.Planned("n2"))
	t.Log(rep)
	require.Error(t, err)
	require.Equal(t, reparent.Restored, rep.Outcome)
	require.Equal(t, leadership.NodeID("n1"), rep.Undo.To)
	require.NoError(t, c.servers["n2"].Thaw())
	_, err = c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	c.sweepAll()
	c.level("n1", "n2", "n3")
	for _, id := range c.ids {
		require.ElementsMatch(t, []int64{1, 2}, c.rows(id), id)
	}
}

// TestAFollowerIsAttachedToACandidateAsSoonAsItsLogIsAPartOfTheCandidates, before that is
// promoted, and not when it has more.
func TestAFollowerIsAttachedToACandidateAsSoonAsItsLogIsAPartOfTheCandidates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	promise := func(id leadership.NodeID, t uint64) {
		_, err := c.nodes[id].Promise(ctx, term(t))
		require.NoError(c.t, err)
		_, err = c.nodes[id].Read(ctx, term(t))
		require.NoError(c.t, err)
	}
	promise("n2", 10)
	_, err := c.connect("n1", "app").Exec(ctx, "INSERT INTO t VALUES (1)") // n3 has it
	require.NoError(t, err)
	promise("n3", 10)

	follow := func(id, leader leadership.NodeID, t uint64) (context.CancelFunc, chan error) {
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			_, err := c.nodes[id].Follow(ctx, term(t), leader)
			done <- err
		}()
		return stop, done
	}
	stop, done := follow("n3", "n2", 10)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		require.Equal(t, "", c.scalar("n3", "SELECT current_setting('primary_conninfo')"), "it has more than n2")
		<-tick.C
	}
	stop()
	require.Error(t, <-done)

	promise("n2", 11)
	promise("n3", 11)
	stop, done = follow("n2", "n3", 11)
	defer stop()
	enginetest.Eventually(t, 20*time.Second, "n2 receives from n3, which is no leader yet", func(context.Context) error {
		if c.scalar("n2", receivers) != "1" || c.scalar("n3", isStandby) != "t" {
			return errors.New("not yet")
		}
		return nil
	})
	_, err = c.nodes["n3"].Install(ctx, leadership.Marker{Term: term(11), Leader: "n3", Ruleset: c.rs})
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.NoError(t, c.nodes["n3"].Grant(ctx, term(11)))
}
