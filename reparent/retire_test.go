package reparent_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// oneCall are nodes that retire, and take over, in one call.
func oneCall() reparenttest.Harness { return reparenttest.Store(reparenttest.Traits{OneCall: true}) }

type retiring func(ctx context.Context, r handover.Retirement) (handover.Retired, error)

func (f retiring) Retire(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
	return f(ctx, r)
}

type takingOver func(ctx context.Context, r handover.Relay) (handover.Account, error)

func (f takingOver) TakeOver(ctx context.Context, r handover.Relay) (handover.Account, error) {
	return f(ctx, r)
}

// calls notes what nodes are asked for.
type calls struct {
	mu  sync.Mutex // guards all
	all []string
}

func (c *calls) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, what)
}

func (c *calls) has(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.all, what)
}

type promiser struct {
	revoke.Promiser
	id  leadership.NodeID
	log *calls
}

func (p promiser) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	p.log.add("promise " + string(p.id))
	return p.Promiser.Promise(ctx, t)
}

type stepper struct {
	revoke.StepDowner
	log *calls
}

func (s stepper) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	s.log.add("drain")
	return s.StepDowner.Drain(ctx, t, d)
}

// relays runs a planned change to n2, with what edit makes of the nodes, and
// returns what they were asked for by the coordinator.
func relays(t *testing.T, c *cluster, ch reparent.Change, edit func(nodes []reparent.Node)) (*reparent.Report, *calls, error) {
	t.Helper()
	p := c.Process("c1")
	nodes := bundle(p)
	log := &calls{}
	for i, n := range nodes {
		nodes[i].Promise = promiser{n.Promise, n.ID, log}
		nodes[i].StepDown = stepper{n.StepDown, log}
		nodes[i].Retire = retiring(func(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
			log.add("retire " + string(n.ID))
			return n.Retire.Retire(ctx, r)
		})
		if n.TakeOver != nil {
			nodes[i].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
				log.add("take over " + string(n.ID))
				return n.TakeOver.TakeOver(ctx, r)
			})
		}
	}
	if edit != nil {
		edit(nodes)
	}
	g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
	require.NoError(t, err)
	rep, err := c.run(p, g, ch)
	return rep, log, err
}

func stepsOf(rep *reparent.Report) (steps []reparent.Step) {
	for _, s := range rep.Steps {
		steps = append(steps, s.Step)
	}
	return steps
}

// Of three the two leaders are enough. Of five and seven as many others promise
// beside the step-down as make up the proof, whom the leader can do without.
func TestLeaderAndSuccessorDoTheirPartInOneCallEach(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		setup  reparenttest.Setup
		down   []leadership.NodeID
		relays bool
		spares []leadership.NodeID
	}{
		{"three", reparenttest.Setup{Nodes: 3}, nil, true, nil},
		{"five", reparenttest.Setup{Nodes: 5}, nil, true, []leadership.NodeID{"n3"}},
		{"seven", reparenttest.Setup{Nodes: 7}, nil, true, []leadership.NodeID{"n3", "n4"}},
		{"five, of which one is down", reparenttest.Setup{Nodes: 5}, []leadership.NodeID{"n3"}, true, []leadership.NodeID{"n4"}},
		{"five, of which two are down", reparenttest.Setup{Nodes: 5}, []leadership.NodeID{"n4", "n5"}, false, nil},
		{"three, of which all are needed", reparenttest.Setup{Nodes: 3, Policy: leadership.All()}, nil, false, nil},
		{"five, of which two suffice", reparenttest.Setup{Nodes: 5, Policy: leadership.AtLeast(2)}, nil, true, []leadership.NodeID{"n3", "n4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inSetup(t, oneCall(), tt.setup, func(t *testing.T, c *cluster) {
				require.NoError(t, c.writes("n1"))
				for _, id := range tt.down {
					c.Crash(id)
				}
				rep, log, err := relays(t, c, reparent.Planned("n2"), nil)
				require.NoError(t, err, "%s", rep)
				require.Equal(t, reparent.Done, rep.Outcome)
				require.EqualValues(t, "n2", rep.Leader())
				require.True(t, log.has("retire n1"))
				require.False(t, log.has("drain"))
				for _, id := range rep.Stragglers {
					require.NotContains(t, rep.Accepted, id, "who follows is no straggler: %s", rep)
				}
				require.Equal(t, tt.relays, log.has("take over n2"), "%s", rep)
				require.Equal(t, tt.relays, slices.Contains(stepsOf(rep), reparent.StepHandOver))
				require.Equal(t, !tt.relays, slices.Contains(stepsOf(rep), reparent.StepInstall))
				if tt.relays {
					var asked []leadership.NodeID
					for _, id := range c.IDs() {
						if log.has("promise " + string(id)) {
							asked = append(asked, id)
						}
					}
					require.Equal(t, tt.spares, asked, "who promised to the coordinator")
				}
				require.Equal(t, leadership.Leadership{Leader: "n2", Term: rep.Term}, c.record(t).Routed)
				require.NoError(t, c.writes("n2"))
			})
		})
	}
}

// In mode Shortcut nobody is granted whom the record does not name.
func TestG6_InShortcutModeTheSuccessorDoesNotTakeOverByItself(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3, Mode: leadership.Shortcut}, func(t *testing.T, c *cluster) {
		rep, log, err := relays(t, c, reparent.Planned("n2"), nil)
		require.NoError(t, err, "%s", rep)
		require.True(t, log.has("retire n1"))
		require.False(t, log.has("take over n2"), "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
	})
}

func TestG9_ALeaderThatDoesNotRetireLeadsOnOnlyWithProof(t *testing.T) {
	t.Parallel()
	lost := errors.Join(leadership.ErrUnknownOutcome, errBusy)
	answers := func(got handover.Retired, err error) func(reparent.Node) retiring {
		return func(reparent.Node) retiring {
			return func(context.Context, handover.Retirement) (handover.Retired, error) { return got, err }
		}
	}
	for name, tt := range map[string]struct {
		nodes int
		by    func(reparent.Node) retiring
		want  reparent.Outcome
	}{
		"with proof":    {3, answers(handover.Retired{}, proof{errBusy}), reparent.NotStarted},
		"without proof": {3, answers(handover.Retired{}, errBusy), reparent.Restored},
		"drained":       {3, answers(handover.Retired{Drained: &revoke.Drained{}}, proof{errBusy}), reparent.Restored},
		// Another has been asked to promise, and may have.
		"with proof of its own alone": {5, answers(handover.Retired{}, proof{errBusy}), reparent.Restored},
		"it contradicts itself": {3, answers(handover.Retired{}, &leadership.StaleTermError{
			Node: "n1", Promised: leadership.Term{Num: 1, Proposer: "other"},
		}), reparent.Restored},
		"it has promised more": {3, answers(handover.Retired{}, &leadership.StaleTermError{
			Node: "n1", Promised: leadership.Term{Num: 9, Proposer: "other"},
		}), reparent.Superseded},
		"its answer is lost": {3, func(n reparent.Node) retiring {
			return func(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
				_, err := n.Retire.Retire(ctx, r)
				return handover.Retired{}, errors.Join(err, lost)
			}
		}, reparent.Restored},
		"it is lost on the way there": {3, answers(handover.Retired{}, lost), reparent.Restored},
		"it answers for another": {3, func(n reparent.Node) retiring {
			return func(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
				got, err := n.Retire.Retire(ctx, r)
				got.StepDown.Node = "n3"
				return got, err
			}
		}, reparent.Restored},
		"it answers for another term": {3, func(n reparent.Node) retiring {
			return func(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
				got, err := n.Retire.Retire(ctx, r)
				got.StepDown.Term.Num--
				return got, err
			}
		}, reparent.Restored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSetup(t, oneCall(), reparenttest.Setup{Nodes: tt.nodes}, func(t *testing.T, c *cluster) {
				rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) { nodes[0].Retire = tt.by(nodes[0]) })
				require.Error(t, err)
				require.Equal(t, tt.want, rep.Outcome, "%s", rep)
				if tt.want != reparent.Superseded {
					require.NoError(t, c.writes(rep.Leader()))
				}
			})
		})
	}
}

// The coordinator goes by what the nodes said, and not by what the successor makes
// of it.
func TestG3_ASuccessorIsNotBelievedWhatItCannotShow(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(a *handover.Account){
		"nothing but done":            func(a *handover.Account) { *a = handover.Account{Marker: a.Marker} },
		"its marker is of other rule": func(a *handover.Account) { a.Marker.Ruleset.Version++ },
		"accepted by itself alone":    func(a *handover.Account) { a.Accepted = a.Accepted[:1] },
		"without its own promise": func(a *handover.Account) {
			a.Basis = slices.DeleteFunc(a.Basis, func(t leadership.Testimony) bool { return t.Node == "n2" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
				rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
					theirs := nodes[1].TakeOver
					nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
						a, err := theirs.TakeOver(ctx, r)
						edit(&a)
						return a, err
					})
				})
				require.Error(t, err, "%s", rep)
				require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
				require.Equal(t, reparent.StepHandOver, rep.Failed)
				require.Equal(t, rep.Undo.Term, c.record(t).Active.Term, "the term that was not proven is in no record")
				require.NoError(t, c.writes(rep.Leader()))
			})
		})
	}
}
