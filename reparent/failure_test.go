package reparent_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

var errVeto = errors.New("not today")

func veto(at reparent.Step) func(*reparent.Config) {
	return func(cfg *reparent.Config) {
		cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
			if e.Step == at && e.Kind == leadership.KindPlanned {
				return errVeto
			}
			return nil
		}
	}
}

func TestAPlannedChangeThatFailsAtAnyStepLeavesWritesWorking(t *testing.T) {
	for _, tt := range []struct {
		step reparent.Step
		want reparent.Outcome
	}{
		{reparent.StepBegin, reparent.NotStarted},
		{reparent.StepPrepare, reparent.NotStarted},
		{reparent.StepHold, reparent.NotStarted},
		{reparent.StepRevoke, reparent.NotStarted}, // nobody was asked
		{reparent.StepPropose, reparent.Restored},
		{reparent.StepInstall, reparent.Restored},
	} {
		for name, kind := range kinds() {
			t.Run(string(tt.step)+"/"+name, func(t *testing.T) {
				inSim(t, kind, func(t *testing.T, c *cluster) {
					before := c.Grants()[0]
					rep, err := c.change("c1", reparent.Planned("n2"), veto(tt.step))
					var v *reparent.VetoError
					require.ErrorAs(t, err, &v)
					require.Equal(t, tt.step, rep.Failed)
					require.Equal(t, tt.want, rep.Outcome, "%s", rep)
					require.EqualValues(t, "n1", rep.Leader(), "%s", rep)
					require.NoError(t, c.writes("n1"))
					rec, err := c.reg.Load(context.Background())
					require.NoError(t, err)
					require.Equal(t, leadership.Cleared, rec.Intent.Phase, "the intent is cleared")
					if tt.want == reparent.Restored {
						require.True(t, before.Term.Less(rec.Active.Term), "an undo takes a new term")
					} else {
						require.Equal(t, before, rec.Active, "nobody was asked for anything")
						require.False(t, c.Asked(rep.Term))
					}
					require.NoError(t, c.Verify("n1"))
				})
			})
		}
	}
}

// stuck is a leader whose drain fails.
type stuck struct{ revoke.StepDowner }

func (stuck) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{}, errors.New("a session does not end")
}

func TestAPlannedChangeDrainsTheLeaderOrFencesNobody(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		rep, err := c.change("c1", reparent.Planned("n2"), nil)
		require.NoError(t, err)
		require.NotNil(t, rep.Drained, "the leader was not drained")

		p := c.Process("c2")
		for id, n := range p.Nodes {
			n.StepDown = stuck{n.StepDown}
			p.Nodes[id] = n
		}
		rep, err = c.run(p, guard(t, p, nil), reparent.Planned("n3"))
		require.ErrorContains(t, err, "a session does not end")
		require.False(t, c.Asked(rep.Term), "a follower was fenced although the leader did not step down:\n%s", rep)
		require.NoError(t, c.writes("n2"))
	})
}

// brokenGrant establishes and then cannot grant.
type brokenGrant struct{ establish.Establisher }

func (brokenGrant) Grant(context.Context, *leadership.Installed) error {
	return errors.New("the node's port does not open")
}

func TestAGrantThatFailsIsUndoneUnderANewTerm(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		est, err := establish.NewProposal(p.Candidates(), p.Followers(), establish.Options{})
		require.NoError(t, err)
		ch := reparent.Planned("n2")
		ch.Establish = brokenGrant{est}
		rep, _ := c.run(p, guard(t, p, nil), ch)
		require.Equal(t, reparent.StepGrant, rep.Failed)
		require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
		require.NoError(t, c.Verify(rep.Leader()))
	})
}

func TestOfTwoPlannedChangesTheSecondIsBusyUnlessForced(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		p.DieAt(26) // after the intent is in the record
		_, _ = c.run(p, guard(t, p, nil), reparent.Planned("n2"))
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.NotEqual(t, leadership.Cleared, rec.Intent.Phase, "the test needs an intent that stands")

		rep, err := c.change("c2", reparent.Planned("n3"), nil)
		var busy *leadership.BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.Equal(t, rec.Intent, busy.Intent)

		ch := reparent.Planned("n3")
		ch.Force = true
		rep, err = c.change("c3", ch, nil)
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n3", c.Leader())
	})
}

func TestAnEmergencyGoesOnWithoutTheRegistryAndASweepBringsTheRecordBack(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.Crash("n1")
		c.CrashRegistry()
		p := c.Process("c1")
		g := guard(t, p, nil)
		rep, err := c.run(p, g, reparent.Emergency())
		var unsaved *reparent.UnsavedError
		require.ErrorAs(t, err, &unsaved, "%s", rep)
		require.Equal(t, reparent.Unsaved, rep.Outcome)
		leader := c.Leader()
		require.Equal(t, leader, rep.Leader(), "who leads is not taken down")
		require.Equal(t, unsaved.Leadership.Leader, leader)
		require.NoError(t, c.writes(leader))

		c.RestartRegistry()
		var swept *reparent.SweepReport
		require.NoError(t, c.Do(func() { swept, _ = g.Sweep(context.Background()) }))
		require.True(t, swept.Saved, "%s", swept)
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Equal(t, unsaved.Leadership, rec.Routed)
		require.NoError(t, c.Verify(leader))
	})
}

// A rival that announced itself and came to nothing leads nobody.
func TestALeaderThatIsNotInTheRecordIsNotForgottenForARivalThatOnlyBegan(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		require.NoError(t, c.Do(func() { wait(time.Second) }))
		c.Gone("n1")
		c.CrashRegistry()
		p := c.Process("c1")
		g := guard(t, p, nil)
		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: []leadership.NodeID{"n1"}, Reason: "rack burnt down", By: "alice"}
		rep, err := c.run(p, g, ch)
		var unsaved *reparent.UnsavedError
		require.ErrorAs(t, err, &unsaved, "%s", rep)
		c.RestartRegistry()
		rep, err = c.change("c2", reparent.Emergency(), func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Step == reparent.StepRevoke {
					return errors.New("no")
				}
				return nil
			}
		})
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
		require.True(t, unsaved.Leadership.Term.Less(c.record(t).Fence), "the test needs a rival above")

		swept, err := c.sweep(g)
		require.Error(t, err) // of n1, which is gone
		require.True(t, swept.Saved, "%s", swept)
		rec := c.record(t)
		require.Equal(t, unsaved.Leadership, rec.Active)
		require.Equal(t, unsaved.Leadership, rec.Routed)
		require.NotEmpty(t, rec.IsBarred(wasGone(c, "n1")), "who was declared gone for it does not count as it was")
		require.NoError(t, c.writes(c.Leader()))
	})
}

func TestInShortcutModeNothingChangesWithoutTheRegistry(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 4, Policy: leadership.AtLeast(2), Mode: leadership.Shortcut}, func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		g := guard(t, p, nil)
		_, err := c.run(p, g, reparent.Planned("n2"))
		require.NoError(t, err)

		c.Crash("n2")
		c.CrashRegistry()
		rep, err := c.run(p, g, reparent.Emergency())
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
	})
}

func TestAWaiverLetsAPersonGoOnAndIsShown(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.Crash("n1")
		c.Crash("n2")
		rep, err := c.change("c1", reparent.Emergency(), nil)
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.Equal(t, [][]leadership.NodeID{{"n1"}, {"n2"}}, no.Missing, "it names what would help")

		// A waiver of one takes the place of its testimony; what has to accept
		// must be there all the same, which n2 is by now.
		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: []leadership.NodeID{"n1"}, Loss: true, Reason: "rack burnt down", By: "alice"}
		c.Restart("n2")
		rep, err = c.change("c2", ch, nil)
		require.NoError(t, err, "%s", rep)
		require.Contains(t, rep.String(), "alice")
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		old := leadership.Testimony{Node: "n1", Incarnation: "disk-1", Read: &leadership.Position{Term: c.Grants()[0].Term}}
		require.NotEmpty(t, rec.IsBarred(old), "what was declared gone does not count as it was")

		// It comes back, follows, and counts again: without n2 it is needed.
		c.Restart("n1")
		p := c.Process("c3")
		require.NoError(t, c.Do(func() { _, err = guard(t, p, nil).Sweep(context.Background()) }))
		require.NoError(t, err)
		c.Crash("n2")
		rep, err = c.change("c4", reparent.Emergency(), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
	})
}

func TestSetRulesetIsInForceUnderOldAndNewBeforeEitherAlone(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		next := leadership.Ruleset{Policy: "all", Members: c.rs.Members}
		rep, err := c.change("c1", reparent.SetRuleset(next), nil)
		require.NoError(t, err, "%s", rep)
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Equal(t, "all", rec.Ruleset.Policy)
		require.EqualValues(t, 2, rec.Ruleset.Version)
		require.NoError(t, c.writes("n1"))

		c.Crash("n3")
		require.ErrorIs(t, c.writes("n1"), leadership.ErrUnknownOutcome, "under all, two of three complete nothing")
	})
}

func TestABootstrapNeverRunsOnDataAndOnlyOnce(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		_, err := c.change("c1", reparent.Bootstrap(c.rs, "n2"), nil)
		var no *reparent.ChangeError
		require.ErrorAs(t, err, &no)

		// Another registry, the same nodes.
		c.LoseRegistry()
		rep, err := c.change("c2", reparent.Bootstrap(c.rs, "n2"), nil)
		var full *reparent.NotEmptyError
		require.ErrorAs(t, err, &full)
		require.Equal(t, reparent.NotStarted, rep.Outcome)

		rep, err = c.change("c3", reparent.Adopt(c.rs, "n1"), nil)
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n1", c.Leader())
	})
}

func TestPlanTouchesNothingAndSaysWhatRunWouldDo(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		g := guard(t, p, nil)
		before, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		promised := c.Facts("n2")
		var plan *reparent.Plan
		require.NoError(t, c.Do(func() { plan, err = g.Plan(context.Background(), reparent.Planned("n2")) }))
		require.NoError(t, err)
		require.EqualValues(t, "n2", plan.Choice.To)
		require.Contains(t, plan.String(), "n1 -> n2")
		after, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.True(t, before.Equal(after))
		require.Equal(t, promised, c.Facts("n2"))

		c.Crash("n1")
		require.NoError(t, c.Do(func() { plan, err = g.Plan(context.Background(), reparent.Planned("n2")) }))
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "a planned change needs the leader")
		require.Contains(t, err.Error(), "emergency")
		require.NoError(t, c.Do(func() { plan, err = g.Plan(context.Background(), reparent.Emergency()) }))
		require.NoError(t, err)
	})
}

func TestAReportReadsWellAndIsJSON(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		rep, err := c.change("c1", reparent.Planned("n2"), veto(reparent.StepInstall))
		require.Error(t, err)
		text := rep.String()
		for _, want := range []string{"planned change of sim: n1 -> n2", "restored", "failed at install", "undo change", "not today"} {
			require.Contains(t, text, want)
		}
		require.NotContains(t, strings.ReplaceAll(text, "\n", ""), "\t")
		b, err := json.Marshal(rep)
		require.NoError(t, err)
		var back map[string]any
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, "restored", back["outcome"])
		require.Contains(t, back["error"], "not today")
		require.Equal(t, "done", back["undo"].(map[string]any)["outcome"])
	})
}

func TestG8_EveryCallEndsWithItsContextPlusTheUndoBudgetAndLeavesNothingRunning(t *testing.T) {
	for k := range 60 {
		// A goroutine left behind fails the bubble.
		inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
			p := c.Process("c1")
			g := guard(t, p, nil)
			ctx, cancel := context.WithCancelCause(context.Background())
			gone := errors.New("the caller has gone")
			n := 0
			c.EveryStep(func() {
				if n++; n == 3*k+1 {
					cancel(gone)
				}
			})
			start := time.Now()
			var rep *reparent.Report
			var err error
			require.NoError(t, c.Do(func() { rep, err = p.Run(ctx, g, reparent.Planned("n2")) }))
			took := time.Since(start)
			l := reparenttest.Limits()
			require.LessOrEqual(t, took, l.Undo+l.Registry+l.Linger, "%s", rep)
			if err != nil {
				require.NotEqual(t, reparent.Done, rep.Outcome)
			}
			if rep.Outcome == reparent.NotStarted || rep.Outcome == reparent.Restored || rep.Outcome == reparent.Done {
				leader := rep.Leader()
				if leader == "" { // it had not even read who leads
					leader = "n1"
				}
				require.NoError(t, c.writes(leader), "%s", rep)
			} else {
				t.Fatalf("cancelled at step %d: %s", 3*k+1, rep)
			}
		})
	}
}
