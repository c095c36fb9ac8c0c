package reparent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// What others said the coordinator has heard itself.
func TestG5_ASuccessorIsNotAskedWhatOthersSaid(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			theirs := nodes[1].TakeOver
			nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
				a, err := theirs.TakeOver(ctx, r)
				for i := range a.Basis {
					if a.Basis[i].Node == "n3" {
						a.Basis[i].Led = leadership.Term{Num: 99, Proposer: "other"}
					}
				}
				return a, err
			})
		})
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
	})
}

func TestG5_ASuccessorWhoseAnswerIsLostIsAskedAgain(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
		times := 0
		rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			theirs := nodes[1].TakeOver
			nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
				a, err := theirs.TakeOver(ctx, r)
				if times++; times == 1 {
					return handover.Account{}, errors.Join(err, leadership.ErrUnknownOutcome)
				}
				return a, err
			})
		})
		require.NoError(t, err, "%s", rep)
		require.Nil(t, rep.Undo)
		require.EqualValues(t, "n2", rep.Leader())
		require.Equal(t, 2, times)
	})
	// One that is gone is no help.
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
		rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			nodes[1].TakeOver = takingOver(func(context.Context, handover.Relay) (handover.Account, error) {
				return handover.Account{}, proof{errBusy}
			})
		})
		require.ErrorContains(t, err, errBusy.Error())
		require.Equal(t, reparent.Restored, rep.Outcome, "the leader has stepped down: %s", rep)
		require.NoError(t, c.writes(rep.Leader()))
	})
}

// The caller gives up while the successor's answer is on its way: nothing is begun
// any more, and what was begun is found out about.
func TestG5_ATakeOverWhoseMarkerIsDurableIsFinishedForACallerThatGaveUp(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		p := c.Process("c1")
		nodes := bundle(p)
		theirs, times := nodes[1].TakeOver, 0
		nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
			times++
			_, err := theirs.TakeOver(ctx, r)
			cancel()
			return handover.Account{}, errors.Join(err, context.Canceled)
		})
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
		require.NoError(t, err)
		var rep *reparent.Report
		require.NoError(t, c.Do(func() { rep, err = p.Run(ctx, g, reparent.Planned("n2")) }))
		require.NoError(t, err, "%s", rep)
		require.Equal(t, 1, times)
		require.EqualValues(t, "n2", rep.Leader())
		require.NoError(t, c.writes("n2"))
	})
}

// A spare that has promised more ends the change before anybody takes over.
func TestG5_AnAttemptThatWasOutrunAtASpareTouchesNothingMore(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		newer := leadership.Term{Num: 50, Proposer: "other"}
		rep, log, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			nodes[2].Promise = stale{newer}
		})
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super)
		require.Equal(t, newer, super.By)
		require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
		require.Nil(t, rep.Undo)
		require.False(t, log.has("take over n2"))
		require.False(t, log.has("promise n4"))
	})
}

type stale struct{ by leadership.Term }

func (s stale) Promise(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, &leadership.StaleTermError{Node: "n3", Asked: t, Promised: s.by}
}

// A spare that does not answer is one of all who are asked then.
func TestASpareThatDoesNotAnswerIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		rep, log, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			nodes[2].Promise = silent{}
		})
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
		require.True(t, log.has("promise n4"))
		require.False(t, log.has("drain"))
		require.NoError(t, c.writes("n2"))
	})
}

type silent struct{}

func (silent) Promise(ctx context.Context, _ leadership.Term) (leadership.Testimony, error) {
	<-ctx.Done()
	return leadership.Testimony{}, context.Cause(ctx)
}

// What was known of the leader is a while older than what was known of its
// successor, which follows it: nobody is asked to bring that level.
func TestASuccessorThatIsKnownToBeLevelIsNotBroughtLevel(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]bool{"level": true, "behind": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSim(t, oneCall(), func(t *testing.T, c *cluster) {
				g := guard(t, c.Process("monitor"), nil)
				view := func() (v leadership.View) {
					var err error
					require.NoError(t, c.Do(func() { v, err = g.View(context.Background()) }))
					require.NoError(t, err)
					return v
				}
				before := view().Statuses
				require.NoError(t, c.writes("n1"))
				known := view().Statuses
				if known[0] = before[0]; !level {
					known[0], known[1] = view().Statuses[0], before[1]
				}
				require.NoError(t, c.writes("n1"))
				ch := reparent.Planned("n2")
				ch.Known = known
				copied := false
				rep, _, err := relays(t, c, ch, func(nodes []reparent.Node) {
					nodes[1].Candidate = copying{nodes[1].Candidate, &copied}
				})
				require.NoError(t, err, "%s", rep)
				require.Equal(t, !level, copied)
				require.EqualValues(t, "n2", rep.Leader())
				require.NoError(t, c.writes("n2"))
			})
		})
	}
}

type copying struct {
	establish.Candidate
	did *bool
}

func (c copying) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	*c.did = true
	return c.Candidate.CatchUp(ctx, t, donor, pos)
}

func TestAPlanSaysThatTheSuccessorTakesOver(t *testing.T) {
	t.Parallel()
	inSim(t, oneCall(), func(t *testing.T, c *cluster) {
		g := guard(t, c.Process("c1"), nil)
		var plan *reparent.Plan
		var err error
		require.NoError(t, c.Do(func() { plan, err = g.Plan(context.Background(), reparent.Planned("n2")) }))
		require.NoError(t, err)
		require.Equal(t, []reparent.Step{
			reparent.StepBegin, reparent.StepPrepare, reparent.StepHold, reparent.StepRevoke, reparent.StepHandOver,
			reparent.StepActivate, reparent.StepGrant, reparent.StepRoute,
		}, plan.Steps)
	})
}

// A hook may say no until the successor is told; by then the leader has let go.
func TestAVetoOfATakeOverIsUndone(t *testing.T) {
	t.Parallel()
	for step, want := range map[reparent.Step]reparent.Outcome{reparent.StepRevoke: reparent.NotStarted, reparent.StepHandOver: reparent.Restored} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			inSim(t, oneCall(), func(t *testing.T, c *cluster) {
				rep, err := c.change("c1", reparent.Planned("n2"), func(cfg *reparent.Config) {
					cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
						if e.Step == step && e.Kind == leadership.KindPlanned {
							return proof{errBusy}
						}
						return nil
					}
				})
				var veto *reparent.VetoError
				require.ErrorAs(t, err, &veto)
				require.Equal(t, want, rep.Outcome, "%s", rep)
				require.NoError(t, c.writes(rep.Leader()))
			})
		})
	}
}
