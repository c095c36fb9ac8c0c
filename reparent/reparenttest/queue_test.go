package reparenttest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// One write ends, and two handlers of one node go on: the one that waited for
// it, and the next that gets the acceptor and finds nothing to write. Which of
// them comes first to the log must not be left to the order of goroutines.
func TestTwoHandlersThatOneWriteLetsGoOnDoSoInTwoSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		w, err := newWorld(sim, LogStore(), 3, leadership.Majority())
		if err == nil {
			err = w.bootstrap()
		}
		if err != nil {
			t.Fatal(err)
		}
		term := leadership.Term{Num: 9, Proposer: "c1"}
		sim.Hold("disk n3 promise")
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			node := w.process(sim.Proc(name)).Nodes["n3"]
			wg.Go(func() {
				if got, err := node.Promise.Promise(context.Background(), term); err != nil || got.Read == nil {
					t.Errorf("%s was told %v, %v", name, got, err)
				}
			})
		}
		over := false
		sim.Go(func() {
			wg.Wait()
			over = true
		})
		if err := sim.Run(100, func() bool {
			if sim.Waiting("req *>n3 promise") == 0 && sim.Waiting("disk n3 promise") == 1 {
				sim.Free() // both are there, one of them writes
			}
			return over
		}); err != nil {
			t.Fatal(err)
		}
		if trace := strings.Join(sim.Trace(0), "\n"); strings.Count(trace, "local n3 turn") != 1 {
			t.Errorf("the second took no step of its own:\n%s", trace)
		}
	})
}

// Two messages that arrive at one instant have two handlers of one node sleep to
// one instant. Which of them finds the log free, and whether the other has to wait
// for it, must not be left to the order of goroutines.
func TestTwoHandlersThatSleepToOneInstantGoOnInTwoSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		w, err := newWorld(sim, MariaDBLike(), 3, leadership.Majority())
		if err == nil {
			err = w.bootstrap()
		}
		if err != nil {
			t.Fatal(err)
		}
		term := leadership.Term{Num: 9, Proposer: "c1"}
		before := sim.Lines()
		if err := sim.Do(100, func() {
			var wg sync.WaitGroup
			defer wg.Wait()
			for _, name := range []string{"a", "b"} {
				node := w.process(sim.Proc(name)).Nodes["n3"].Promise
				if _, err := node.Promise(context.Background(), term); err != nil {
					t.Errorf("%s was told %v", name, err)
				}
				wg.Go(func() {
					if got, err := node.(revoke.Reader).Read(context.Background(), term); err != nil || got.Read == nil {
						t.Errorf("%s was told %v, %v", name, got, err)
					}
				})
			}
		}); err != nil {
			t.Fatal(err)
		}
		trace := sim.Trace(sim.Lines() - before)
		var steps []string
		for _, line := range trace {
			if strings.Contains(line, "local n3 ") {
				steps = append(steps, line)
			}
		}
		if len(steps) != 2 || steps[0] != steps[1] {
			t.Errorf("each takes one step of its own, at one instant:\n%s", strings.Join(trace, "\n"))
		}
	})
}

// A turn that is given back, a change, and the end of a sleep may come at the very
// instant at which the wait for it ends.
func TestAWaitThatEndsAsWhatItWaitsForComesHasEnded(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			w, err := newWorld(sim, LogStore(), 3, leadership.Majority())
			if err != nil {
				t.Fatal(err)
			}
			n := w.hosts["n1"].node.Client.(*store)
			const wait = 10 * time.Millisecond
			waits := map[string]func(context.Context) error{
				"a turn":   func(ctx context.Context) error { return n.queue(ctx, n.turn, "take") },
				"a change": func(ctx context.Context) error { return n.await(ctx, func() bool { return n.holds > 0 }) },
				"a sleep":  func(ctx context.Context) error { return n.h.Sleep(ctx, wait) },
			}
			n.turn <- struct{}{}
			var wg sync.WaitGroup
			for what, f := range waits {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), wait)
					defer cancel()
					if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			time.Sleep(wait)
			n.give()
			n.mu.Lock()
			n.holds++
			n.wake()
			n.mu.Unlock()
			wg.Wait()
		})
	}
}
