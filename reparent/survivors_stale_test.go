package reparent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// A coordinator that knows the first ruleset only, and reaches neither the registry
// nor who leads by now, finds a majority of that ruleset, and in the one log that
// has seen later ones two last resorts that were given up.
func TestG1_WhoStartsFromAnOldRulesetHeedsWhatAGivenUpLastResortWouldHaveReplaced(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		p := c.Process("stale")
		// It knows of three nodes, so it reaches nobody else.
		stale, err := reparent.New("sim", p.Registry, bundle(p)[:3], reparent.Config{By: "stale", Limits: reparenttest.Limits(), Ruleset: c.rs, Mode: leadership.Full})
		require.NoError(t, err)
		rep, err := c.change("c1", reparent.Planned("n3"), nil)
		require.NoError(t, err, "%s", rep)
		c.Crash("n1")
		c.Crash("n2")
		rep, err = c.change("c2", reparent.SetRuleset(leadership.Ruleset{Policy: "majority", Members: c.rs.Members[2:]}), nil)
		require.NoError(t, err, "%s", rep)
		for range 3 { // until the log shows later markers only
			rep, err = c.change("c3", reparent.Refresh(), nil)
			require.NoError(t, err, "%s", rep)
			require.NoError(t, c.Do(func() { wait(time.Second) }))
		}
		c.Crash("n4")
		c.Crash("n5")
		for _, by := range []string{"w1", "w2"} {
			_, err = c.change(by, lastResort(true, nodes("n4", "n5"), leadership.Majority(), "n3"), at(reparent.StepActivate, leadership.KindEmergency, func() { c.Meanwhile(c.CrashRegistry) }))
			require.Error(t, err)
			c.RestartRegistry()
		}
		c.Restart("n4")
		c.Restart("n5")
		c.Crash("n3")
		rep, err = c.change("c4", reparent.Emergency(), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))

		c.CrashRegistry()
		for _, id := range nodes("n1", "n2", "n3") {
			c.Restart(id)
		}
		rep, err = c.run(p, stale, reparent.Emergency())
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "n4 and n5 lead")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}
