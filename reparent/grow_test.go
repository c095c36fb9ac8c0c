package reparent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// One copy is durable: the leader's step-down is all that the old ruleset asks
// for. Those who join have to promise all the same, or nobody could follow.
func TestASmallClusterGrowsToThree(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			inSetup(t, kind, reparenttest.Setup{Members: 1}, func(t *testing.T, c *cluster) {
				require.NoError(t, c.writes("n1"))

				all := []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}
				rep, err := c.change("c1", reparent.SetRuleset(leadership.Ruleset{Policy: "majority", Members: all}), nil)
				require.NoError(t, err, "%s", rep)
				require.NoError(t, c.writes(rep.Leader()))
				c.Crash("n3")
				require.NoError(t, c.writes(rep.Leader()), "two of three suffice")
				require.NoError(t, c.Verify(rep.Leader()))
			})
		})
	}
}

// Who is to join and cannot be reached is named before the leader steps down.
func TestAClusterDoesNotGrowByNodesThatCannotBeReached(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		c.Crash("n2")
		three := c.rs
		rep, err := c.change("c1", reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: three.Members}), nil)
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.Contains(t, err.Error(), "n2")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.NoError(t, c.writes("n1"))
	})
}

// Members that only a log tells of are asked although an old member does not answer.
func TestNewMembersAreAskedWhileADeadMemberIsStillTried(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5, Members: 3}, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		rs := leadership.Ruleset{Policy: leadership.Majority().Spec()}
		for _, id := range nodes("n1", "n4", "n5") {
			rs.Members = append(rs.Members, leadership.Node{ID: id})
		}
		p := c.Process("c1")
		g := guard(t, p, at(reparent.StepActivate, leadership.KindRuleset, func() { c.Meanwhile(c.CrashRegistry) }))
		rep, _ := c.run(p, g, reparent.SetRuleset(rs))
		require.Equal(t, reparent.Unsaved, rep.Outcome)
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1")
		rep, err := c.run(p, g, reparent.Emergency())
		require.Equal(t, reparent.Unsaved, rep.Outcome, "%v", err)
		require.NoError(t, c.writes(rep.Leader()))
	})
}
