package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// What is cut returns the cause of its context as the error of what it did, as
// net/http and database drivers do, and it may have done anything.
func TestG9_TheCauseOfACancelledContextProvesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind lameduck.Kind
		plan lameduck.Plan
		idle bool
	}{
		"single":    {lameduck.Single, lameduck.Plan{Cancel: time.Hour, Leader: "n2"}, false},
		"stream":    {lameduck.Stream, lameduck.Plan{Cancel: time.Hour, Leader: "n2"}, false},
		"idle unit": {lameduck.Unit, lameduck.Plan{All: time.Hour, Leader: "n2"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, lameduck.Options{})
				tok := enter(t, g, c.kind)
				ctx, cancel := context.WithCancel(tok.Context(t.Context()))
				defer cancel()
				busy := lameduck.Token{}
				if !c.idle {
					busy = enter(t, g, lameduck.Single)
				}
				out := drain(t.Context(), g, c.plan)
				<-ctx.Done()
				cause := context.Cause(ctx)
				for _, err := range []error{cause, fmt.Errorf("put: %w", cause), errors.Join(cause, cause)} {
					require.False(t, leadership.NotExecuted(err), err)
					require.False(t, errors.As(err, new(*leadership.Refusal)), "a refusal, to whoever looks for one:", err)
					require.False(t, errors.As(err, new(*lameduck.RestartUnitError)), err)
					require.ErrorIs(t, err, context.Canceled)
				}
				why := new(lameduck.CancelledError)
				require.ErrorAs(t, cause, &why)
				require.Equal(t, leadership.NodeID("n2"), why.Refusal.Leader)
				require.Equal(t, c.idle, why.Idle)
				busy.Exit()
				tok.Exit()
				<-out
			})
		})
	}
}

// One gate's drain runs in a request of another, which is cancelled.
func TestADrainThatIsCutByAnotherSaysWhatCutIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outer, inner := newGate(t, lameduck.Options{}), newGate(t, lameduck.Options{})
		request, held := enter(t, outer, lameduck.Single), enter(t, inner, lameduck.Single)
		out := drain(request.Context(t.Context()), inner, lameduck.Plan{All: time.Hour})
		synctest.Wait()
		over := drain(t.Context(), outer, lameduck.Plan{Cancel: time.Hour, Reason: "the node is upgraded"})
		err := (<-out).err
		require.ErrorAs(t, err, new(*lameduck.BrokenOffError))
		require.ErrorIs(t, err, context.Canceled)
		why := new(lameduck.CancelledError)
		require.ErrorAs(t, err, &why)
		require.Equal(t, "the node is upgraded", why.Refusal.Reason)
		held.Exit()
		request.Exit()
		<-over
	})
}
