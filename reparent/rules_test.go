package reparent_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
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
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Mode: leadership.Shortcut}, func(t *testing.T, c *cluster) {
		before := len(c.Grants())
		rep, err := c.change("c1", reparent.Emergency(), at(reparent.StepActivate, leadership.KindEmergency, func() { c.Meanwhile(c.CrashRegistry) }))
		require.Error(t, err)
		require.Len(t, c.Grants(), before, "%s", rep)
		require.NotEqual(t, reparent.Done, rep.Outcome)
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
		inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
			rep, err := c.change("c1", reparent.Emergency(), at(reparent.StepBegin, leadership.KindEmergency, overtake(t, c)))
			require.NoError(t, err, "%s", rep)
			require.Empty(t, rep.Notes)
			rec, err := c.reg.Load(context.Background())
			require.NoError(t, err)
			require.Equal(t, rep.Term, rec.Active.Term)
		})
	})
	t.Run("when it activates, it grants nobody", func(t *testing.T) {
		inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
			before := len(c.Grants())
			rep, err := c.change("c1", reparent.Emergency(), at(reparent.StepActivate, leadership.KindEmergency, overtake(t, c)))
			var super *leadership.SupersededError
			require.ErrorAs(t, err, &super)
			require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
			require.Len(t, c.Grants(), before)
		})
	})
}

// A node that a person declared gone, with the loss of what only it had, may
// come back with that: what it holds is evidence only once it has followed a
// later leader.
func TestG2_ANodeThatWasDeclaredGoneIsNoEvidenceUntilItHasFollowed(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		c.Crash("n1")
		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: []leadership.NodeID{"n1"}, Loss: true, Reason: "rack burnt down", By: "alice"}
		rep, err := c.change("c1", ch, nil)
		require.NoError(t, err, "%s", rep)
		away := leadership.NodeID("n2")
		if rep.To == away {
			away = "n3"
		}
		require.NoError(t, c.Do(func() { wait(time.Second) })) // nobody sends it anything any more
		c.Restart("n1")
		c.Crash(away)
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
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		est, err := establish.NewProposal(p.Candidates(), p.Followers(), establish.Options{})
		require.NoError(t, err)
		ch := reparent.Emergency()
		ch.Establish = lostGrant{est}
		rep, err := c.run(p, guard(t, p, func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Kind == leadership.KindUndo && e.Step == reparent.StepBegin {
					return errVeto
				}
				return nil
			}
		}), ch)
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
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (leadership.Record, error) {
			return r.Hold(leadership.Isolation{Node: "n3", Term: r.Fence, By: "c0"})
		})
		require.NoError(t, err)
		var iso isolator
		p := c.Process("c1")
		g := guard(t, p, func(cfg *reparent.Config) {
			cfg.Isolate, err = revoke.NewIsolate(&iso, p.Registry, "c1", nil)
			require.NoError(t, err)
		})
		c.Crash("n3")
		require.NoError(t, c.Do(func() { _, err = g.Sweep(context.Background()) }))
		require.Error(t, err)
		require.Zero(t, iso.released.Load(), "released before it promised")
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Len(t, rec.Held, 1)

		c.Restart("n3")
		require.NoError(t, c.Do(func() { _, err = g.Sweep(context.Background()) }))
		require.NoError(t, err)
		require.Equal(t, int32(1), iso.released.Load())
	})
}

// A node that has promised a later attempt is bound by that promise: it is not
// kept isolated for it.
func TestASweepReleasesAnIsolatedNodeThatHasPromisedMore(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (leadership.Record, error) {
			return r.Hold(leadership.Isolation{Node: "n3", Term: r.Fence, By: "c0"})
		})
		require.NoError(t, err)
		var iso isolator
		p := c.Process("c1")
		g := guard(t, p, func(cfg *reparent.Config) {
			cfg.Isolate, err = revoke.NewIsolate(&iso, p.Registry, "c1", nil)
			require.NoError(t, err)
		})
		more := leadership.Term{Num: 99, Proposer: "c9"}
		require.NoError(t, c.Do(func() { _, err = p.Nodes["n3"].Promise.Promise(context.Background(), more) }))
		require.NoError(t, err)
		require.NoError(t, c.Do(func() { _, err = g.Sweep(context.Background()) }))
		require.Error(t, err, "it cannot follow a lower term")
		require.Equal(t, int32(1), iso.released.Load())
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Empty(t, rec.Held)
	})
}
