package reparent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// What n1 completed is on n1 and n2 alone, which were declared gone. They answer the
// change that was to go on without it.
func TestG2_WhoAnswersWithWhatWasGivenUpStopsTheChange(t *testing.T) {
	for step, want := range map[reparent.Step]struct {
		failed reparent.Step
		is     reparent.Outcome
	}{
		reparent.StepPropose:  {"", reparent.Done}, // its log is selected
		reparent.StepInstall:  {reparent.StepInstall, reparent.Restored},
		reparent.StepActivate: {reparent.StepActivate, reparent.Restored}, // by the marker, which is known to be durable
	} {
		t.Run(string(step), func(t *testing.T) {
			inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 4, Policy: leadership.AtLeast(2)}, func(t *testing.T, c *cluster) {
				c.Crash("n3")
				c.Crash("n4")
				if step == reparent.StepActivate {
					c.Crash("n2") // or the request was lost when the marker was written
					require.ErrorIs(t, c.writes("n1"), leadership.ErrUnknownOutcome)
				} else {
					require.NoError(t, c.writes("n1"))
				}
				done := c.Facts("n1").Log
				c.Gone("n1", "n2")
				c.Restart("n3")
				c.Restart("n4")
				ch := reparent.Emergency()
				ch.Waiver = &leadership.Waiver{Gone: nodes("n1", "n2"), Loss: true, Reason: "rack burnt down", By: "alice"}
				p := c.Process("c1")
				n1 := p.Nodes["n1"]
				n1.Follow = lone{} // and so it keeps what it has
				p.Nodes["n1"] = n1
				g := guard(t, p, func(cfg *reparent.Config) {
					cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
						if e.Step == step && e.Kind == leadership.KindEmergency {
							c.Meanwhile(func() { c.Restart("n1"); c.Restart("n2") })
							wait(100 * time.Millisecond)
						}
						return nil
					}
				})
				rep, err := c.run(p, g, ch)
				require.NotNil(t, rep, "%v", err)
				require.Equal(t, want.failed, rep.Failed, "%s", rep)
				require.Equal(t, want.is, rep.Outcome, "%s", rep)
				if want.is != reparent.Done {
					var back *leadership.WaiverError
					require.ErrorAs(t, err, &back)
				}
				require.NoError(t, c.writes(rep.Leader()))
				if step == reparent.StepActivate {
					return
				}
				require.True(t, same(done, c.Facts(rep.Leader()).Log[:len(done)]))
			})
		})
	}
}
