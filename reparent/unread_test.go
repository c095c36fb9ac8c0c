package reparent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// unread is a node that promises and whose log cannot be read.
type unread struct{ revoke.Promiser }

var errApplier = errors.New("the applier stopped")

func (n unread) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	got, err := n.Promiser.Promise(ctx, t)
	got.Read, got.Markers = nil, nil
	return got, err
}

func (unread) Read(context.Context, leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, errApplier
}

func TestAChangeThatRunsOutOfTimeSaysWhatTheNodesSaid(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		p := c.Process("c1")
		for id, n := range p.Nodes {
			n.Promise = unread{n.Promise}
			p.Nodes[id] = n
		}
		rep, err := c.run(p, guard(t, p, nil), reparent.Emergency())
		require.Equal(t, reparent.StepRevoke, rep.Failed, "%s", rep)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errApplier, "%s", rep)
	})
}
