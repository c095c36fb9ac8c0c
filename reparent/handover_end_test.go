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
)

// The candidate heard of the newer attempt after it had proposed, and its error
// has lost its type on the way: the account alone tells.
func TestG5_AHandOverThatWasOutrunLeavesTheNewerLeaderAlone(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		newer := leadership.Term{Num: 50, Proposer: "other"}
		rep, err := handsOver(t, c, func(n1, _ *reparent.Node) {
			theirs := n1.HandOver
			n1.HandOver = passing(func(ctx context.Context, b handover.Baton) (handover.Account, error) {
				a, err := theirs.HandOver(ctx, b)
				a.Late = append(a.Late, leadership.Testimony{Node: "n3", Term: newer, Kind: leadership.Refused})
				a.Accepted = a.Accepted[:1]
				return a, errors.Join(err, errBusy)
			})
		})
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super)
		require.Equal(t, newer, super.By)
		require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
		require.Nil(t, rep.Undo)
	})
}

// The caller gives up while the leader's answer is on its way.
func TestG5_AHandOverWhoseMarkerIsDurableIsFinishedForACallerThatGaveUp(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		p := c.Process("c1")
		nodes := bundle(p)
		theirs := nodes[0].HandOver
		nodes[0].HandOver = passing(func(ctx context.Context, b handover.Baton) (handover.Account, error) {
			_, err := theirs.HandOver(ctx, b)
			cancel()
			return handover.Account{}, errors.Join(err, context.Canceled)
		})
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
		require.NoError(t, err)
		var rep *reparent.Report
		require.NoError(t, c.Do(func() { rep, err = p.Run(ctx, g, led("n2")) }))
		require.NoError(t, err)
		require.Equal(t, reparent.Done, rep.Outcome, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
		require.NoError(t, c.writes("n2"))
	})
}

func TestHooksAreToldWhoTakesOver(t *testing.T) {
	t.Parallel()
	for name, ch := range map[string]reparent.Change{"led by the coordinator": reparent.Planned("n2"), "led by the leader": led("n2")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
				to := map[reparent.Step]leadership.NodeID{}
				_, err := c.change("c1", ch, func(cfg *reparent.Config) {
					cfg.Hooks.After = func(e reparent.Event) { to[e.Step] = e.To }
				})
				require.NoError(t, err)
				for _, s := range []reparent.Step{reparent.StepActivate, reparent.StepGrant, reparent.StepRoute, reparent.StepSettle} {
					require.EqualValues(t, "n2", to[s], s)
				}
			})
		})
	}
}
