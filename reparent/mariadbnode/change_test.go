package mariadbnode_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/reparent"
)

func TestTheLeaderChangesInOrderAndByForce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	require.NoError(t, c.insert(c.app(0), 1))

	c.run(g, reparent.Planned("n2"))
	require.NoError(t, c.insert(c.app(1), 2))
	require.ErrorContains(t, c.insert(c.app(0), 3), "1290")
	c.holds(0, 1, 2)

	require.NoError(t, c.servers[1].Kill())
	rep := c.run(g, reparent.Emergency())
	require.NoError(t, c.insert(c.app(int(rep.To[1]-'1')), 4))
	c.holds(0, 1, 2, 4)
	c.holds(2, 1, 2, 4)
}
