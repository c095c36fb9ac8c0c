package reparent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

func TestALastResortNeedsTheRegistry(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		g := guard(t, p, nil)
		require.NoError(t, c.Do(func() { _, _ = g.Plan(context.Background(), reparent.Refresh()) }))
		c.Gone("n1", "n2")
		ch := lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3")
		forced := ch
		forced.Force = true
		c.CrashRegistry()
		for _, ch := range []reparent.Change{ch, forced} {
			rep, err := c.run(p, g, ch)
			require.ErrorContains(t, err, "registry")
			require.Equal(t, reparent.NotStarted, rep.Outcome)
		}
		c.RestartRegistry()

		rep, err := c.change("c2", forced, at(reparent.StepBegin, leadership.KindEmergency, func() { c.Meanwhile(c.CrashRegistry) }))
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}

// What only the lost nodes knew of the members is given up with the rest: not while
// the record says that members may have changed.
func TestG1_LossIsRefusedWhileTheRecordMayNotShowTheMembers(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		p.DieAt(26)
		_, _ = c.run(p, guard(t, p, nil), reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: c.rs.Members}))
		require.NotEqual(t, leadership.Cleared, c.record(t).Intent.Phase, "the test needs an intent that stands")
		c.Gone("n1", "n2")
		ch := lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3")
		rep, err := c.change("c2", ch, nil)
		var no *reparent.ChangeError
		require.ErrorAs(t, err, &no, "%s", rep)
		ch.Force = true
		rep, err = c.change("c3", ch, nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes("n3"))
	})
}

// Another attempt's intent takes the place of that of the change which was left
// unfinished, and is cleared: who leads is a member that the record does not show.
func TestG1_LossIsRefusedAlsoWhenAnotherIntentHasEndedSince(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5, Members: 3}, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		rs := leadership.Ruleset{Policy: leadership.Majority().Spec()}
		for _, id := range nodes("n1", "n4", "n5") {
			rs.Members = append(rs.Members, leadership.Node{ID: id})
		}
		c.Crash("n3")
		p := c.Process("c1")
		g := guard(t, p, at(reparent.StepActivate, leadership.KindRuleset, func() { c.Meanwhile(c.CrashRegistry) }))
		rep, _ := c.run(p, g, reparent.SetRuleset(rs))
		require.Equal(t, reparent.Unsaved, rep.Outcome, "%s", rep)
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Restart("n3")
		rep, _ = c.run(p, g, reparent.Emergency())
		require.Equal(t, reparent.Unsaved, rep.Outcome, "%s", rep)
		lead := c.Leader()
		require.NoError(t, c.writes(lead))
		c.RestartRegistry()
		// One that comes to nothing.
		_, err := c.change("c2", reparent.Emergency(), func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Step == reparent.StepRevoke {
					return errors.New("no")
				}
				return nil
			}
		})
		require.Error(t, err)
		require.Equal(t, leadership.Cleared, c.record(t).Intent.Phase)
		require.EqualValues(t, 1, c.record(t).Ruleset.Version, "the test needs a record that is behind")

		c.Gone("n1", "n2")
		c.Isolate("n4", true)
		c.Isolate("n5", true)
		rep, err = c.change("c3", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), nil)
		var no *reparent.ChangeError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.ErrorContains(t, err, "left unfinished")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}

func TestG1_LossIsRefusedWhenTheMembersMayHaveChangedMeanwhile(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		c.Crash("n1")
		c.Crash("n2")
		other := c.Process("c1")
		rep, err := c.change("c2", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), at(reparent.StepBegin, leadership.KindEmergency, func() {
			c.Meanwhile(func() {
				c.Restart("n1")
				c.Restart("n2")
			})
			other.DieAt(26)
			_, _ = other.Run(context.Background(), guard(t, other, nil), reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: c.rs.Members}))
			c.Meanwhile(func() { c.Gone("n1", "n2") })
		}))
		require.False(t, c.record(t).Drafted.IsZero(), "the test needs a draft")
		var no *reparent.ChangeError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.ErrorContains(t, err, "left unfinished")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}

// A guard that was made before the members changed, and cannot read the record, is
// told what is true: two nodes are gone, and what they alone had may be lost. They
// were the only ones among its members who knew of the others, one of whom leads.
func TestG1_LossIsRefusedWithoutTheRegistry(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 6, Members: 4, Policy: leadership.AtLeast(2)}, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		old := c.Process("c1")
		g, err := reparent.New(c.record(t).Cluster, old.Registry, bundle(old)[:4], reparent.Config{By: "c1"})
		require.NoError(t, err)
		require.NoError(t, c.Do(func() { _, _ = g.Plan(context.Background(), reparent.Refresh()) }))
		rs := leadership.Ruleset{Policy: leadership.AtLeast(2).Spec()}
		for _, id := range nodes("n1", "n5", "n6") {
			rs.Members = append(rs.Members, leadership.Node{ID: id})
		}
		c.Isolate("n4", true)
		rep, err := c.change("c2", reparent.SetRuleset(rs), at(reparent.StepInstall, leadership.KindRuleset, func() { c.Isolate("n3", true) }))
		require.NoError(t, err, "%s", rep)
		rep, err = c.change("c3", reparent.Planned("n5"), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes("n5"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))

		c.Gone("n1", "n2")
		c.Isolate("n3", false)
		c.Isolate("n4", false)
		loss := reparent.Emergency()
		loss.Waiver = &leadership.Waiver{Gone: nodes("n1", "n2"), Loss: true, Reason: "rack 4 burnt", By: "ada"}
		c.CrashRegistry()
		rep, err = c.run(old, g, loss)
		require.ErrorContains(t, err, "none of those leads", "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.NoError(t, c.writes("n5"), "it leads, and nobody else does")
	})
}

// Whoever made sure that nobody else leads may say so.
func TestLossGoesOnWithoutTheRegistryWhenForced(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Policy: leadership.Any()}, func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		g := guard(t, p, nil)
		require.NoError(t, c.Do(func() { _, _ = g.Plan(context.Background(), reparent.Refresh()) }))
		c.Gone("n1")
		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: nodes("n1"), Loss: true, Reason: "rack 4 burnt", By: "ada"}
		lost, err := c.change("c2", ch, at(reparent.StepBegin, leadership.KindEmergency, func() { c.Meanwhile(c.CrashRegistry) }))
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, lost.Outcome, "%s", lost)
		_, err = c.run(p, g, ch)
		require.ErrorContains(t, err, "Force")
		ch.Force = true
		rep, _ := c.run(p, g, ch)
		require.Equal(t, reparent.Unsaved, rep.Outcome, "%s", rep)
		require.NoError(t, c.writes(rep.To))
	})
}

// Its word is worth more than the person's, also after the proposal.
func TestG1_ALastResortEndsWhenWhoWasDeclaredGoneAnswers(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1", "n2")
		rep, err := c.change("c1", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), at(reparent.StepActivate, leadership.KindEmergency, func() {
			c.Meanwhile(func() { c.Restart("n1") })
			wait(100 * time.Millisecond)
		}))
		var back *leadership.WaiverError
		require.ErrorAs(t, err, &back, "%s", rep)
		require.ErrorContains(t, err, "n1 has answered")
		require.Equal(t, reparent.Restored, rep.Outcome, "the two are enough in the ordinary way:\n%s", rep)
		require.Empty(t, c.record(t).Barred)
		require.NoError(t, c.writes(c.Leader()))
	})
}
