package reparent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// lastResort is an emergency in which a person says who is gone for good, and who
// goes on.
func lastResort(loss bool, gone []leadership.NodeID, policy leadership.Policy, on ...leadership.NodeID) reparent.Change {
	rs := leadership.Ruleset{Policy: policy.Spec()}
	for _, id := range on {
		rs.Members = append(rs.Members, leadership.Node{ID: id})
	}
	c := reparent.Emergency()
	c.Waiver = &leadership.Waiver{Gone: gone, Loss: loss, Reason: "rack 4 burnt", By: "ada", Ruleset: &rs}
	return c
}

func nodes(ids ...leadership.NodeID) []leadership.NodeID { return ids }

// wasGone is what a node says that comes back with the disk it had.
func wasGone(c *cluster, id leadership.NodeID) leadership.Testimony {
	return leadership.Testimony{Node: id, Incarnation: "disk-1", Read: &leadership.Position{Term: c.Grants()[0].Term}}
}

func TestWhenTwoOfThreeAreGoneForGoodTheThirdGoesOnAlone(t *testing.T) {
	for name, kind := range kinds() {
		for _, survivor := range nodes("n1", "n3") { // who led, and who did not
			t.Run(name+"/"+string(survivor), func(t *testing.T) {
				inSim(t, kind, func(t *testing.T, c *cluster) {
					require.NoError(t, c.writes("n1"))
					require.NoError(t, c.Do(func() { wait(time.Second) }))
					gone := nodes("n1", "n2")
					if survivor == "n1" {
						gone = nodes("n2", "n3")
					}
					c.Gone(gone...)

					// What a person says of nodes alone does not make a marker
					// durable under the ruleset that asks for two of three.
					without := reparent.Emergency()
					without.Waiver = &leadership.Waiver{Gone: gone, Loss: true, Reason: "rack 4 burnt", By: "ada"}
					rep, err := c.change("c1", without, nil)
					var no *reparent.InfeasibleError
					require.ErrorAs(t, err, &no)
					require.Equal(t, reparent.NotStarted, rep.Outcome)

					// That requests may be lost has to be said.
					rep, err = c.change("c2", lastResort(false, gone, leadership.Majority(), survivor), nil)
					var undiscovered *leadership.NotDiscoveredError
					require.ErrorAs(t, err, &undiscovered, "%s", rep)
					require.Equal(t, reparent.NotStarted, rep.Outcome)

					ch := lastResort(true, gone, leadership.Majority(), survivor)
					p := c.Process("c3")
					g := guard(t, p, nil)
					var plan *reparent.Plan
					require.NoError(t, c.Do(func() { plan, err = g.Plan(context.Background(), ch) }))
					require.NoError(t, err, "%s", plan)
					require.Equal(t, survivor, plan.Choice.To)
					require.Contains(t, plan.String(), "rack 4 burnt")
					require.Contains(t, plan.String(), "goes on with "+string(survivor))
					rep, err = c.run(p, g, ch)
					require.NoError(t, err, "%s", rep)
					require.Contains(t, rep.String(), "ada")
					require.Contains(t, rep.String(), "goes on with "+string(survivor))
					require.Equal(t, survivor, c.Leader())
					require.NoError(t, c.writes(survivor))
					rec := c.record(t)
					require.EqualValues(t, 2, rec.Ruleset.Version)
					require.Equal(t, nodes(survivor), rec.Ruleset.IDs())
					for _, id := range gone {
						require.NotEmpty(t, rec.IsBarred(wasGone(c, id)), "what was declared gone does not count as it was")
					}
					require.NoError(t, c.Verify(survivor))

					// From here on the cluster is an ordinary one.
					rep, err = c.change("c4", reparent.Refresh(), nil)
					require.NoError(t, err, "%s", rep)
					require.NoError(t, c.writes(survivor))
					rep, err = c.change("c5", reparent.Emergency(), nil)
					require.NoError(t, err, "%s", rep)
					require.NoError(t, c.writes(survivor))
				})
			})
		}
	}
}

func TestALastResortWantsAllWhoAreNotGone(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1", "n2", "n3")
		c.Crash("n5")
		// One of two survivors may hold what the other has not.
		rep, err := c.change("c1", lastResort(true, nodes("n1", "n2", "n3"), leadership.Majority(), "n4"), nil)
		var refused *leadership.WaiverError
		require.ErrorAs(t, err, &refused, "%s", rep)
		require.ErrorContains(t, err, "n5")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.Empty(t, c.record(t).Barred)

		c.Restart("n5")
		rep, err = c.change("c2", lastResort(true, nodes("n1", "n2", "n3"), leadership.Majority(), "n4", "n5"), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
		require.NoError(t, c.Verify(rep.Leader()))
		c.Crash(map[leadership.NodeID]leadership.NodeID{"n4": "n5", "n5": "n4"}[rep.Leader()])
		require.ErrorIs(t, c.writes(rep.Leader()), leadership.ErrUnknownOutcome, "two of two are what the new ruleset asks for")
	})
}

func TestALastResortIsRefusedWhereTheOrdinaryWayIsOpen(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		c.Gone("n1", "n2")
		rep, err := c.change("c1", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3", "n4", "n5"), nil)
		var refused *leadership.WaiverError
		require.ErrorAs(t, err, &refused, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		// Nobody else can be let in by it, or out: that is an ordinary change.
		c.Gone("n3")
		for _, members := range [][]leadership.NodeID{{"n4", "n5", "n6"}, {"n3", "n4", "n5"}} {
			rep, err = c.change("c2", lastResort(true, nodes("n1", "n2", "n3"), leadership.Majority(), members...), nil)
			require.ErrorAs(t, err, &refused, "%s", rep)
			require.Equal(t, reparent.NotStarted, rep.Outcome)
		}
		// Who answers is not gone.
		rep, err = c.change("c3", lastResort(true, nodes("n1", "n2", "n3", "n4"), leadership.Majority(), "n5"), nil)
		require.ErrorAs(t, err, &refused, "%s", rep)
		require.ErrorContains(t, err, "n4 has answered")
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}

func TestWhereEveryNodeHasEverythingALastResortLosesNothing(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Policy: leadership.All()}, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.Gone("n1")
		rep, err := c.change("c1", lastResort(false, nodes("n1"), leadership.All(), "n2", "n3"), nil)
		require.NoError(t, err, "%s", rep)
		require.NotContains(t, rep.String(), "lost")
		require.NoError(t, c.writes(rep.Leader()))
		require.NoError(t, c.Verify(rep.Leader()))
	})
}

// Whatever the coordinator had come to when it died, the person says it again and
// it is done, and nobody leads whom the record does not show.
func TestG5_ALastResortThatWasBrokenOffIsRunAgain(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			for n, over := 1, false; !over; n++ {
				require.Less(t, n, 80)
				inSim(t, kind, func(t *testing.T, c *cluster) {
					require.NoError(t, c.writes("n1"))
					require.NoError(t, c.Do(func() { wait(time.Second) }))
					c.Gone("n1", "n2")
					p := c.Process("c1")
					p.DieAt(n)
					rep, _ := c.run(p, guard(t, p, nil), lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"))
					over = !p.Dead()
					rec := c.record(t)
					if !over {
						leader := c.Leader()
						if leader != "" {
							require.Equal(t, leader, rec.Active.Leader, "message %d:\n%s", n, rep)
							require.EqualValues(t, 2, rec.Ruleset.Version)
						}
					}
					if rec.Ruleset.Version == 1 {
						require.Empty(t, rec.Barred, "nobody is barred by what came to nothing")
						rep, err := c.change("c2", reparent.Emergency(), nil)
						require.Error(t, err, "without the person's word, at message %d:\n%s", n, rep)
						require.Equal(t, reparent.NotStarted, rep.Outcome)
						rep, err = c.change("c3", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), nil)
						require.NoError(t, err, "message %d:\n%s", n, rep)
					} else {
						require.NotEmpty(t, rec.IsBarred(wasGone(c, "n1")), "in the same write")
						rep, err := c.change("c3", reparent.Resume(), nil)
						require.NoError(t, err, "message %d:\n%s", n, rep)
					}
					require.NoError(t, c.writes("n3"))
					require.NoError(t, c.Verify("n3"))
				})
			}
		})
	}
}

// The person was wrong: the nodes come back, with what they had.
func TestG1_WhoWasDeclaredGoneAndComesBackWithItsDiskIsNoMember(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1", "n2")
		old := c.Process("old") // has the record of before
		cached := guard(t, old, nil)
		require.NoError(t, c.Do(func() { _, _ = cached.Plan(context.Background(), reparent.Emergency()) }))
		rep, err := c.change("c1", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes("n3"))

		// With the survivor down, the two that were a quorum are none.
		c.Restart("n1")
		c.Restart("n2")
		c.Crash("n3")
		rep, err = c.change("c2", reparent.Emergency(), nil)
		require.Error(t, err, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		c.Restart("n3")

		// One that has but the old record, and does not get at the registry,
		// hears of it from the survivor. (Did both come back, and it reached
		// nobody else, there would be two leaders: the person was wrong.)
		c.Crash("n1")
		c.CrashRegistry()
		rep, err = c.run(old, cached, reparent.Emergency())
		var unsaved *reparent.UnsavedError
		require.ErrorAs(t, err, &unsaved, "%s", rep)
		require.EqualValues(t, "n3", unsaved.Leadership.Leader)
		c.RestartRegistry()
		c.Restart("n1")
		swept, err := c.sweep(cached)
		require.NoError(t, err, "%s", swept)
		require.NoError(t, c.writes("n3"))
		require.Equal(t, nodes("n3"), c.record(t).Ruleset.IDs())

		// They follow, and count once they are brought in again.
		back := leadership.Ruleset{Policy: "majority", Members: c.rs.Members}
		rep, err = c.change("c3", reparent.SetRuleset(back), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Crash("n3")
		rep, err = c.change("c4", reparent.Emergency(), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
		require.NoError(t, c.Verify(rep.Leader()))
	})
}

// Two people, on the two sides of a partition, each declare the other side gone.
func TestG1_OfTwoLastResortsTheRecordLetsOneThrough(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1")
		c.Crash("n2")
		// One installs at n3 and is overtaken before it activates: by then
		// the other has done all of its own at n2, and n3 was unreachable.
		var won *reparent.Report
		first := c.Process("c1")
		other := c.Process("c2")
		rep, err := c.run(first, guard(t, first, at(reparent.StepActivate, leadership.KindEmergency, func() {
			c.Meanwhile(func() {
				c.Gone("n3")
				c.Restart("n2")
			})
			var err error
			won, err = other.Run(context.Background(), guard(t, other, nil), lastResort(true, nodes("n1", "n3"), leadership.Majority(), "n2"))
			require.NoError(t, err, "%s", won)
			c.Meanwhile(func() { c.Restart("n3") })
		})), lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"))
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super, "%s", rep)
		require.Equal(t, reparent.Superseded, rep.Outcome)
		require.EqualValues(t, "n2", c.Leader())
		require.NoError(t, c.writes("n2"))

		// What n3 holds of the other one is no evidence, and said again it is refused.
		rep, err = c.change("c3", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), nil)
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		rep, err = c.change("c4", reparent.Refresh(), nil)
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", c.Leader())
		require.NoError(t, c.writes("n2"))
		require.NoError(t, c.Verify("n2"))
	})
}

// An attempt that came as far as the survivor's log and was given up has changed
// nothing for those that go on without it.
func TestG1_ALastResortThatWasGivenUpLiftsNothing(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1", "n2")
		rep, err := c.change("c1", lastResort(true, nodes("n1", "n2"), leadership.Majority(), "n3"), at(reparent.StepActivate, leadership.KindEmergency, func() { c.Meanwhile(c.CrashRegistry) }))
		require.Error(t, err)
		require.Equal(t, reparent.Incomplete, rep.Outcome, "without the registry nobody leads under a ruleset that it does not show:\n%s", rep)
		require.Empty(t, c.Leader())
		c.RestartRegistry()
		require.EqualValues(t, 1, c.record(t).Ruleset.Version)

		// Both are found, with their disks; n3 is down by then.
		c.Crash("n3")
		c.Restart("n1")
		c.Restart("n2")
		rep, err = c.change("c2", reparent.Emergency(), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))

		// n3 alone is not enough for anybody, whatever its log shows.
		c.Crash("n1")
		c.Crash("n2")
		c.Restart("n3")
		rep, err = c.change("c3", reparent.Emergency(), nil)
		require.Error(t, err, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		c.Restart("n1")
		c.Restart("n2")
		leader, err := c.Heal("c4")
		require.NoError(t, err)
		require.NoError(t, c.writes(leader))
	})
}
