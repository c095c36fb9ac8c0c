package reparent_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// The versions of a registry that was made anew begin lower. A guard that has read
// both goes on, without any, from what it read last.
func TestG1_AnEmergencyWithoutTheRegistryRestsOnTheRecordReadLast(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("old")
		g := guard(t, p, func(cfg *reparent.Config) { cfg.Ruleset, cfg.Mode = leadership.Ruleset{}, "" })
		for range 5 {
			rep, err := c.run(p, g, reparent.Refresh())
			require.NoError(t, err, "%s", rep)
		}
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		before := c.record(t).Version
		c.LoseRegistry()
		rep, err := c.change("c1", reparent.Adopt(c.rs, "n1"), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1", "n2")
		rep, err = c.change("c2", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), nil)
		require.NoError(t, err, "%s", rep)
		require.Less(t, c.record(t).Version, before)
		swept, _ := c.sweep(g) // of n1 and n2 it says that they are not reached
		require.EqualValues(t, "n3", swept.Leadership.Leader)

		// n1 and n2 are found again, and n3, which leads, is not reached.
		c.CrashRegistry()
		c.Crash("n3")
		c.Restart("n1")
		c.Restart("n2")
		rep, err = c.run(p, g, reparent.Emergency())
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "%s", rep)
	})
}

// flaky is a registry that can be down for its reader.
type flaky struct {
	leadership.Registry
	down bool
}

func (f *flaky) Load(ctx context.Context) (leadership.Record, error) {
	if f.down {
		return leadership.Record{}, errNoAnswer
	}
	return f.Registry.Load(ctx)
}

func (f *flaky) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	if f.down {
		return leadership.Record{}, errNoAnswer
	}
	return f.Registry.Swap(ctx, base, next)
}

// foreign is a registry that holds the record of another cluster.
func foreign(t *testing.T, ids ...leadership.NodeID) *flaky {
	rs := leadership.Ruleset{Policy: "majority"}
	for _, id := range ids {
		rs.Members = append(rs.Members, leadership.Node{ID: id})
	}
	rec, err := leadership.Record{}.Create("another", leadership.Full, rs)
	require.NoError(t, err)
	f := &flaky{Registry: &leadership.MemoryRegistry{}}
	_, err = f.Registry.Swap(context.Background(), 0, rec)
	require.NoError(t, err)
	return f
}

func TestG10_TheRecordOfAnotherClusterIsNothingToGoOnFrom(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		other := foreign(t, "n3")
		p := c.Process("c1")
		g, err := reparent.New("sim", other, bundle(p), reparent.Config{By: "c1", Limits: reparenttest.Limits(), Ruleset: c.rs, Mode: leadership.Full})
		require.NoError(t, err)
		var cfg *reparent.ConfigError
		for _, ch := range []reparent.Change{reparent.Refresh(), reparent.Emergency(), reparent.Bootstrap(leadership.Ruleset{Version: 1, Policy: "majority", Members: []leadership.Node{{ID: "n3"}}}, "n3")} {
			rep, err := c.run(p, g, ch)
			require.ErrorAs(t, err, &cfg, "%s", rep)
			require.Equal(t, reparent.NotStarted, rep.Outcome)
		}
		_, err = c.sweep(g)
		require.ErrorAs(t, err, &cfg)
		require.NoError(t, c.Do(func() { _, err = g.View(context.Background()) }))
		require.ErrorAs(t, err, &cfg)

		// Then it cannot be read. What goes on without it goes on from what is
		// known of this cluster.
		other.down = true
		c.Crash("n1")
		rep, err := c.run(p, g, reparent.Emergency())
		var unsaved *reparent.UnsavedError
		require.ErrorAs(t, err, &unsaved, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
	})
}

// An emergency that began without the registry finds another cluster's there when it
// is back.
func TestG10_NothingIsWrittenOverTheRecordOfAnotherCluster(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		other := foreign(t, "x1", "x2", "x3")
		before, err := other.Load(t.Context())
		require.NoError(t, err)
		p := c.Process("c1")
		g, err := reparent.New("sim", other, bundle(p), reparent.Config{By: "c1", Limits: reparenttest.Limits(), Ruleset: c.rs, Mode: leadership.Full,
			Hooks: reparent.Hooks{Before: func(_ context.Context, e reparent.Event) error {
				other.down = e.Step != reparent.StepRoute
				return nil
			}}})
		require.NoError(t, err)
		other.down = true
		rep, err := c.run(p, g, reparent.Emergency())
		var cfg *reparent.ConfigError
		require.ErrorAs(t, err, &cfg)
		require.Equal(t, reparent.Unsaved, rep.Outcome, "%s", rep)
		_, err = c.sweep(g)
		require.ErrorAs(t, err, &cfg)
		after, err := other.Load(t.Context())
		require.NoError(t, err)
		require.True(t, before.Equal(after), "now it is %+v", after)
	})
}

// Both read the registry while it was empty, and no node is asked by both.
func TestG1_TwoBootstrapsOfDisjointMembersDoNotBothBegin(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 6, Unled: true}, func(t *testing.T, c *cluster) {
		loaded, began, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
		p1, p2 := c.Process("c1"), c.Process("c2")
		g1 := guard(t, p1, at(reparent.StepActivate, leadership.KindBootstrap, func() {
			close(began)
			<-over
			c.Meanwhile(c.CrashRegistry)
		}))
		g2 := guard(t, p2, at(reparent.StepBegin, leadership.KindBootstrap, func() {
			close(loaded)
			<-began
		}))
		first, second := c.rs, c.rs
		first.Members, second.Members = c.rs.Members[:3], c.rs.Members[3:]
		var rep *reparent.Report
		require.NoError(t, c.Do(func() {
			go func() {
				defer close(over)
				b := reparent.Bootstrap(second, "n4")
				b.Force = true
				rep, _ = p2.Run(context.Background(), g2, b)
			}()
			<-loaded
			_, _ = p1.Run(context.Background(), g1, reparent.Bootstrap(first, "n1"))
		}))
		require.Len(t, c.Grants(), 1)
		var change *reparent.ChangeError
		require.ErrorAs(t, rep.Err, &change, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}

// Each later ruleset needs a version above the one in force.
func TestG10_AVersionThatUsesUpTheNumbersIsRefused(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		var change *reparent.ChangeError
		rs := c.rs
		for _, rs.Version = range []uint64{math.MaxUint64, leadership.MaxTermNum + 1} {
			rep, err := c.change("c1", reparent.SetRuleset(rs), nil)
			require.ErrorAs(t, err, &change, "%s", rep)
			require.Equal(t, reparent.NotStarted, rep.Outcome)
		}
		// There is room above the highest that a person may give.
		rs.Version = leadership.MaxTermNum
		rep, err := c.change("c2", reparent.SetRuleset(rs), nil)
		require.NoError(t, err, "%s", rep)
		rs.Version = 0
		rep, err = c.change("c3", reparent.SetRuleset(rs), nil)
		require.NoError(t, err, "%s", rep)
		c.Gone("n1", "n2")
		rep, err = c.change("c4", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), nil)
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, uint64(leadership.MaxTermNum+2), c.record(t).Ruleset.Version)
	})
}
