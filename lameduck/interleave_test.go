package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// A task is a goroutine that stops before each atomic step of the gate until
// it is granted the next one.
type task struct {
	name   string
	grant  chan struct{}
	at     string
	parked bool
	done   bool
	hist   string // where it is and what it holds: a step names its locals
	steps  int    // since its operation began
	inside int    // requests it has admitted and not yet given up
}

type world struct {
	g              *lameduck.Gate
	mu             sync.Mutex
	running, drain *task
	tasks          []*task
	free           bool

	drainErr  error
	resumeErr error
	problem   string
}

// step runs in the goroutine that was granted the last step, except that an
// exit may wake the drain, whose first step then is "check".
func (w *world) step(at string, v uint64) {
	w.mu.Lock()
	tk := w.running
	if at == "check" {
		tk = w.drain
	}
	free := w.free
	w.mu.Unlock()
	if free {
		runtime.Gosched()
		return
	}
	w.park(tk, at, v)
}

func (w *world) park(tk *task, at string, v uint64) {
	w.mu.Lock()
	if at == "op" || at == "check" {
		tk.steps = 0
	}
	if at != "lock" {
		tk.steps++
	}
	tk.hist = at + " " + strconv.FormatUint(v, 16) + " " + strconv.Itoa(tk.steps)
	tk.at, tk.parked = at, true
	w.mu.Unlock()
	<-tk.grant
}

func (w *world) spawn(name string, f func(tk *task)) *task {
	tk := &task{name: name, grant: make(chan struct{}, 1)}
	w.tasks = append(w.tasks, tk)
	go func() {
		w.park(tk, "op", 0)
		f(tk)
		w.mu.Lock()
		tk.done = true
		tk.hist = "done"
		w.mu.Unlock()
	}()
	return tk
}

func (w *world) fail(format string, args ...any) {
	if w.problem == "" {
		w.problem = fmt.Sprintf(format, args...)
	}
}

func (w *world) fingerprint() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, lameduck.Fingerprint(w.g), w.drainErr, w.resumeErr)
	for _, tk := range w.tasks {
		fmt.Fprint(h, "/", tk.hist, tk.parked, tk.inside)
	}
	return h.Sum64()
}

func (w *world) enabled() []int {
	var on []int
	locked := lameduck.Locked(w.g)
	for i, tk := range w.tasks {
		if tk.parked && (tk.at != "lock" || !locked) {
			on = append(on, i)
		}
	}
	return on
}

// invariant is checked whenever everybody is parked.
func (w *world) invariant() {
	for _, tk := range w.tasks {
		if tk.inside < 0 {
			w.fail("%s: negative", tk.name)
		}
		if tk.inside > 0 && lameduck.PhaseNow(w.g) == lameduck.Drained {
			w.fail("drained while %s runs a request", tk.name)
		}
	}
}

// unitScript is Enter, Continue, Exit, Exit of one unit.
func unitScript(w *world, c *lameduck.Cell) func(*task) {
	return func(tk *task) {
		u, err := c.Enter(lameduck.Unit)
		w.park(tk, "op", 1)
		if err != nil {
			return
		}
		k, err := u.Continue()
		if err == nil {
			tk.inside++
			w.park(tk, "op", 2)
			tk.inside--
			k.Exit()
		} else {
			var restart *lameduck.RestartUnitError
			if !errors.As(err, &restart) {
				w.fail("%s: continue: %v", tk.name, err)
			}
		}
		w.park(tk, "op", 3)
		u.Exit()
	}
}

func singleScript(w *world, c *lameduck.Cell) func(*task) {
	return func(tk *task) {
		s, err := c.Enter(lameduck.Single)
		if err != nil {
			return
		}
		tk.inside++
		w.park(tk, "op", 1)
		tk.inside--
		s.Exit()
	}
}

type scenario struct {
	name    string
	plan    lameduck.Plan
	workers []func(w *world, c *lameduck.Cell) func(*task)
	oneCell bool
	resume  bool
}

// once runs one schedule: prefix, then the first enabled task, until it ends
// or comes to a state in seen. It returns the alternatives it passed by.
func (sc scenario) once(t *testing.T, prefix []int, seen map[uint64]bool) (alternatives [][]int, problem string, trace []string) {
	synctest.Test(t, func(*testing.T) {
		w := &world{g: &lameduck.Gate{}}
		lameduck.SetStep(w.g, w.step)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c := w.g.Cell()
		for i, script := range sc.workers {
			if i > 0 && !sc.oneCell {
				c = w.g.Cell()
			}
			w.spawn(fmt.Sprintf("worker%d", i), script(w, c))
		}
		w.drainErr, w.resumeErr = errNotDone, errNotDone
		w.drain = w.spawn("drain", func(*task) { _, w.drainErr = w.g.Drain(ctx, sc.plan) })
		if sc.resume {
			w.spawn("resume", func(*task) { w.resumeErr = w.g.Resume() })
		}
		path := append([]int(nil), prefix...)
		ended := false
		for n := 0; ; n++ {
			synctest.Wait()
			if w.invariant(); w.problem != "" {
				break
			}
			on := w.enabled()
			if len(on) == 0 {
				ended = true
				break
			}
			pick := on[0]
			if n < len(prefix) {
				pick = prefix[n]
			} else {
				f := w.fingerprint()
				if seen[f] {
					break
				}
				seen[f] = true
				for _, other := range on[1:] {
					alternatives = append(alternatives, append(append([]int(nil), path...), other))
				}
				path = append(path, pick)
			}
			tk := w.tasks[pick]
			trace = append(trace, tk.name+":"+tk.at)
			w.mu.Lock()
			w.running, tk.parked = tk, false
			w.mu.Unlock()
			tk.grant <- struct{}{}
		}
		if ended && w.problem == "" {
			w.verdict()
		}
		w.mu.Lock()
		w.free = true
		w.mu.Unlock()
		cancel()
		for _, tk := range w.tasks {
			close(tk.grant)
		}
		synctest.Wait()
		problem = w.problem
	})
	return alternatives, problem, trace
}

var errNotDone = errors.New("not done")

// verdict is checked when nobody can take a step any more.
func (w *world) verdict() {
	for _, tk := range w.tasks {
		if !tk.done {
			w.fail("%s sleeps for ever (phase %s)", tk.name, lameduck.PhaseNow(w.g))
			return
		}
	}
	if n := w.g.InFlight(); n != (lameduck.Counts{}) {
		w.fail("everybody left but the gate counts %+v", n)
	}
	switch p := lameduck.PhaseNow(w.g); {
	case w.drainErr == nil && p != lameduck.Drained:
		w.fail("drained, then %s", p)
	case errors.Is(w.drainErr, lameduck.ErrResumed) && p != lameduck.Serving:
		w.fail("resumed, then %s", p)
	case w.drainErr == nil && w.resumeErr != nil && !errors.Is(w.resumeErr, errNotDone) && !errors.Is(w.resumeErr, lameduck.ErrTooLate):
		w.fail("resume: %v", w.resumeErr)
	case w.drainErr != nil && !errors.Is(w.drainErr, lameduck.ErrResumed):
		w.fail("drain: %v", w.drainErr)
	}
}

// Every interleaving of the atomic steps of two workers, a drain and an undo.
// Schedules that lead to a state seen before (shared words, and what each
// goroutine has read since its operation began) are not continued.
func TestEveryInterleavingOfEntriesDrainAndResumeIsSafe(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	for _, sc := range []scenario{
		{name: "two singles, one cell", plan: lameduck.Plan{All: hour}, oneCell: true, resume: true,
			workers: []func(*world, *lameduck.Cell) func(*task){singleScript, singleScript}},
		{name: "single and unit, two cells", plan: lameduck.Plan{All: hour}, resume: true,
			workers: []func(*world, *lameduck.Cell) func(*task){singleScript, unitScript}},
		{name: "two units, one cell", plan: lameduck.Plan{All: hour}, oneCell: true,
			workers: []func(*world, *lameduck.Cell) func(*task){unitScript, unitScript}},
		{name: "two units, two cells", plan: lameduck.Plan{All: hour}, resume: true,
			workers: []func(*world, *lameduck.Cell) func(*task){unitScript, unitScript}},
		{name: "two units, waited for", plan: lameduck.Plan{Units: hour, All: hour},
			workers: []func(*world, *lameduck.Cell) func(*task){unitScript, unitScript}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			seen := map[uint64]bool{}
			stack := [][]int{nil}
			runs := 0
			for ; len(stack) > 0; runs++ {
				prefix := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				more, problem, trace := sc.once(t, prefix, seen)
				if problem != "" {
					t.Fatalf("%s\nafter %d schedules: %v", problem, runs, trace)
				}
				stack = append(stack, more...)
				if underRace && runs > 6000 {
					t.Log("not all of them: the detector makes each ten times as slow, and sees nothing in a schedule that one in another would not show")
					break
				}
			}
			t.Logf("%d schedules, %d states", runs, len(seen))
			if len(seen) < 100 {
				t.Fatal("the exploration did not explore")
			}
		})
	}
}
