package reparent_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// polled counts how often nodes are asked how they are. Those in down do not
// answer anything.
type polled struct {
	*notebook
	asked *atomic.Int32
	down  bool
}

func (n polled) Status(ctx context.Context) (leadership.Status, error) {
	n.asked.Add(1)
	if n.down {
		return leadership.Status{}, errNoAnswer
	}
	return n.notebook.Status(ctx)
}

func (n polled) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if n.down {
		return leadership.Testimony{}, errNoAnswer
	}
	return n.notebook.Promise(ctx, t)
}

// polledCluster is three notebooks of which n1 leads, and a guard that sees some
// of them down.
func polledCluster(t *testing.T, down ...leadership.NodeID) (g *reparent.Guard, peers map[leadership.NodeID]*notebook, asked *atomic.Int32) {
	t.Helper()
	reg := &leadership.MemoryRegistry{}
	peers, _, _, err := notebooks(t.Context(), t.TempDir(), reg)
	require.NoError(t, err)
	asked = &atomic.Int32{}
	var nodes []reparent.Node
	for _, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		n := peers[id].node()
		p := polled{notebook: peers[id], asked: asked}
		for _, d := range down {
			p.down = p.down || d == id
		}
		n.Status, n.Promise = p, p
		nodes = append(nodes, n)
	}
	g, err = reparent.New("notes", reg, nodes, reparent.Config{})
	require.NoError(t, err)
	return g, peers, asked
}

func statuses(t *testing.T, peers map[leadership.NodeID]*notebook) (known []leadership.Status) {
	t.Helper()
	for _, n := range peers {
		s, err := n.Status(t.Context())
		require.NoError(t, err)
		s.Reachable = true
		known = append(known, s)
	}
	return known
}

func TestAnEmergencyAsksNobodyHowTheyAreWhenThatIsKnown(t *testing.T) {
	t.Parallel()
	g, peers, asked := polledCluster(t, "n1")
	change := reparent.Emergency()
	change.Known = statuses(t, peers)
	rep, err := g.Run(t.Context(), change)
	require.NoError(t, err, "%s", rep)
	require.EqualValues(t, "n2", rep.Leader())
	require.Zero(t, asked.Load())
}

// What was heard is not what is so: n3 answered the detector, and has not since.
// n1, which is to be replaced, answered as well and does not count.
func TestAnEmergencyThatWhatIsKnownDoesNotAllowAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func([]leadership.Status)
	}{
		{"the leader is one of the two who were reachable", func(ss []leadership.Status) {
			for i := range ss {
				ss[i].Reachable = ss[i].Node != "n3"
			}
		}},
		{"nobody was reachable", func(ss []leadership.Status) {
			for i := range ss {
				ss[i].Reachable = false
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, peers, asked := polledCluster(t, "n1", "n3")
			change := reparent.Emergency()
			change.Known = statuses(t, peers)
			tt.edit(change.Known)
			rep, err := g.Run(t.Context(), change)
			var infeasible *reparent.InfeasibleError
			require.ErrorAs(t, err, &infeasible, "%s", rep)
			require.Equal(t, reparent.NotStarted, rep.Outcome)
			require.Positive(t, asked.Load())
			require.Zero(t, peers["n2"].acc.Status().Promised.Compare(peers["n3"].acc.Status().Promised), "nobody was fenced")
		})
	}
}

// A node that has promised more than is known ends the attempt: nothing is taken
// from whoever it promised that to.
func TestKnowledgeThatIsOldNeverOutrunsAPromise(t *testing.T) {
	t.Parallel()
	g, peers, _ := polledCluster(t, "n1")
	change := reparent.Emergency()
	change.Known = statuses(t, peers)
	later := leadership.Term{Num: 99, Proposer: "other"}
	_, err := peers["n3"].Promise(t.Context(), later)
	require.NoError(t, err)
	rep, err := g.Run(t.Context(), change)
	require.Equal(t, later, peers["n3"].acc.Status().Promised, "%s", rep)
	if err != nil {
		var super *leadership.SupersededError
		require.ErrorAs(t, err, &super)
	}
	// What the report told makes the next one of this guard go above it.
	rep, err = g.Run(t.Context(), reparent.Emergency())
	require.NoError(t, err, "%s", rep)
}

func TestAPlannedChangeBeginsOnWhatIsKnown(t *testing.T) {
	t.Parallel()
	g, peers, asked := polledCluster(t)
	change := reparent.Planned("n2")
	change.Known = statuses(t, peers)
	rep, err := g.Run(t.Context(), change)
	require.NoError(t, err, "%s", rep)
	require.EqualValues(t, "n2", rep.Leader())
	require.Zero(t, asked.Load())
}
