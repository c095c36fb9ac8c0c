package reparent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// told is an emergency that reports what every node promised, changed by edit.
func told(t *testing.T, p *reparenttest.Process, edit func(*leadership.Testimony)) reparent.Change {
	t.Helper()
	push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
	require.NoError(t, err)
	ch := reparent.Emergency()
	ch.Revoke = revokerFunc(func(ctx context.Context, a revoke.Ask, report func(leadership.Testimony)) error {
		return push.Revoke(ctx, a, func(got leadership.Testimony) {
			edit(&got)
			report(got)
		})
	})
	return ch
}

// A follower that honours a lease of the old leader says for how long: until
// then, on the slowest clock that was allowed for, that leader may serve reads.
func TestG1_AGrantWaitsForTheLeasesThatTheReachedNodesHonour(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		const left, rate = 3 * time.Second, 0.1
		wait, err := revoke.LeaseWait(left, rate)
		require.NoError(t, err)
		var proven, granted time.Time
		p := c.Process("c1")
		ch := told(t, p, func(got *leadership.Testimony) { got.LeaseLeft = left })
		rep, err := c.run(p, guard(t, p, func(cfg *reparent.Config) {
			cfg.ClockRate = rate
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Step == reparent.StepGrant {
					granted = time.Now()
				}
				return nil
			}
			cfg.Hooks.After = func(e reparent.Event) {
				if e.Step == reparent.StepRevoke {
					proven = time.Now()
				}
			}
		}), ch)
		require.NoError(t, err, "%s", rep)
		require.GreaterOrEqual(t, granted.Sub(proven), wait, "%s", rep)
	})
}

// The survey need not hear of the term that superseded an attempt: it ends when
// enough have answered. A guard that forgot it would be superseded again.
func TestG5_TheNextAttemptOfAGuardIsAboveTheOneThatSupersededIt(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		newer := leadership.Term{Num: 1 << 40, Proposer: "other"}
		refused := told(t, p, func(got *leadership.Testimony) {
			*got = leadership.Testimony{Node: got.Node, Term: newer, Kind: leadership.Refused}
		})
		g := guard(t, p, nil)
		require.NoError(t, c.Do(func() {
			rep, err := p.Run(t.Context(), g, refused)
			var super *leadership.SupersededError
			require.ErrorAs(t, err, &super)
			require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
			rep, err = p.Run(t.Context(), g, reparent.Emergency())
			require.NoError(t, err, "%s", rep)
			require.True(t, newer.Less(rep.Term), "the attempt after %s was %s", newer, rep.Term)
		}))
	})
}

// Once a node has said that a newer attempt exists, another stage of the
// revocation would only disturb the nodes that attempt is at work with.
func TestG5_NoFurtherStageBeginsOnceANewerAttemptIsHeardOf(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		newer := leadership.Term{Num: 1 << 40, Proposer: "other"}
		first := revokerFunc(func(_ context.Context, _ revoke.Ask, report func(leadership.Testimony)) error {
			report(leadership.Testimony{Node: "n3", Term: newer, Kind: leadership.Refused})
			return nil
		})
		began := false
		second := revokerFunc(func(context.Context, revoke.Ask, func(leadership.Testimony)) error {
			began = true
			return nil
		})
		both, err := revoke.Then(revoke.Stage{Revoker: first}, revoke.Stage{Revoker: second})
		require.NoError(t, err)
		ch := reparent.Emergency()
		ch.Revoke = both
		rep, err := c.change("c1", ch, nil)
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super)
		require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
		require.False(t, began, "the second stage began")
	})
}

// What the survey and the pre-flight check said was of another leader: the one
// of now has to be asked to step down, not the one that was.
func TestG5_AChangeThatWasPlannedAgainstAnotherLeaderIsNotStarted(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		second := c.Process("c2")
		other := guard(t, second, nil)
		var before int
		rep, err := c.change("c1", reparent.Planned("n2"), func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(ctx context.Context, e reparent.Event) error {
				if e.Step != reparent.StepBegin {
					return nil
				}
				rep, err := second.Run(ctx, other, reparent.Planned("n3"))
				before = len(c.Grants())
				require.NoError(t, err, "%s", rep)
				return nil
			}
		})
		var stale *reparent.ChangeError
		require.ErrorAs(t, err, &stale)
		require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
		require.Len(t, c.Grants(), before)
		require.Equal(t, leadership.NodeID("n3"), c.Leader())
		require.NoError(t, c.writes("n3"))
	})
}
