package reparent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// n4 and n5 have promised to an attempt that went no further: n1 leads with n2 and
// n3, and needs both for what is in flight.
func TestG7_ASpareIsNotTakenFromALeaderThatOthersHaveLeft(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		dead := c.Process("c2")
		require.NoError(t, c.Do(func() {
			for _, id := range []leadership.NodeID{"n4", "n5"} {
				_, err := dead.Nodes[id].Promise.Promise(context.Background(), leadership.Term{Num: 5, Proposer: "dead"})
				require.NoError(t, err)
			}
		}))
		require.NoError(t, c.writes("n1"))
		var inFlight error
		p := c.Process("c1")
		nodes := bundle(p)
		theirs := nodes[0].Retire
		nodes[0].Retire = retiring(func(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
			_ = p.Sleep(ctx, 20*time.Millisecond) // who is to promise early has
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			inFlight = c.Append(short, "n1")
			return theirs.Retire(ctx, r)
		})
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
		require.NoError(t, err)
		rep, err := c.run(p, g, reparent.Planned("n2"))
		require.NoError(t, inFlight, "%s", rep)
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.Leader())
		require.Equal(t, []leadership.NodeID{"n4"}, promisedEarly(rep))
	})
}

// promisedEarly are those who promised beside the two leaders.
func promisedEarly(rep *reparent.Report) (ids []leadership.NodeID) {
	for _, h := range rep.Testimony {
		if h.Kind == leadership.Promised && h.Node != "n1" && h.Node != "n2" {
			ids = append(ids, h.Node)
		}
	}
	return ids
}

// low says that it is below what it must have to count.
type low struct{ reparent.Statuser }

func (s low) Status(ctx context.Context) (leadership.Status, error) {
	st, err := s.Statuser.Status(ctx)
	st.BelowFloor = true
	return st, err
}

func TestNobodyIsASpareWhoDoesNotHelp(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		rep, log, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			nodes[2].Status = low{nodes[2].Status}
		})
		require.NoError(t, err, "%s", rep)
		require.False(t, log.has("promise n3"), "%s", rep)
		require.True(t, log.has("promise n4"), "%s", rep)
	})
}

// late promises when the successor has taken over, and shows a ruleset that nobody
// else knows of.
type late struct {
	revoke.Promiser
	let   <-chan struct{}
	draft leadership.Ruleset
}

func (p late) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	got, err := p.Promiser.Promise(ctx, t)
	<-p.let
	got.BelowFloor = true
	first := leadership.Marker{Term: leadership.Term{Num: 1, Proposer: "a"}, Leader: "n1", Ruleset: p.draft}
	got.Markers = append(got.Markers, leadership.Sighting{Marker: first})
	return got, err
}

// What came when the successor had its proof takes nothing from it.
func TestG5_ATakeOverIsJudgedByWhatTheSuccessorWasTold(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		let := make(chan struct{})
		rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			draft := c.rs
			draft.Version++
			nodes[0].Status = low{nodes[0].Status} // two spares then, of whom one would have done
			nodes[2].Promise = late{nodes[2].Promise, let, draft}
			theirs := nodes[1].TakeOver
			nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
				a, err := theirs.TakeOver(ctx, r)
				select {
				case <-let:
				default:
					close(let)
				}
				for range 50 {
					_, _ = nodes[4].Status.Status(ctx)
				}
				return a, err
			})
		})
		require.NoError(t, err, "%s", rep)
		require.Nil(t, rep.Undo)
		require.EqualValues(t, "n2", rep.Leader())
	})
}

// The leader takes all the time there is, and a spare says nothing.
func TestALeaderThatRetiredAtTheLimitIsFollowedByTheOrdinaryWay(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		rep, log, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			nodes[2].Promise = silent{}
			theirs := nodes[0].Retire
			nodes[0].Retire = retiring(func(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
				got, err := theirs.Retire(ctx, r)
				<-ctx.Done()
				return got, err
			})
		})
		require.NoError(t, err, "%s", rep)
		require.Nil(t, rep.Undo)
		require.EqualValues(t, "n2", rep.Leader())
		require.False(t, log.has("take over n2"))
	})
}

// A successor that makes less of what it was told than the coordinator is not
// waited for: nobody leads meanwhile.
func TestASuccessorThatWasToldTooLittleIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 5}, func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		nodes := bundle(p)
		theirs := nodes[1].TakeOver
		var took time.Duration
		nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
			r.Heard = nil
			began := p.Now()
			a, err := theirs.TakeOver(ctx, r)
			took = max(took, p.Now().Sub(began))
			return a, err
		})
		g, err := reparent.New("sim", p.Registry, nodes, reparent.Config{By: "c1", Limits: reparenttest.Limits()})
		require.NoError(t, err)
		rep, err := c.run(p, g, reparent.Planned("n2"))
		require.Error(t, err)
		require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
		require.Less(t, took, reparenttest.Limits().Install/10)
		require.NoError(t, c.writes(rep.Leader()))
	})
}

// The coordinator did not hear n3's promise, and need not have: it follows.
func TestG9_WhoFollowsTheSuccessorIsNoStraggler(t *testing.T) {
	t.Parallel()
	inSetup(t, oneCall(), reparenttest.Setup{Nodes: 3}, func(t *testing.T, c *cluster) {
		rep, _, err := relays(t, c, reparent.Planned("n2"), func(nodes []reparent.Node) {
			theirs := nodes[1].TakeOver
			nodes[1].TakeOver = takingOver(func(ctx context.Context, r handover.Relay) (handover.Account, error) {
				a, err := theirs.TakeOver(ctx, r)
				also := a.Accepted[len(a.Accepted)-1]
				also.Node = "n3"
				a.Accepted = append(a.Accepted, also)
				return a, err
			})
		})
		require.NoError(t, err, "%s", rep)
		require.Contains(t, rep.Accepted, leadership.NodeID("n3"))
		require.Empty(t, rep.Stragglers, "%s", rep)
	})
}
