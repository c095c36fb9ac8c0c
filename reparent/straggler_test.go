package reparent_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// tardy promises when it is let.
type tardy struct {
	*notebook
	let <-chan struct{}
}

func (n tardy) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	select {
	case <-n.let:
	case <-ctx.Done():
		return leadership.Testimony{}, context.Cause(ctx)
	}
	return n.notebook.Promise(ctx, t)
}

// Follow takes longer than anybody waits.
func (n tardy) Follow(ctx context.Context, _ leadership.Term, _ leadership.NodeID) (leadership.Acceptance, error) {
	<-ctx.Done()
	return leadership.Acceptance{}, context.Cause(ctx)
}

// A server that is re-pointed is let follow once it is known where its log ends.
// One that said so when the new leader was granted already may not have the time to:
// it follows nobody until a sweep, and the report must not pass over it.
func TestANodeThatPromisedTooLateToFollowIsNamed(t *testing.T) {
	t.Parallel()
	reg := &leadership.MemoryRegistry{}
	peers, _, _, err := notebooks(t.Context(), t.TempDir(), reg)
	require.NoError(t, err)
	let := make(chan struct{})
	var nodes []reparent.Node
	for _, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		n := peers[id].node()
		n.Truncates = false
		if id == "n3" {
			n.Promise, n.Follow = tardy{peers[id], let}, tardy{peers[id], let}
		}
		nodes = append(nodes, n)
	}
	g, err := reparent.New("notes", reg, nodes, reparent.Config{Hooks: reparent.Hooks{After: func(e reparent.Event) {
		if e.Step == reparent.StepGrant {
			close(let)
		}
	}}})
	require.NoError(t, err)
	rep, err := g.Run(t.Context(), reparent.Planned("n2"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(rep.Testimony, func(h reparent.Heard) bool { return h.Node == "n3" }), "%s", rep)
	require.NotContains(t, rep.Accepted, leadership.NodeID("n3"))
	require.Equal(t, []leadership.NodeID{"n3"}, rep.Stragglers, "%s", rep)
	nodes[2] = peers["n3"].node()
	g, err = reparent.New("notes", reg, nodes, reparent.Config{})
	require.NoError(t, err)
	swept, err := g.Sweep(t.Context())
	require.NoError(t, err, "%s", swept)
	require.EqualValues(t, "n2", peers["n3"].acc.Status().Accepts.Leader)
}
