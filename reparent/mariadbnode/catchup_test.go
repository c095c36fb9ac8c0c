package mariadbnode_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
)

// TestWhoCatchesUpAcknowledgesNothing: its donor may still lead under the term that the
// node has promised against.
func TestWhoCatchesUpAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	c.lead(c.guard(reparent.Config{}), 0)
	require.NoError(t, c.insert(c.app(0), 1))
	c.holds(1, 1)
	_, err := c.nodes[1].Promise(t.Context(), term(1000))
	require.NoError(t, err)
	c.exec(c.root(2), "STOP SLAVE IO_THREAD")
	s, err := c.nodes[0].Status(t.Context())
	require.NoError(t, err)
	p := s.Position.Point.(mariadbnode.Point)
	p.State = p.State.Merge(mariadbnode.State{{Server: 1, Seq: 1000}}) // so that it goes on
	ctx, cancel := context.WithCancel(t.Context())
	var copying sync.WaitGroup
	defer copying.Wait()
	defer cancel()
	copying.Go(func() {
		_ = c.nodes[1].CatchUp(ctx, term(1000), "n1", leadership.Position{Term: s.Position.Term, Point: p})
	})
	c.eventually("n2 receives", func() bool { return c.ioRunning(1) == "Yes" })
	out := c.blocked(0, 7)
	c.holds(1, 7)
	require.Equal(t, "1", c.value(c.root(0), countWaiting), "it acknowledged")
	c.exec(c.root(2), "START SLAVE IO_THREAD")
	require.NoError(t, <-out)
}
