package stepsim_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// Two handlers of one process that post the same in one step are told apart by
// the request that each answers, and by nothing else.
func TestHandlersThatPostTheSameInOneStepAreOrderedByWhatTheyAnswer(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			server := sim.Proc("server")
			gate := make(chan struct{})
			var order []string
			var wg sync.WaitGroup
			for _, name := range []string{"a", "b", "c", "d"} {
				c := sim.Proc(name)
				wg.Go(func() {
					_, _ = stepsim.Call(context.Background(), c, server, "op", func(ctx context.Context) (int, error) {
						<-gate
						return 0, server.Disk(ctx, "write", func(bool) { order = append(order, name) })
					})
				})
			}
			time.AfterFunc(time.Millisecond, func() { close(gate) })
			if err := sim.Do(100, wg.Wait); err != nil {
				t.Fatal(err)
			}
			if n := sim.Ambiguous(); n != 0 {
				t.Errorf("%d events are told apart by nothing but the order of goroutines", n)
			}
			if got := order; !reflect.DeepEqual(got, []string{"a", "b", "c", "d"}) {
				t.Errorf("writes in the order %v, requests arrived in that of their names", got)
			}
		})
	}
}

// A caller that was answered and one whose connection broke on the same answer,
// at the same instant, are in different states.
func TestAnAnswerAndABrokenConnectionAreDifferentStates(t *testing.T) {
	t.Parallel()
	end := func(reset bool) (fp uint64, told error) {
		synctest.Test(t, func(t *testing.T) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			sim.Thorough()
			client, server := sim.Proc("client"), sim.Proc("server")
			over := false
			sim.Go(func() {
				_, told = stepsim.Call(context.Background(), client, server, "op", func(context.Context) (int, error) { return 0, nil })
				over = true
			})
			const answer = "rep server>client op"
			sim.Hold(answer)
			if err := sim.Run(10, func() bool { return sim.Waiting(answer) == 1 }); err != nil {
				t.Fatal(err)
			}
			if reset {
				sim.Discard(answer, true)
			}
			sim.Free()
			if err := sim.Run(10, func() bool { return over }); err != nil {
				t.Fatal(err)
			}
			fp = sim.Fingerprint()
		})
		return fp, told
	}
	answered, ok := end(false)
	again, _ := end(false)
	reset, lost := end(true)
	if ok != nil || !errors.Is(lost, stepsim.ErrLost) {
		t.Fatalf("told %v and %v", ok, lost)
	}
	if again != answered {
		t.Errorf("the same run ended in state %x and in %x", answered, again)
	}
	if reset == answered {
		t.Error("one state for a caller that was answered and one that was not")
	}
}

// What may still go wrong is part of a state: of two schedules that come by the
// same point, the one with more faults left may go on as the other cannot.
func TestWhatMayStillGoWrongIsPartOfAState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		sim.Proc("p")
		by := map[uint64]string{sim.Fingerprint(): "no faults"}
		for i := range reflect.TypeFor[stepsim.Faults]().NumField() {
			for left := 1; left < 3; left++ {
				var f stepsim.Faults
				field := reflect.ValueOf(&f).Elem().Field(i)
				if field.Kind() != reflect.Int {
					break // how a run is searched, the same in all of a search
				}
				field.SetInt(int64(left))
				sim.Allow(f)
				name := reflect.TypeFor[stepsim.Faults]().Field(i).Name
				if other, ok := by[sim.Fingerprint()]; ok {
					t.Errorf("%d of %s is the state of %s", left, name, other)
				}
				by[sim.Fingerprint()] = name
			}
		}
	})
}
