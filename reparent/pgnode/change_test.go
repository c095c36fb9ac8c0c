package pgnode_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

func TestG7_PlannedChangeUnderWritersInOtherProcessesCostsNoErrorAndLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	l := c.write(2, 8)
	c.flows(l, 50)
	began := time.Now()
	for _, to := range []leadership.NodeID{"n2", "n3"} {
		rep := c.run(reparent.Planned(to))
		require.Equal(t, reparent.Done, rep.Outcome)
		c.flows(l, 50)
		if len(rep.Stragglers) > 0 {
			c.sweepAll() // the old leader's restart outlasted the change
		}
	}
	took := time.Since(began)
	h, err := l.Stop(t.Context())
	require.NoError(t, err)
	c.level("n3", "n1", "n2")
	v := h.Check(load.Rows{Node: "n3", IDs: c.rows("n3")}, load.Rows{Node: "n1", IDs: c.rows("n1")}, load.Rows{Node: "n2", IDs: c.rows("n2")})
	t.Logf("%v\ntwo changes in %v", v, took)
	require.NoError(t, v.Flawless())
}
