package reparent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// The coordinator of a change of the ruleset dies when its marker is durable and the
// record does not show it. Then nodes burn, and who is left goes on, whether the
// change was to bring members in or to let them go.
func TestG5_ALastResortGoesOnFromAnUnfinishedChangeOfTheRuleset(t *testing.T) {
	for _, tc := range []struct {
		name     string
		members  int
		policy   leadership.Policy
		to       []leadership.NodeID
		gone, on []leadership.NodeID
	}{
		{"it grew, and old and new members burn", 3, leadership.Majority(), nodes("n1", "n2", "n3", "n4", "n5"), nodes("n1", "n4", "n5"), nodes("n2", "n3")},
		{"it grew, and all new members burn", 3, leadership.AtLeast(4), nodes("n1", "n2", "n3", "n4", "n5"), nodes("n4", "n5"), nodes("n1", "n2", "n3")},
		{"it shrank, and all who stay burn", 5, leadership.Majority(), nodes("n1", "n4", "n5"), nodes("n1", "n4", "n5"), nodes("n2", "n3")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 5, Members: tc.members}, func(t *testing.T, c *cluster) {
				require.NoError(t, c.writes("n1"))
				require.NoError(t, c.Do(func() { wait(time.Second) }))
				p := c.Process("c1")
				next := leadership.Ruleset{Policy: tc.policy.Spec()}
				for _, id := range tc.to {
					next.Members = append(next.Members, leadership.Node{ID: id})
				}
				rep, _ := c.run(p, guard(t, p, at(reparent.StepActivate, leadership.KindRuleset, func() { p.DieAt(1) })), reparent.SetRuleset(next))
				require.True(t, p.Dead(), "%s", rep)
				require.EqualValues(t, 1, c.record(t).Ruleset.Version)
				c.Gone(tc.gone...)

				ch := lastResort(true, tc.gone, leadership.Majority(), tc.on...)
				ch.Force = true // none of those leads whom the record does not show
				rep, err := c.change("c2", ch, nil)
				require.NoError(t, err, "%s", rep)
				require.Contains(t, tc.on, rep.Leader())
				require.Equal(t, tc.on, c.record(t).Ruleset.IDs())
				require.NoError(t, c.writes(rep.Leader()))
				require.NoError(t, c.Verify(rep.Leader()))
			})
		})
	}
}
