package reparent_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// drains is a leader of whose drain f makes what it likes.
type drains struct {
	revoke.StepDowner
	f func(ctx context.Context) error
}

func (l drains) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	if err := l.f(ctx); err != nil {
		return revoke.Drained{}, err
	}
	return l.StepDowner.Drain(ctx, t, d)
}

var errAnswerLost = errors.Join(leadership.ErrUnknownOutcome, errBusy)

// What the change asked for is lost, and meanwhile an emergency made n3 the leader:
// no node told the change of it, the record does.
func TestG5_AnUndoLeavesTheLeaderOfANewerAttemptAlone(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(nodes []reparent.Node, newer func()){
		"a drain": func(nodes []reparent.Node, newer func()) {
			nodes[0].Retire = nil
			nodes[0].StepDown = drains{nodes[0].StepDown, func(context.Context) error {
				newer()
				return errAnswerLost
			}}
		},
		"a retirement": func(nodes []reparent.Node, newer func()) {
			nodes[0].Retire = retiring(func(context.Context, handover.Retirement) (handover.Retired, error) {
				newer()
				return handover.Retired{}, errAnswerLost
			})
		},
		"a take-over": func(nodes []reparent.Node, newer func()) {
			nodes[1].TakeOver = takingOver(func(context.Context, handover.Relay) (handover.Account, error) {
				newer()
				return handover.Account{}, errAnswerLost
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
				other := c.Process("c2")
				g := guard(t, other, nil)
				var theirs *reparent.Report
				var silent atomic.Bool
				rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
					nodes[2].Status = hushed{nodes[2].Status, &silent}
					lose(nodes, func() {
						if theirs == nil {
							ch := reparent.Emergency()
							ch.To = "n3"
							theirs, _ = other.Run(context.Background(), g, ch)
							silent.Store(true)
						}
					})
				})
				require.Error(t, err)
				require.Equal(t, reparent.Done, theirs.Outcome, "%s", theirs)
				require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
				if rep.Undo != nil {
					require.Empty(t, rep.Undo.Testimony, "%s", rep.Undo)
					var super *leadership.SupersededError
					require.ErrorAs(t, err, &super)
					require.Equal(t, theirs.Term, super.By)
				}
				require.Equal(t, theirs.Term, c.record(t).Active.Term)
				require.Equal(t, leadership.Cleared, c.record(t).Intent.Phase)
				require.NoError(t, c.writes("n3"))
			})
		})
	}
}

// Somebody else took a term and thought better of it.
func TestG5_AnUndoIsMadeAlthoughANewerAttemptWasAbandoned(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
		other := c.Process("c2")
		g := guard(t, other, func(cfg *reparent.Config) {
			cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
				if e.Step == reparent.StepRevoke {
					return errBusy
				}
				return nil
			}
		})
		var theirs *reparent.Report
		rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			nodes[0].Retire = retiring(func(context.Context, handover.Retirement) (handover.Retired, error) {
				ch := reparent.Emergency()
				ch.To = "n3"
				theirs, _ = other.Run(context.Background(), g, ch)
				return handover.Retired{}, errAnswerLost
			})
		})
		require.Error(t, err)
		require.Equal(t, reparent.NotStarted, theirs.Outcome, "%s", theirs)
		require.True(t, rep.Term.Less(theirs.Term))
		require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
		require.NoError(t, c.writes(rep.Leader()))
	})
}

// The emergency that made n3 the leader could not reach the registry, so that the
// record shows nothing of it; the nodes do, and n3 is the last of them to answer.
func TestG5_AnUndoLeavesALeaderAloneThatTheRecordDoesNotShow(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"the registry is back": true, "it is down": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
				other := c.Process("c2")
				g := guard(t, other, nil)
				var theirs *reparent.Report
				rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
					nodes[0].Retire = nil
					nodes[0].StepDown = drains{nodes[0].StepDown, func(context.Context) error {
						if theirs == nil {
							c.Meanwhile(c.CrashRegistry)
							ch := reparent.Emergency()
							ch.To = "n3"
							theirs, _ = other.Run(context.Background(), g, ch)
							if back {
								c.Meanwhile(c.RestartRegistry)
							}
						}
						return errAnswerLost
					}}
					nodes[2].Status = lastHeard{nodes[2].Status}
				})
				require.Error(t, err)
				require.Equal(t, reparent.Unsaved, theirs.Outcome, "%s", theirs)
				require.Equal(t, reparent.Superseded, rep.Outcome, "%s", rep)
				require.Empty(t, rep.Undo.Testimony, "%s", rep.Undo)
				var super *leadership.SupersededError
				require.ErrorAs(t, err, &super)
				require.Equal(t, theirs.Term, super.By)
				require.NoError(t, c.writes("n3"))
			})
		})
	}
}

// lastHeard takes its time to answer a survey.
type lastHeard struct{ reparent.Statuser }

func (l lastHeard) Status(ctx context.Context) (leadership.Status, error) {
	wait(reparenttest.Limits().Status / 2)
	return l.Statuser.Status(ctx)
}

// hushed is a node that does not say any more how it is: that it leads, the record
// shows.
type hushed struct {
	reparent.Statuser
	silent *atomic.Bool
}

func (h hushed) Status(ctx context.Context) (leadership.Status, error) {
	if h.silent.Load() {
		return leadership.Status{}, errAnswerLost
	}
	return h.Statuser.Status(ctx)
}
