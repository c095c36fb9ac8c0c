package reparent_test

import (
	"context"
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

type revokerFunc func(context.Context, revoke.Ask, func(leadership.Testimony)) error

func (f revokerFunc) Revoke(ctx context.Context, a revoke.Ask, report func(leadership.Testimony)) error {
	return f(ctx, a, report)
}

// counted counts the calls that an establisher got.
type counted struct {
	establish.Establisher
	installs, grants *atomic.Int32
}

func (e counted) Install(ctx context.Context, p *leadership.Proposal, report func(leadership.Acceptance)) error {
	e.installs.Add(1)
	return e.Establisher.Install(ctx, p, report)
}

func (e counted) Grant(ctx context.Context, in *leadership.Installed) error {
	e.grants.Add(1)
	return e.Establisher.Grant(ctx, in)
}

// One node's answer that it promised more comes when the proof is complete
// already: the attempt touches nothing more.
func TestALateAnswerOfANewerAttemptStopsTheChangeBeforeItsNextStep(t *testing.T) {
	for _, tt := range []struct {
		step     reparent.Step
		installs int32
	}{{reparent.StepInstall, 0}, {reparent.StepGrant, 1}} {
		t.Run(string(tt.step), func(t *testing.T) {
			inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
				p := c.Process("c1")
				push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
				require.NoError(t, err)
				est, err := establish.NewProposal(p.Candidates(), p.Followers(), establish.Options{})
				require.NoError(t, err)
				var installs, grants atomic.Int32
				late, told := make(chan struct{}), make(chan struct{})
				newer := leadership.Term{Num: 1 << 40, Proposer: "other"}
				ch := reparent.Emergency()
				ch.Establish = counted{est, &installs, &grants}
				ch.Revoke = revokerFunc(func(ctx context.Context, a revoke.Ask, report func(leadership.Testimony)) error {
					err := push.Revoke(ctx, a, report)
					select {
					case <-late:
						report(leadership.Testimony{Node: "n3", Term: newer, Kind: leadership.Refused})
						close(told)
					case <-ctx.Done():
					}
					return err
				})
				rep, err := c.run(p, guard(t, p, func(cfg *reparent.Config) {
					cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
						if e.Step == tt.step {
							close(late)
							<-told
						}
						return nil
					}
				}), ch)
				var super *leadership.SupersededError
				require.ErrorAs(t, err, &super)
				require.Equal(t, newer, super.By)
				require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
				require.Equal(t, tt.installs, installs.Load(), "installs")
				require.Zero(t, grants.Load(), "grants")
			})
		})
	}
}

// A mechanism that is slow to end must have ended before the undo takes a term,
// and before Run returns.
func TestG8_AnUndoBeginsOnlyWhenTheMechanismsOfTheAttemptHaveEnded(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
		require.NoError(t, err)
		var ended atomic.Bool
		ch := reparent.Emergency()
		ch.Establish = failing{}
		ch.Revoke = revokerFunc(func(ctx context.Context, a revoke.Ask, report func(leadership.Testimony)) error {
			_ = push.Revoke(ctx, a, report)
			<-ctx.Done()
			time.Sleep(50 * time.Millisecond)
			ended.Store(true)
			return context.Cause(ctx)
		})
		undone := false
		rep, err := c.run(p, guard(t, p, func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Kind == leadership.KindUndo {
					undone = true
					require.True(t, ended.Load(), "the undo began while a mechanism of the attempt was running")
				}
				return nil
			}
		}), ch)
		require.ErrorIs(t, err, errBusy)
		require.True(t, undone && ended.Load(), "%s", rep)
	})
}

// failing installs nobody.
type failing struct{ establish.Establisher }

func (failing) Install(context.Context, *leadership.Proposal, func(leadership.Acceptance)) error {
	return errBusy
}

// The installation fails for reasons of its own; the answer that tells of a newer
// attempt comes when the change waits for what is still on its way.
func TestG5_AChangeThatFailedAndWasOutrunIsNotUndone(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
		require.NoError(t, err)
		newer := leadership.Term{Num: 1 << 40, Proposer: "other"}
		ch := reparent.Emergency()
		ch.Establish = failing{}
		ch.Revoke = revokerFunc(func(ctx context.Context, a revoke.Ask, report func(leadership.Testimony)) error {
			err := push.Revoke(ctx, a, report)
			<-ctx.Done()
			report(leadership.Testimony{Node: "n3", Term: newer, Kind: leadership.Refused})
			return err
		})
		rep, err := c.run(p, guard(t, p, nil), ch)
		require.ErrorIs(t, err, errBusy)
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super)
		require.Equal(t, newer, super.By)
		require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
		require.Nil(t, rep.Undo)
	})
}
