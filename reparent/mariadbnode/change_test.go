package mariadbnode_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

func TestTheLeaderChangesInOrderAndByForce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))

	c.run(g, reparent.Planned("n2"))
	require.NoError(t, c.insert(c.app(1), 2))
	require.ErrorContains(t, c.insert(c.app(0), 3), "1290")
	c.holds(0, 1, 2)

	require.NoError(t, c.servers[1].Kill())
	rep := c.run(g, reparent.Emergency())
	require.NoError(t, c.insert(c.app(int(rep.To[1]-'1')), 4))
	c.holds(0, 1, 2, 4)
	c.holds(2, 1, 2, 4)
}

// TestAMemberIsTakenOutOfTheRulesetAndBackWhileTheLeaderServes: out of it, it counts
// for no commit, by the leader's own engine.
func TestAMemberIsTakenOutOfTheRulesetAndBackWhileTheLeaderServes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))

	// It must not acknowledge any more before it is left out.
	c.nodes[2] = c.node(2, func(_ int, cfg *mariadbnode.Config) { cfg.Observer = true })
	g = c.guard(reparent.Config{})
	two, err := leadership.NewRuleset(leadership.AtLeast(2), c.rs.Members[:2]...)
	require.NoError(t, err)
	two.Version = 0 // the next one
	rep := c.run(g, reparent.SetRuleset(two))
	require.EqualValues(t, "n1", rep.To)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	require.False(t, rec.Ruleset.Has("n3"))
	require.Greater(t, rec.Ruleset.Version, c.rs.Version)
	_, err = g.Sweep(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.insert(c.app(0), 2))
	c.holds(2, 1, 2) // an observer has all of it

	c.exec(c.root(1), "STOP SLAVE IO_THREAD")
	out := c.blocked(0, 3)
	c.exec(c.root(1), "START SLAVE IO_THREAD")
	require.NoError(t, <-out)

	c.nodes[2] = c.node(2, nil)
	g = c.guard(reparent.Config{})
	three, err := leadership.NewRuleset(leadership.AtLeast(2), c.rs.Members...)
	require.NoError(t, err)
	three.Version = 0
	c.run(g, reparent.SetRuleset(three))
	_, err = g.Sweep(t.Context())
	require.NoError(t, err)
	c.exec(c.root(1), "STOP SLAVE IO_THREAD")
	require.NoError(t, c.insert(c.app(0), 4), "n3 acknowledges again")
	c.exec(c.root(1), "START SLAVE IO_THREAD")
	c.run(g, reparent.Planned("n3"))
	require.NoError(t, c.insert(c.app(2), 5))
	c.holds(0, 1, 2, 3, 4, 5)
	c.holds(1, 1, 2, 3, 4, 5)
}

// TestAnObserverAcknowledgesNothingAlthoughItIsAMember: it is made one before a change of
// the ruleset leaves it out.
func TestAnObserverAcknowledgesNothingAlthoughItIsAMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	rec, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	n := c.node(2, func(_ int, cfg *mariadbnode.Config) { cfg.Observer = true })
	_, err = n.Follow(t.Context(), rec.Active.Term, rec.Active.Leader)
	require.NoError(t, err)
	c.exec(c.root(1), "STOP SLAVE IO_THREAD")
	out := c.blocked(0, 1)
	c.holds(2, 1)
	require.Equal(t, "1", c.value(c.root(0), countWaiting), "it acknowledged")
	c.exec(c.root(1), "START SLAVE IO_THREAD")
	require.NoError(t, <-out)
}
