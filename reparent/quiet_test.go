package reparent_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// atBarrier is inSim with a barrier that two routers have joined.
func atBarrier(t *testing.T, f func(t *testing.T, c *cluster, r1, r2 *reparenttest.BarrierRouter)) {
	t.Helper()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		r1, err := c.Router("r1")
		require.NoError(t, err)
		r2, err := c.Router("r2")
		require.NoError(t, err)
		f(t, c, r1, r2)
	})
}

func (c *cluster) intent(t *testing.T) leadership.Intent {
	t.Helper()
	return c.record(t).Intent
}

// untouched fails unless the change asked no node for anything, and left the old
// leader serving.
func (c *cluster) untouched(t *testing.T, rep *reparent.Report) {
	t.Helper()
	require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
	require.False(t, c.Asked(rep.Term), "a node promised:\n%s", rep)
	require.Nil(t, rep.Drained, "%s", rep)
	require.NoError(t, c.writes("n1"))
}

func TestG7_AnOrderlyChangeStepsTheLeaderDownOnlyWhenEveryRouterIsQuiet(t *testing.T) {
	for name, ch := range map[string]func() reparent.Change{
		"planned": func() reparent.Change { return reparent.Planned("n2") },
		"refresh": reparent.Refresh,
		"ruleset": func() reparent.Change {
			return reparent.SetRuleset(leadership.Ruleset{Policy: "all", Members: []leadership.Node{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			atBarrier(t, func(t *testing.T, c *cluster, r1, r2 *reparenttest.BarrierRouter) {
				r2.Busy(true)
				var held time.Time
				p := c.Process("c1")
				rep, err := c.run(p, guard(t, p, func(cfg *reparent.Config) {
					cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
						switch e.Step {
						case reparent.StepQuiet:
							assert.Equal(t, leadership.Holding, c.intent(t).Phase, "routers are asked before they are told")
							held = time.Now()
							time.AfterFunc(100*time.Millisecond, func() { r2.Busy(false) })
						case reparent.StepRevoke:
							s, err := p.Nodes["n1"].Status.Status(context.Background())
							assert.True(t, err == nil && !s.Draining, "the leader drains already")
							assert.Equal(t, e.Term, r1.Acked())
							assert.Equal(t, e.Term, r2.Acked())
							assert.GreaterOrEqual(t, time.Since(held), 100*time.Millisecond)
						}
						return nil
					}
				}), ch())
				require.NoError(t, err, "%s", rep)
				require.NotNil(t, rep.Quiet)
				require.True(t, rep.Quiet.Claimed, "%s", rep)
				require.Equal(t, []leadership.RouterID{"r1", "r2"}, rep.Quiet.Quiet)
				require.Contains(t, rep.String(), "r1, r2")
				require.NoError(t, c.Verify(rep.To))
			})
		})
	}
}

func TestARouterThatIsLateEndsThePlannedChangeBeforeAnythingIsTouched(t *testing.T) {
	atBarrier(t, func(t *testing.T, c *cluster, _, r2 *reparenttest.BarrierRouter) {
		r2.Busy(true)
		limit := 200 * time.Millisecond
		slow := func(cfg *reparent.Config) { cfg.Limits.Quiet = limit }
		start := time.Now()
		rep, err := c.change("c1", reparent.Planned("n2"), slow)
		require.LessOrEqual(t, time.Since(start), limit+100*time.Millisecond, "G8: %s", rep)
		var late *leadership.NotQuietError
		require.ErrorAs(t, err, &late)
		require.Equal(t, []leadership.RouterID{"r2"}, late.Late)
		require.Equal(t, reparent.StepQuiet, rep.Failed)
		require.False(t, rep.Quiet.Claimed)
		require.Contains(t, rep.String(), "late: r2")
		c.untouched(t, rep)
		require.Equal(t, leadership.Cleared, c.intent(t).Phase, "routers still hold")

		// A person decides that latency is not worth the wait.
		ch := reparent.Planned("n2")
		ch.GoOnIfLate = true
		rep, err = c.change("c2", ch, slow)
		require.NoError(t, err, "%s", rep)
		require.Equal(t, []leadership.RouterID{"r2"}, rep.Quiet.Late)
		require.False(t, rep.Quiet.Claimed)
		require.Contains(t, rep.String(), "(G7) is not claimed")

		r2.Busy(false)
		rep, err = c.change("c3", reparent.Planned("n3"), slow)
		require.NoError(t, err, "%s", rep)
		require.True(t, rep.Quiet.Claimed, "a late router is not late for ever: %s", rep)
	})
}

// noBarrier cannot be asked.
type noBarrier struct{ leadership.Barrier }

var errDown = errors.New("the barrier is down")

func (noBarrier) Wait(context.Context, leadership.Term) (leadership.RollCall, error) {
	return leadership.RollCall{}, errDown
}

func TestABarrierThatCannotBeAskedIsAsIfEveryRouterWereLate(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		down := func(cfg *reparent.Config) { cfg.Barrier = noBarrier{} }
		rep, err := c.change("c1", reparent.Planned("n2"), down)
		require.ErrorIs(t, err, errDown)
		c.untouched(t, rep)
		ch := reparent.Planned("n2")
		ch.GoOnIfLate = true
		rep, err = c.change("c2", ch, down)
		require.NoError(t, err, "%s", rep)
		require.False(t, rep.Quiet.Claimed)
		require.Contains(t, rep.Quiet.Reason, errDown.Error())
		require.Equal(t, rep.Term, rep.Quiet.Term)
	})
}

func TestARouterThatDiedIsWaitedForUntilItsLeaseHasLapsedAndNothingIsClaimedOfIt(t *testing.T) {
	atBarrier(t, func(t *testing.T, c *cluster, _, r2 *reparenttest.BarrierRouter) {
		r2.Busy(true)
		r2.Crash()
		rep, err := c.change("c1", reparent.Planned("n2"), nil)
		require.NoError(t, err, "%s", rep)
		require.Equal(t, []leadership.RouterID{"r1"}, rep.Quiet.Quiet)
		require.Equal(t, []leadership.RouterID{"r2"}, rep.Quiet.Lapsed)
		require.False(t, rep.Quiet.Claimed)
	})
}

// brief is a leader that is stepped down late, or cuts requests off.
type brief struct {
	revoke.StepDowner
	takes time.Duration
	cuts  int
}

func (b brief) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	out, err := b.StepDowner.Drain(ctx, t, d)
	time.Sleep(b.takes)
	out.Survivors += b.cuts
	return out, err
}

func TestNothingIsClaimedOfRequestsWhenRoutersHeldForTooShortOrTheDrainCutSomeOff(t *testing.T) {
	for name, tt := range map[string]struct {
		down   brief
		holds  time.Duration
		reason string
	}{
		"held for too short": {down: brief{takes: 60 * time.Millisecond}, holds: 50 * time.Millisecond, reason: "after routers were told to hold"},
		"cut off":            {down: brief{cuts: 2}, holds: time.Second, reason: "the drain cut off 2"},
		"neither":            {holds: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			atBarrier(t, func(t *testing.T, c *cluster, _, _ *reparenttest.BarrierRouter) {
				p := c.Process("c1")
				for id, n := range p.Nodes {
					down := tt.down
					down.StepDowner = n.StepDown
					n.StepDown = down
					p.Nodes[id] = n
				}
				rep, err := c.run(p, guard(t, p, func(cfg *reparent.Config) { cfg.Limits.HoldFor = tt.holds }), reparent.Planned("n2"))
				require.NoError(t, err, "%s", rep)
				require.Equal(t, tt.reason == "", rep.Quiet.Claimed, "%s", rep)
				require.Contains(t, rep.Quiet.Reason, tt.reason)
			})
		})
	}
}

func TestAChangeThatIsOverrunWhileItWaitsTouchesNothing(t *testing.T) {
	atBarrier(t, func(t *testing.T, c *cluster, _, r2 *reparenttest.BarrierRouter) {
		r2.Busy(true)
		var second atomic.Pointer[reparent.Report]
		p := c.Process("c2")
		g := guard(t, p, nil)
		rep, err := c.change("c1", reparent.Planned("n2"), func(cfg *reparent.Config) {
			cfg.Limits.Quiet = 400 * time.Millisecond
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Step != reparent.StepQuiet {
					return nil
				}
				go func() {
					ch := reparent.Planned("n3")
					ch.Force = true
					rep, _ := p.Run(context.Background(), g, ch)
					second.Store(rep)
				}()
				time.AfterFunc(20*time.Millisecond, func() { r2.Busy(false) })
				return nil
			}
		})
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.False(t, c.Asked(rep.Term))
		require.NoError(t, c.Do(func() { require.NoError(t, until(func() bool { return second.Load() != nil })) }))
		require.Equal(t, reparent.Done, second.Load().Outcome, "%s", second.Load())
		require.EqualValues(t, "n3", c.Leader())
	})
}

func until(f func() bool) error {
	for range 10_000 {
		if f() {
			return nil
		}
		wait(time.Millisecond)
	}
	return errors.New("it does not come")
}

// givenUp is a barrier at which all are quiet, for an intent that somebody has
// cleared by then.
type givenUp struct {
	leadership.Barrier
	c *cluster
}

func (g givenUp) Wait(ctx context.Context, t leadership.Term) (leadership.RollCall, error) {
	_, err := leadership.Update(ctx, g.c.reg, func(r leadership.Record) (leadership.Record, error) { return r.Abandon(t), nil })
	return leadership.RollCall{Term: t}, err
}

func TestWhatRoutersSaidForAnIntentThatNoLongerStandsIsWorthNothing(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		rep, err := c.change("c1", reparent.Planned("n2"), func(cfg *reparent.Config) { cfg.Barrier = givenUp{c: c} })
		var no *leadership.TransitionError
		require.ErrorAs(t, err, &no)
		require.Equal(t, reparent.StepQuiet, rep.Failed)
		c.untouched(t, rep)
	})
}

func TestAnEmergencyWaitsForNoRouterAndAResumeForNoneThatIsLate(t *testing.T) {
	atBarrier(t, func(t *testing.T, c *cluster, _, r2 *reparenttest.BarrierRouter) {
		r2.Busy(true)
		rep, err := c.change("c1", reparent.Resume(), nil)
		require.NoError(t, err, "%s", rep)
		require.Equal(t, []leadership.RouterID{"r2"}, rep.Quiet.Late, "a leader that serves is stepped down: %s", rep)

		rep, err = c.change("c2", reparent.Emergency(), nil)
		require.NoError(t, err, "%s", rep)
		require.Nil(t, rep.Quiet)
	})
}

func TestG8_AChangeThatIsCancelledWhileItWaitsForRoutersEndsAtOnceAndTouchesNothing(t *testing.T) {
	atBarrier(t, func(t *testing.T, c *cluster, _, r2 *reparenttest.BarrierRouter) {
		r2.Busy(true)
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		var at time.Time
		p := c.Process("c1")
		g := guard(t, p, func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Step == reparent.StepQuiet {
					time.AfterFunc(30*time.Millisecond, func() {
						at = time.Now()
						cancel(gone)
					})
				}
				return nil
			}
		})
		ch := reparent.Planned("n2")
		ch.GoOnIfLate = true // not for a caller that has gone
		var rep *reparent.Report
		var err error
		require.NoError(t, c.Do(func() { rep, err = p.Run(ctx, g, ch) }))
		require.ErrorIs(t, err, gone)
		require.LessOrEqual(t, time.Since(at), 20*time.Millisecond)
		c.untouched(t, rep)
		require.Equal(t, leadership.Cleared, c.intent(t).Phase)
	})
}

func TestG10_ALimitForRoutersThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	for _, l := range []reparent.Limits{{Quiet: -1}, {Quiet: 10 * time.Second}, {HoldFor: time.Second, Quiet: time.Second}} {
		inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
			_, err := reparent.New("sim", c.reg, bundle(c.Process("c1")), reparent.Config{Limits: l})
			var no *reparent.ConfigError
			require.ErrorAs(t, err, &no)
			require.Equal(t, "Limits.Quiet", no.Field)
		})
	}
}
