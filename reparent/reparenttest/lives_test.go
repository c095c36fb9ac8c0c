package reparenttest

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
)

// Who waited when its host died runs on for a moment, in which the host may have
// started again: what it does then never happened.
func TestALifeThatIsOverTellsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		w, err := newWorld(sim, LogStore(), 3, leadership.Majority())
		if err != nil {
			t.Fatal(err)
		}
		host := w.hosts["n2"]
		old := host.node.Client.(*store)
		tell := func() {
			old.saw(Event{Kind: Granted, Leadership: led("n2", 9)})
			host.Saw(Event{Kind: Granted, Leadership: led("n2", 9)})
		}
		host.proc.Crash()
		tell()
		if len(w.inbox) > 0 {
			t.Errorf("a host that is down told of %v", w.inbox)
		}
		host.proc.Restart()
		old.saw(Event{Kind: Granted, Leadership: led("n2", 9)})
		if len(w.inbox) > 0 {
			t.Errorf("a life that is over told of %v", w.inbox)
		}
		host.node.Client.(*store).saw(Event{Kind: Granted, Leadership: led("n2", 9)})
		if len(w.inbox) != 1 {
			t.Errorf("the life that runs told of %v", w.inbox)
		}
	})
}

// A handler that a crash woke must not answer in the next life either.
func TestAHandlerKnowsThatItsLifeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		a, b := sim.Proc("a"), sim.Proc("b")
		alive := []bool{stepsim.Alive(t.Context())}
		err := sim.Do(100, func() {
			_, _ = stepsim.Call(t.Context(), a, b, "op", func(ctx context.Context) (int, error) {
				alive = append(alive, stepsim.Alive(ctx))
				b.Later("reboot", func() { b.Crash(); b.Restart() })
				<-ctx.Done()
				alive = append(alive, stepsim.Alive(ctx))
				return 0, nil
			})
		})
		if err != nil || !slices.Equal(alive, []bool{true, true, false}) {
			t.Errorf("%v, %v", alive, err)
		}
	})
}
