package reparent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// declining is a leader that does not begin to step down.
type declining struct {
	*notebook
	err error
}

func (d declining) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{}, d.err
}

type proof struct{ error }

func (proof) NotExecuted() bool { return true }

// A leader that proves that it did not begin keeps its term. Whatever else its
// refusal may mean has to be undone under another.
func TestALeaderThatDeclinesToStepDownLeadsOn(t *testing.T) {
	t.Parallel()
	somebodyWrites := errors.New("a session writes whatever it is told")
	for name, tt := range map[string]struct {
		err  error
		want reparent.Outcome
	}{
		"with proof":    {proof{somebodyWrites}, reparent.NotStarted},
		"without proof": {somebodyWrites, reparent.Restored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := &leadership.MemoryRegistry{}
			nodes, _, rules, err := notebooks(t.Context(), t.TempDir(), reg)
			require.NoError(t, err)
			before := nodes["n1"].acc.Status()

			n1 := nodes["n1"].node()
			n1.StepDown = declining{nodes["n1"], tt.err}
			g, err := reparent.New("notes", reg, []reparent.Node{n1, nodes["n2"].node(), nodes["n3"].node()}, reparent.Config{})
			require.NoError(t, err)
			rep, err := g.Run(t.Context(), reparent.Planned("n2"))
			require.ErrorContains(t, err, somebodyWrites.Error())
			require.Equal(t, tt.want, rep.Outcome, "%s", rep)
			lead := rep.Leader() // of an undo, n1 unless the machine keeps it from answering in time
			if tt.want == reparent.NotStarted {
				require.EqualValues(t, "n1", lead)
				require.Equal(t, before, nodes["n1"].acc.Status(), "its leadership is the same")
			}
			require.NoError(t, nodes[lead].Write(rules, "still here"))
			rec, err := reg.Load(t.Context())
			require.NoError(t, err)
			require.Equal(t, leadership.Cleared, rec.Intent.Phase)
		})
	}
}
