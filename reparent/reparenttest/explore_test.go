package reparenttest

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// explore runs one change under every schedule of the scope.
func explore(t *testing.T, h Harness, size int, p leadership.Policy, f stepsim.Faults, sc stepsim.Scope, change func() reparent.Change) stepsim.Found {
	return stepsim.Explore(sc, func(x *stepsim.Explorer) (sim *stepsim.Sim, err error) {
		synctest.Test(t, func(*testing.T) {
			sim = x.Sim(stepsim.Faults{})
			defer sim.Close()
			var w *World
			w, err = newWorld(sim, h, size, p)
			if err != nil {
				return
			}
			if err = w.bootstrap(); err != nil {
				return
			}
			for _, host := range w.hosts {
				host.proc.CanCrash = true
			}
			w.track()
			c1 := sim.Proc("c1")
			g, gerr := w.guard(c1, func(c *reparent.Config) { forgets(c1, c) })
			if gerr != nil {
				err = gerr
				return
			}
			sim.Allow(f)
			err = sim.Do(maxSteps, func() { w.run(g, change()) })
			if err == nil {
				err = w.truthful()
			}
		})
		return sim, err
	})
}

func TestExplore(t *testing.T) {
	for _, sc := range []struct {
		name string
		f    stepsim.Faults
	}{
		{"delay 1", stepsim.Faults{Delays: 1}},
		{"delay 2", stepsim.Faults{Delays: 2}},
		{"delay 1, crash", stepsim.Faults{Delays: 1, Crash: 1}},
		{"crash", stepsim.Faults{Crash: 1}},
		{"all orders of requests", stepsim.Faults{Reorder: true, Coarse: true}},
		{"all orders", stepsim.Faults{Reorder: true}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			start := time.Now()
			got := explore(t, LogStore(), 3, leadership.Majority(), sc.f, stepsim.Scope{Within: exploreFor(t)}, reparent.Emergency)
			t.Logf("%+v in %v", got, time.Since(start))
			if got.Err != nil && !errors.Is(got.Err, stepsim.ErrPruned) {
				t.Error(got.Err)
			}
		})
	}
}

func exploreFor(t *testing.T) time.Duration {
	s := os.Getenv("TENURE_EXPLORE")
	if s == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("TENURE_EXPLORE=%q: %v", s, err)
	}
	return d
}
