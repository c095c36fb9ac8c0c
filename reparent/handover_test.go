package reparent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// led is a planned change that the leader leads itself.
func led(to leadership.NodeID) reparent.Change {
	c := reparent.Planned(to)
	c.LeaderLed = true
	return c
}

func TestTheLeaderLeadsAChange(t *testing.T) {
	t.Parallel()
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		rep, err := c.change("c1", led("n4"), nil)
		require.NoError(t, err, "%s", rep)
		require.Equal(t, reparent.Done, rep.Outcome)
		require.EqualValues(t, "n4", rep.Leader())
		require.Equal(t, leadership.Leadership{Leader: "n4", Term: rep.Term}, c.record(t).Routed)
		require.Contains(t, rep.Accepted, leadership.NodeID("n4"))
		require.NoError(t, c.writes("n4"))
		var steps []reparent.Step
		for _, s := range rep.Steps {
			steps = append(steps, s.Step)
		}
		require.Contains(t, steps, reparent.StepHandOver)
		require.NotContains(t, steps, reparent.StepRevoke)
	})
}

func TestG10_AChangeThatTheLeaderCannotLeadIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	refresh := reparent.Refresh()
	refresh.LeaderLed = true
	by := func(edit func(*reparent.Change)) reparent.Change {
		ch := led("n2")
		edit(&ch)
		return ch
	}
	for name, tt := range map[string]struct {
		kind   reparenttest.Harness
		setup  reparenttest.Setup
		change reparent.Change
	}{
		"shortcut mode":        {reparenttest.LogStore(), reparenttest.Setup{Mode: leadership.Shortcut}, led("n2")},
		"no such capability":   {reparenttest.MariaDBLike(), reparenttest.Setup{}, led("n2")},
		"to who leads already": {reparenttest.LogStore(), reparenttest.Setup{}, led("n1")},
		"a refresh":            {reparenttest.LogStore(), reparenttest.Setup{}, refresh},
		"a revoker beside it": {reparenttest.LogStore(), reparenttest.Setup{}, by(func(c *reparent.Change) {
			c.Revoke = &revoke.Push{}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSetup(t, tt.kind, tt.setup, func(t *testing.T, c *cluster) {
				before := c.record(t)
				rep, err := c.change("c1", tt.change, nil)
				var bad *reparent.ChangeError
				require.ErrorAs(t, err, &bad)
				require.Equal(t, reparent.NotStarted, rep.Outcome)
				require.True(t, before.Equal(c.record(t)), "the record was touched")
				require.NoError(t, c.writes("n1"))
			})
		})
	}
}

// passing answers for a node that hands over.
type passing func(ctx context.Context, b handover.Baton) (handover.Account, error)

func (f passing) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	return f(ctx, b)
}

// handsOver runs a change to n2 that n1 leads, with the answers of the two made
// by others.
func handsOver(t *testing.T, c *cluster, edit func(n1, n2 *reparent.Node)) (*reparent.Report, error) {
	p := c.Process("c1")
	nodes := bundle(p)
	edit(&nodes[0], &nodes[1])
	g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
	require.NoError(t, err)
	return c.run(p, g, led("n2"))
}

var errBusy = errors.New("a session writes whatever it is told")

func TestG9_ALeaderThatDeclinesToHandOverLeadsOnOnlyWithProof(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want reparent.Outcome
	}{
		"with proof":            {proof{errBusy}, reparent.NotStarted},
		"without proof":         {errBusy, reparent.Restored},
		"it has promised more":  {&leadership.StaleTermError{Node: "n1", Promised: leadership.Term{Num: 9, Proposer: "other"}}, reparent.Superseded},
		"a proof that is wrong": {nil, reparent.Restored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
				rep, err := handsOver(t, c, func(n1, n2 *reparent.Node) {
					theirs := n1.HandOver
					n1.HandOver = passing(func(ctx context.Context, b handover.Baton) (handover.Account, error) {
						if tt.err != nil {
							return handover.Account{}, tt.err
						}
						// What it tells of beside the proof shows that it began.
						a, err := theirs.HandOver(ctx, b)
						a.Accepted = nil
						return a, errors.Join(err, proof{errBusy})
					})
				})
				require.Error(t, err)
				require.Equal(t, tt.want, rep.Outcome, "%s", rep)
				if tt.want != reparent.Superseded {
					require.NoError(t, c.writes(rep.Leader()))
				}
			})
		})
	}
}

// The coordinator goes by what the nodes said, and not by what the candidate
// makes of it.
func TestG3_ACandidateIsNotBelievedWhatItCannotShow(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(a *handover.Account){
		"nothing but done":            func(a *handover.Account) { *a = handover.Account{Marker: a.Marker} },
		"too few promises":            func(a *handover.Account) { a.Basis = a.Basis[:1] },
		"its marker is of other rule": func(a *handover.Account) { a.Marker.Ruleset.Version++ },
		"accepted by itself alone":    func(a *handover.Account) { a.Accepted = a.Accepted[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
				var active leadership.Leadership
				rep, err := handsOver(t, c, func(n1, n2 *reparent.Node) {
					active = c.record(t).Active
					theirs := n1.HandOver
					told := passing(func(ctx context.Context, b handover.Baton) (handover.Account, error) {
						a, err := theirs.HandOver(ctx, b)
						edit(&a)
						return a, err
					})
					n1.HandOver, n2.HandOver = told, told
				})
				require.Error(t, err, "%s", rep)
				require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
				require.Equal(t, reparent.StepHandOver, rep.Failed)
				require.Less(t, active.Term.Num, rep.Undo.Term.Num)
				require.Equal(t, rep.Undo.Term, c.record(t).Active.Term, "the term that was not proven is in no record")
				require.NoError(t, c.writes(rep.Leader()))
			})
		})
	}
}

func TestG5_WhenTheLeadersAnswerIsLostTheCandidateIsAsked(t *testing.T) {
	t.Parallel()
	lost := errors.Join(leadership.ErrUnknownOutcome, errBusy)
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		rep, err := handsOver(t, c, func(n1, _ *reparent.Node) {
			theirs := n1.HandOver
			n1.HandOver = passing(func(ctx context.Context, b handover.Baton) (handover.Account, error) {
				_, err := theirs.HandOver(ctx, b)
				return handover.Account{}, errors.Join(err, lost)
			})
		})
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
		require.Nil(t, rep.Undo)
	})
	// One that has heard of nothing is no help.
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		rep, err := handsOver(t, c, func(n1, _ *reparent.Node) {
			n1.HandOver = passing(func(context.Context, handover.Baton) (handover.Account, error) {
				return handover.Account{}, lost
			})
		})
		require.ErrorIs(t, err, errBusy)
		require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
		require.EqualValues(t, "n1", rep.Leader())
	})
}

// A leader that is killed when its release is on its way has done its part.
func TestG5_ALeaderThatDiesInAHandOverIsNotNeededAnyMore(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		dead := false
		c.EveryStep(func() {
			if f := c.Facts("n2"); !dead && f.Source.Leader == "n2" {
				dead = true
				c.Crash("n1")
			}
		})
		rep, err := c.change("c1", led("n2"), nil)
		require.NoError(t, err, "%s", rep)
		require.True(t, dead)
		require.EqualValues(t, "n2", rep.Leader())
		require.NoError(t, c.writes("n2"))
	})
}

func TestAPlanSaysThatTheLeaderLeads(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		g := guard(t, c.Process("c1"), nil)
		for _, tt := range []struct {
			change reparent.Change
			has    reparent.Step
			not    reparent.Step
		}{{led("n2"), reparent.StepHandOver, reparent.StepRevoke}, {reparent.Planned("n2"), reparent.StepRevoke, reparent.StepHandOver}} {
			var plan *reparent.Plan
			var err error
			require.NoError(t, c.Do(func() { plan, err = g.Plan(context.Background(), tt.change) }))
			require.NoError(t, err)
			require.Contains(t, plan.Steps, tt.has)
			require.NotContains(t, plan.Steps, tt.not)
		}
	})
}

// strange is a node whose log ends with a ruleset that nobody else ever saw.
type strange struct{ reparent.Statuser }

func (s strange) Status(ctx context.Context) (leadership.Status, error) {
	st, err := s.Statuser.Status(ctx)
	late := leadership.Term{Num: st.Promised.Num, Proposer: "z"}
	rs := leadership.Ruleset{Version: 9, Policy: "all", Members: []leadership.Node{{ID: "n3"}}}
	st.Position.Term = late
	st.Markers = append(st.Markers, leadership.Sighting{Marker: leadership.Marker{Term: late, Leader: "n3", Ruleset: rs}})
	return st, err
}

// Whose word the guard does not take the candidate does not take either.
func TestG5_WhoIsDisregardedIsBarredFromAHandOver(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		nodes := bundle(p)
		nodes[2].Status = strange{nodes[2].Status}
		var got handover.Baton
		theirs := nodes[0].HandOver
		nodes[0].HandOver = passing(func(ctx context.Context, b handover.Baton) (handover.Account, error) {
			got = b
			return theirs.HandOver(ctx, b)
		})
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
		require.NoError(t, err)
		rep, err := c.run(p, g, led("n2"))
		require.NoError(t, err, "%s", rep)
		require.Len(t, got.Barred, 1, "%s", rep)
		require.EqualValues(t, "n3", got.Barred[0].Node)
		require.EqualValues(t, "n2", rep.Leader())
	})
}
