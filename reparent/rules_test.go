package reparent_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// at runs f before the step of a change of that kind.
func at(step reparent.Step, kind leadership.Kind, f func()) func(*reparent.Config) {
	return func(cfg *reparent.Config) {
		cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
			if e.Step == step && e.Kind == kind {
				f()
			}
			return nil
		}
	}
}

// In shortcut mode the next coordinator asks only the leader that the record
// names: one that the record does not name must not take clients.
func TestG6_InShortcutModeNobodyIsGrantedWhenTheRegistryIsLostOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(1, faults{})
		defer s.close()
		c := newCluster(s, repeat(logTraits, 3), leadership.Majority())
		boot := reparent.Bootstrap(c.rs, "n1")
		boot.Mode = leadership.Shortcut
		_, err := c.change("boot", boot, nil)
		require.NoError(t, err)
		before := len(c.grants)
		rep, err := c.change("c1", reparent.Emergency(), at(reparent.StepActivate, leadership.KindEmergency, func() { c.regP.up = false }))
		require.Error(t, err)
		require.Len(t, c.grants, before, "%s", rep)
		require.NotEqual(t, reparent.Done, rep.Outcome)
		c.regP.up = true
	})
}

// That the record refuses is an answer. An emergency that took it for an outage
// would go on without the registry, beside the coordinator that overtook it.
func TestG5_AnEmergencyThatWasOvertakenInTheRecordDoesNotGoOnWithoutIt(t *testing.T) {
	overtake := func(t *testing.T, c *cluster) func() {
		return func() {
			_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (leadership.Record, error) {
				next, err := leadership.NextTerm("other", r.Fence)
				if err != nil || r.Intent.By == "other" {
					return r, err
				}
				return r.Begin(leadership.Intent{Term: next, By: "other", Kind: leadership.KindEmergency}, true)
			})
			require.NoError(t, err)
		}
	}
	t.Run("when it begins, it takes a higher term", func(t *testing.T) {
		inSim(t, logTraits, func(t *testing.T, c *cluster) {
			rep, err := c.change("c1", reparent.Emergency(), at(reparent.StepBegin, leadership.KindEmergency, overtake(t, c)))
			require.NoError(t, err, "%s", rep)
			require.Empty(t, rep.Notes)
			rec, err := c.reg.Load(context.Background())
			require.NoError(t, err)
			require.Equal(t, rep.Term, rec.Active.Term)
		})
	})
	t.Run("when it activates, it grants nobody", func(t *testing.T) {
		inSim(t, logTraits, func(t *testing.T, c *cluster) {
			before := len(c.grants)
			rep, err := c.change("c1", reparent.Emergency(), at(reparent.StepActivate, leadership.KindEmergency, overtake(t, c)))
			var super *leadership.SupersededError
			require.ErrorAs(t, err, &super)
			require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
			require.Len(t, c.grants, before)
		})
	})
}

// A node that a person declared gone, with the loss of what only it had, may
// come back with that: what it holds is evidence only once it has followed a
// later leader.
func TestG2_ANodeThatWasDeclaredGoneIsNoEvidenceUntilItHasFollowed(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.nodes["n1"].p.crash()
		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: []leadership.NodeID{"n1"}, Loss: true, Reason: "rack burnt down", By: "alice"}
		rep, err := c.change("c1", ch, nil)
		require.NoError(t, err, "%s", rep)
		away := leadership.NodeID("n2")
		if rep.To == away {
			away = "n3"
		}
		c.nodes["n1"].p.restart()
		c.nodes[away].p.crash()
		rep, err = c.change("c2", reparent.Emergency(), nil)
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
	})
}

// lostGrant loses the answer to every grant.
type lostGrant struct{ establish.Establisher }

func (lostGrant) Grant(context.Context, *leadership.Installed) error { return errNoAnswer }

var errNoAnswer = errors.New("the answer was lost")

// Who was asked to take clients and did not answer may have done so.
func TestG9_AGrantThatWasNotUndoneIsOfUnknownOutcome(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		candidates := map[leadership.NodeID]establish.Candidate{}
		followers := map[leadership.NodeID]establish.Follower{}
		for _, b := range c.bundle(c.s.proc("c1")) {
			candidates[b.ID], followers[b.ID] = b.Candidate, b.Follow
		}
		est, err := establish.NewProposal(candidates, followers, establish.Options{})
		require.NoError(t, err)
		ch := reparent.Emergency()
		ch.Establish = lostGrant{est}
		rep, err := c.change("c1", ch, func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Kind == leadership.KindUndo && e.Step == reparent.StepBegin {
					return errVeto
				}
				return nil
			}
		})
		require.ErrorIs(t, err, errNoAnswer)
		require.Equal(t, reparent.Unknown, rep.Outcome, "%s", rep)
	})
}

// isolator counts its releases.
type isolator struct{ released atomic.Int32 }

func (*isolator) Isolate(context.Context, leadership.Term, leadership.NodeID) error { return nil }

func (i *isolator) Release(context.Context, leadership.Term, leadership.NodeID) error {
	i.released.Add(1)
	return nil
}

// An isolated node that has not promised would lead on if it were released.
func TestG1_ASweepReleasesAnIsolatedNodeOnlyWhenItHasPromised(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (leadership.Record, error) {
			return r.Hold(leadership.Isolation{Node: "n3", Term: r.Fence, By: "c0"})
		})
		require.NoError(t, err)
		var iso isolator
		p := c.s.proc("c1")
		g := c.guard(p, func(cfg *reparent.Config) {
			cfg.Isolate, err = revoke.NewIsolate(&iso, remoteRegistry{p, c}, "c1", nil)
			require.NoError(t, err)
		})
		c.nodes["n3"].p.crash()
		require.NoError(t, c.do(func() { _, err = g.Sweep(context.Background()) }))
		require.Error(t, err)
		require.Zero(t, iso.released.Load(), "released before it promised")
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Len(t, rec.Held, 1)

		c.nodes["n3"].p.restart()
		require.NoError(t, c.do(func() { _, err = g.Sweep(context.Background()) }))
		require.NoError(t, err)
		require.Equal(t, int32(1), iso.released.Load())
	})
}

// A node that has promised a later attempt is bound by that promise: it is not
// kept isolated for it.
func TestASweepReleasesAnIsolatedNodeThatHasPromisedMore(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (leadership.Record, error) {
			return r.Hold(leadership.Isolation{Node: "n3", Term: r.Fence, By: "c0"})
		})
		require.NoError(t, err)
		var iso isolator
		p := c.s.proc("c1")
		g := c.guard(p, func(cfg *reparent.Config) {
			cfg.Isolate, err = revoke.NewIsolate(&iso, remoteRegistry{p, c}, "c1", nil)
			require.NoError(t, err)
		})
		more := leadership.Term{Num: 99, Proposer: "c9"}
		require.NoError(t, c.do(func() { _, err = remote{p, c.nodes["n3"]}.Promise(context.Background(), more) }))
		require.NoError(t, err)
		require.NoError(t, c.do(func() { _, err = g.Sweep(context.Background()) }))
		require.Error(t, err, "it cannot follow a lower term")
		require.Equal(t, int32(1), iso.released.Load())
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Empty(t, rec.Held)
	})
}
