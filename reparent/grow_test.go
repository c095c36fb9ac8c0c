package reparent_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// One copy is durable: the leader's step-down is all that the old ruleset asks
// for. Those who join have to promise all the same, or nobody could follow.
func TestASmallClusterGrowsToThree(t *testing.T) {
	for name, kind := range map[string]traits{"log": logTraits, "mariadb": mariadbTraits, "postgres": pgTraits} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1, faults{})
				defer s.close()
				c := newCluster(s, repeat(kind, 3), leadership.Majority())
				three := c.rs
				few, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"})
				if kind.blocking { // its marker waits for a follower
					few, err = leadership.NewRuleset(leadership.AtLeast(2), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"})
				}
				require.NoError(t, err)
				c.rs, c.reforms = few, true
				require.NoError(t, c.bootstrap())
				require.NoError(t, c.writes("n1"))

				rep, err := c.change("c1", reparent.SetRuleset(leadership.Ruleset{Policy: "majority", Members: three.Members}), nil)
				require.NoError(t, err, "%s", rep)
				require.NoError(t, c.writes(rep.Leader()))
				c.nodes["n3"].p.crash()
				require.NoError(t, c.writes(rep.Leader()), "two of three suffice")
				require.NoError(t, c.verify(rep.Leader()))
			})
		})
	}
}

// Who is to join and cannot be reached is named before the leader steps down.
func TestAClusterDoesNotGrowByNodesThatCannotBeReached(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		c.nodes["n2"].p.crash()
		three := c.rs
		rep, err := c.change("c1", reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: three.Members}), nil)
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.Contains(t, err.Error(), "n2")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.NoError(t, c.writes("n1"))
	})
}
