package reparent_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// preparing is a node's Prepare.
type preparing func(leadership.Term) error

func (p preparing) Prepare(_ context.Context, t leadership.Term) error { return p(t) }

func TestNodesAreMadeReadyBeforeClientsAreHeldAndNothingRestsOnIt(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		var asked atomic.Int32
		p := c.Process("c1")
		for _, id := range p.IDs() {
			n := p.Nodes[id]
			n.Prepare = preparing(func(term leadership.Term) error {
				asked.Add(1)
				i := c.intent(t)
				require.Equal(t, term, i.Term)
				require.Equal(t, leadership.Preparing, i.Phase, "clients are held by now")
				require.False(t, c.Asked(term), "a node promised by now")
				return errors.New("it is " + string(id) + " that cannot")
			})
			p.Nodes[id] = n
		}
		g, err := reparent.New("sim", c.reg, bundle(p), reparent.Config{Limits: reparent.Limits{Drain: time.Second}})
		require.NoError(t, err)
		rep, err := c.run(p, g, reparent.Planned("n2"))
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, 3, asked.Load())
		for _, id := range p.IDs() {
			require.Contains(t, strings.Join(rep.Notes, "; "), "it is "+string(id)+" that cannot")
		}
		rep, err = c.run(p, g, reparent.Refresh())
		require.NoError(t, err, "%s", rep)
		rep, err = c.run(p, g, reparent.Emergency())
		require.NoError(t, err, "%s", rep)
		require.EqualValues(t, 3, asked.Load(), "only a planned change to another node has the time")
	})
}
