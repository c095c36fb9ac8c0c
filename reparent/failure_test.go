package reparent_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// inSim runs f against a cluster of three that n1 leads, on the quiet schedule.
func inSim(t *testing.T, kind traits, f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1, faults{})
		defer s.close()
		c := newCluster(s, repeat(kind, 3), leadership.Majority())
		require.NoError(t, c.bootstrap())
		f(t, c)
	})
}

// change runs one change as a process of its own.
func (c *cluster) change(name string, ch reparent.Change, edit func(*reparent.Config)) (rep *reparent.Report, err error) {
	p := c.s.proc(name)
	if derr := c.do(func() { rep, err = c.guard(p, edit).Run(context.Background(), ch) }); derr != nil {
		return rep, derr
	}
	return rep, err
}

func (c *cluster) writes(id leadership.NodeID) (err error) {
	p := c.s.proc("w")
	if derr := c.do(func() { err = c.write(context.Background(), p, id) }); derr != nil {
		return derr
	}
	return err
}

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
		{reparent.StepRevoke, reparent.Restored},
		{reparent.StepPropose, reparent.Restored},
		{reparent.StepInstall, reparent.Restored},
	} {
		for name, kind := range map[string]traits{"log": logTraits, "mariadb": mariadbTraits, "postgres": pgTraits} {
			t.Run(string(tt.step)+"/"+name, func(t *testing.T) {
				inSim(t, kind, func(t *testing.T, c *cluster) {
					before := c.grants[0]
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
					}
					require.NoError(t, c.verify("n1"))
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
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		rep, err := c.change("c1", reparent.Planned("n2"), nil)
		require.NoError(t, err)
		require.NotNil(t, rep.Drained, "the leader was not drained")

		p := c.s.proc("c2")
		nodes := c.bundle(p)
		for i := range nodes {
			nodes[i].StepDown = stuck{nodes[i].StepDown}
		}
		g, err := reparent.New("sim", remoteRegistry{p, c}, nodes, reparent.Config{By: "c2", Limits: simLimits()})
		require.NoError(t, err)
		require.NoError(t, c.do(func() { rep, err = g.Run(context.Background(), reparent.Planned("n3")) }))
		require.ErrorContains(t, err, "a session does not end")
		require.False(t, c.promised[rep.Term], "a follower was fenced although the leader did not step down:\n%s", rep)
		require.NoError(t, c.writes("n2"))
	})
}

// brokenGrant establishes and then cannot grant.
type brokenGrant struct{ establish.Establisher }

func (brokenGrant) Grant(context.Context, *leadership.Installed) error {
	return errors.New("the node's port does not open")
}

func TestAGrantThatFailsIsUndoneUnderANewTerm(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		p := c.s.proc("c1")
		candidates := map[leadership.NodeID]establish.Candidate{}
		followers := map[leadership.NodeID]establish.Follower{}
		for _, b := range c.bundle(p) {
			candidates[b.ID], followers[b.ID] = b.Candidate, b.Follow
		}
		est, err := establish.NewProposal(candidates, followers, establish.Options{})
		require.NoError(t, err)
		ch := reparent.Planned("n2")
		ch.Establish = brokenGrant{est}
		var rep *reparent.Report
		require.NoError(t, c.do(func() { rep, _ = c.guard(p, nil).Run(context.Background(), ch) }))
		require.Equal(t, reparent.StepGrant, rep.Failed)
		require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
		require.NoError(t, c.verify(rep.Leader()))
	})
}

func TestOfTwoPlannedChangesTheSecondIsBusyUnlessForced(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		p := c.s.proc("c1")
		p.dieAt = 26 // after the intent is in the record
		require.NoError(t, c.do(func() { _, _ = c.guard(p, nil).Run(context.Background(), reparent.Planned("n2")) }))
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
		require.EqualValues(t, "n3", c.leaderOf())
	})
}

func TestAnEmergencyGoesOnWithoutTheRegistryAndASweepBringsTheRecordBack(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.nodes["n1"].p.crash()
		c.regP.up = false
		p := c.s.proc("c1")
		g := c.guard(p, nil)
		var rep *reparent.Report
		var err error
		require.NoError(t, c.do(func() { rep, err = g.Run(context.Background(), reparent.Emergency()) }))
		var unsaved *reparent.UnsavedError
		require.ErrorAs(t, err, &unsaved, "%s", rep)
		require.Equal(t, reparent.Incomplete, rep.Outcome)
		leader := c.leaderOf()
		require.Equal(t, unsaved.Leadership.Leader, leader)
		require.NoError(t, c.writes(leader))

		c.regP.up = true
		var swept *reparent.SweepReport
		require.NoError(t, c.do(func() { swept, _ = g.Sweep(context.Background()) }))
		require.True(t, swept.Saved, "%s", swept)
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Equal(t, unsaved.Leadership, rec.Routed)
		require.NoError(t, c.verify(leader))
	})
}

func TestInShortcutModeNothingChangesWithoutTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1, faults{})
		defer s.close()
		c := newCluster(s, repeat(logTraits, 4), leadership.AtLeast(2))
		boot := reparent.Bootstrap(c.rs, "n1")
		boot.Mode = leadership.Shortcut
		_, err := c.change("boot", boot, nil)
		require.NoError(t, err)
		p := s.proc("c1")
		g := c.guard(p, nil)
		require.NoError(t, c.do(func() { _, err = g.Run(context.Background(), reparent.Planned("n2")) }))
		require.NoError(t, err)

		c.nodes["n2"].p.crash()
		s.procs[0].up = false
		c.regP.up = false
		var rep *reparent.Report
		require.NoError(t, c.do(func() { rep, err = g.Run(context.Background(), reparent.Emergency()) }))
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
		c.regP.up = true
	})
}

func TestAWaiverLetsAPersonGoOnAndIsShown(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.nodes["n1"].p.crash()
		c.nodes["n2"].p.crash()
		rep, err := c.change("c1", reparent.Emergency(), nil)
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.Equal(t, [][]leadership.NodeID{{"n1"}, {"n2"}}, no.Missing, "it names what would help")

		// Gone for good: not even a waiver makes a marker durable on one of
		// three, so the ruleset must shrink first; the proof alone passes.
		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: []leadership.NodeID{"n1"}, Loss: true, Reason: "rack burnt down", By: "alice"}
		c.nodes["n2"].p.restart()
		rep, err = c.change("c2", ch, nil)
		require.NoError(t, err, "%s", rep)
		require.Contains(t, rep.String(), "alice")
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		old := leadership.Testimony{Node: "n1", Incarnation: "disk-1", Read: &leadership.Position{Term: c.grants[0].Term}}
		require.NotEmpty(t, rec.IsBarred(old), "what was declared gone does not count as it was")

		// It comes back, follows, and counts again: without n2 it is needed.
		c.nodes["n1"].p.restart()
		p := c.s.proc("c3")
		require.NoError(t, c.do(func() { _, err = c.guard(p, nil).Sweep(context.Background()) }))
		require.NoError(t, err)
		c.nodes["n2"].p.crash()
		rep, err = c.change("c4", reparent.Emergency(), nil)
		require.NoError(t, err, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
	})
}

func TestSetRulesetIsInForceUnderOldAndNewBeforeEitherAlone(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		next := leadership.Ruleset{Policy: "all", Members: c.rs.Members}
		rep, err := c.change("c1", reparent.SetRuleset(next), nil)
		require.NoError(t, err, "%s", rep)
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Equal(t, "all", rec.Ruleset.Policy)
		require.EqualValues(t, 2, rec.Ruleset.Version)
		require.NoError(t, c.writes("n1"))

		c.nodes["n3"].p.crash()
		require.ErrorIs(t, c.writes("n1"), leadership.ErrUnknownOutcome, "under all, two of three complete nothing")
	})
}

func TestABootstrapNeverRunsOnDataAndOnlyOnce(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		_, err := c.change("c1", reparent.Bootstrap(c.rs, "n2"), nil)
		var no *reparent.ChangeError
		require.ErrorAs(t, err, &no)

		// Another registry, the same nodes.
		c.reg = &leadership.MemoryRegistry{}
		rep, err := c.change("c2", reparent.Bootstrap(c.rs, "n2"), nil)
		var full *reparent.NotEmptyError
		require.ErrorAs(t, err, &full)
		require.Equal(t, reparent.NotStarted, rep.Outcome)

		rep, err = c.change("c3", reparent.Adopt(c.rs, "n1"), nil)
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n1", c.leaderOf())
	})
}

func TestPlanTouchesNothingAndSaysWhatRunWouldDo(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		p := c.s.proc("c1")
		g := c.guard(p, nil)
		before, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		promised := c.nodes["n2"].store.rec
		var plan *reparent.Plan
		require.NoError(t, c.do(func() { plan, err = g.Plan(context.Background(), reparent.Planned("n2")) }))
		require.NoError(t, err)
		require.EqualValues(t, "n2", plan.Choice.To)
		require.Contains(t, plan.String(), "n1 -> n2")
		after, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.True(t, before.Equal(after))
		require.Equal(t, promised, c.nodes["n2"].store.rec)

		c.nodes["n1"].p.crash()
		require.NoError(t, c.do(func() { plan, err = g.Plan(context.Background(), reparent.Planned("n2")) }))
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "a planned change needs the leader")
		require.Contains(t, err.Error(), "emergency")
		require.NoError(t, c.do(func() { plan, err = g.Plan(context.Background(), reparent.Emergency()) }))
		require.NoError(t, err)
	})
}

func TestAReportReadsWellAndIsJSON(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
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
		synctest.Test(t, func(t *testing.T) { // a goroutine left behind fails the bubble
			s := newSim(1, faults{})
			defer s.close()
			c := newCluster(s, repeat(logTraits, 3), leadership.Majority())
			require.NoError(t, c.bootstrap())
			p := s.proc("c1")
			g := c.guard(p, nil)
			ctx, cancel := context.WithCancelCause(context.Background())
			gone := errors.New("the caller has gone")
			n := 0
			s.check = func() error {
				if n++; n == 3*k+1 {
					cancel(gone)
				}
				return c.check()
			}
			start := time.Now()
			var rep *reparent.Report
			var err error
			require.NoError(t, c.do(func() { rep, err = g.Run(ctx, reparent.Planned("n2")) }))
			took := time.Since(start)
			l := simLimits()
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
