package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/interleave"
	"github.com/tenure-go/tenure/internal/race"
	"github.com/tenure-go/tenure/lameduck"
)

// A task is a worker, the drain or the undo.
type task struct {
	*interleave.Task
	inside int // requests it has admitted and not yet given up
}

// A world is one run, one atomic step of the gate at a time.
type world struct {
	*interleave.Run
	g       *lameduck.Gate // the topmost
	drained *lameduck.Gate // the one that is drained
	tasks   []*task
	idle    int // units left open

	drainErr  error
	resumeErr error
}

func (w *world) spawn(name string, f func(tk *task)) *task {
	tk := &task{}
	w.tasks = append(w.tasks, tk)
	tk.Task = w.Go(name, func(*interleave.Task) { f(tk) })
	return tk
}

func (w *world) state() string {
	s := fmt.Sprint(lameduck.Fingerprint(w.g), w.drainErr, w.resumeErr)
	for _, tk := range w.tasks {
		s += fmt.Sprint("/", tk.inside)
	}
	return s
}

// invariant is checked whenever everybody is parked.
func (w *world) invariant() {
	for _, tk := range w.tasks {
		if tk.inside < 0 {
			w.Fail("%s: negative", tk.Name)
		}
		if tk.inside > 0 && lameduck.PhaseNow(w.drained) == lameduck.Drained {
			w.Fail("drained while %s runs a request", tk.Name)
		}
	}
}

type scenario struct {
	name    string
	plan    lameduck.Plan
	workers []script
	oneCell bool
	child   bool // the workers enter at a child of the gate that is drained
	alone   bool // and that child is drained, not its parent
	resume  bool
}

// begin makes the gate, its workers, the drain and the undo of a run.
func (sc scenario) begin(r *interleave.Run) interleave.World {
	w := &world{Run: r, g: &lameduck.Gate{}}
	w.drained = w.g
	lameduck.SetStep(w.g, r.Step)
	ctx, cancel := context.WithCancel(context.Background())
	entered := w.g
	if sc.child {
		entered = w.g.Child("child")
		w.g.Cell()
	}
	if sc.alone {
		w.drained = entered
	}
	c := entered.Cell()
	for i, script := range sc.workers {
		if i > 0 && !sc.oneCell {
			c = entered.Cell()
		}
		w.spawn(fmt.Sprintf("worker%d", i), script(w, c))
	}
	w.drainErr, w.resumeErr = errNotDone, errNotDone
	// An exit may wake the drain, whose first step then is "check".
	r.Woken("check", w.spawn("drain", func(*task) { _, w.drainErr = w.drained.Drain(ctx, sc.plan) }).Task)
	if sc.resume {
		w.spawn("resume", func(*task) { w.resumeErr = w.drained.Resume() })
	}
	return interleave.World{
		State: w.state, Check: w.invariant, End: w.verdict, Stop: cancel,
		Locked: func() bool { return lameduck.Locked(w.g) },
		Begins: []string{"op", "check"},
	}
}

var errNotDone = errors.New("not done")

// verdict is checked when everybody is done.
func (w *world) verdict() {
	left := lameduck.Counts{}
	if w.drainErr != nil {
		left.Units = w.idle // not ended
	}
	if n := w.g.InFlight(); n != left && n != (lameduck.Counts{}) {
		w.Fail("left is %+v but the gate counts %+v", left, n)
	}
	switch p := lameduck.PhaseNow(w.drained); {
	case w.drainErr == nil && p != lameduck.Drained:
		w.Fail("drained, then %s", p)
	case errors.Is(w.drainErr, lameduck.ErrResumed) && p != lameduck.Serving:
		w.Fail("resumed, then %s", p)
	case w.drainErr == nil && w.resumeErr != nil && !errors.Is(w.resumeErr, errNotDone) && !errors.Is(w.resumeErr, lameduck.ErrTooLate):
		w.Fail("resume: %v", w.resumeErr)
	case w.drainErr != nil && !errors.Is(w.drainErr, lameduck.ErrResumed):
		w.Fail("drain: %v", w.drainErr)
	}
}

// Every interleaving of the atomic steps of two workers, a drain and an undo.
// Schedules that lead to a state seen before (shared words, and what each
// goroutine has read since its operation began) are not continued: what comes
// after has been tried.
func TestEveryInterleavingOfEntriesDrainAndResumeIsSafe(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	for _, sc := range []scenario{
		{name: "two singles, one cell", plan: lameduck.Plan{All: hour}, oneCell: true, resume: true,
			workers: []script{singleScript, singleScript}},
		{name: "single and unit, two cells", plan: lameduck.Plan{All: hour}, resume: true,
			workers: []script{singleScript, unitScript}},
		{name: "two units, one cell", plan: lameduck.Plan{All: hour}, oneCell: true,
			workers: []script{unitScript, unitScript}},
		{name: "two units, two cells", plan: lameduck.Plan{All: hour}, resume: true,
			workers: []script{unitScript, unitScript}},
		{name: "two units, waited for", plan: lameduck.Plan{Units: hour, All: hour},
			workers: []script{unitScript, unitScript}},
		{name: "single and idle unit", plan: lameduck.Plan{All: hour}, resume: true,
			workers: []script{singleScript, idleScript}},
		{name: "single and nested continuation", plan: lameduck.Plan{All: hour}, resume: true,
			workers: []script{singleScript, nestedScript}},
		{name: "single and unit at a child, parent drained", plan: lameduck.Plan{All: hour}, child: true, resume: true,
			workers: []script{singleScript, unitScript}},
		{name: "single and unit at a child, child drained", plan: lameduck.Plan{All: hour}, child: true, alone: true, resume: true,
			workers: []script{singleScript, unitScript}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			if states := interleave.Explore(t, sc.begin, scheduleLimit()); states < 100 {
				t.Fatal("the exploration did not explore")
			}
		})
	}
}

// scheduleLimit is more than any scenario has. The detector makes each schedule
// ten times as slow, and sees nothing in one that another would not show.
func scheduleLimit() int {
	switch {
	case testing.Short():
		return 2000
	case race.Enabled:
		return 6000
	}
	return math.MaxInt
}
