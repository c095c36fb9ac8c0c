package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"runtime"
	"slices"
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
	g              *lameduck.Gate // the topmost
	drained        *lameduck.Gate // the one that is drained
	mu             sync.Mutex
	running, drain *task
	tasks          []*task
	free           bool
	idle           int // units left open

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
		if tk.inside > 0 && lameduck.PhaseNow(w.drained) == lameduck.Drained {
			w.fail("drained while %s runs a request", tk.name)
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

// A fork is a schedule to be tried: the state it forks from, and the steps.
type fork struct {
	from uint64
	path []int
}

// space is what is known of a scenario's states.
type space struct {
	next map[uint64]map[uint64]bool // by state, the states one step away
	root uint64
}

func (s *space) edge(from, to uint64) {
	if len(s.next) == 0 {
		s.root = to
	}
	if s.next[to] == nil {
		s.next[to] = map[uint64]bool{}
	}
	if from != 0 {
		s.next[from][to] = true
	}
}

// interleavings is how many different ways lead through the space.
func (s *space) interleavings() float64 {
	ways := map[uint64]float64{}
	var count func(at uint64) float64
	count = func(at uint64) float64 {
		if n, ok := ways[at]; ok {
			return n
		}
		ways[at] = 0 // a way back to where it was is no new one
		n := 0.0
		for to := range s.next[at] {
			n += count(to)
		}
		ways[at] = max(n, 1)
		return ways[at]
	}
	return count(s.root)
}

// once runs one schedule: the fork, then the first enabled task, until it ends
// or comes to a state seen before. It returns the alternatives it passed by.
func (sc scenario) once(t *testing.T, at fork, seen *space) (alternatives []fork, problem string, trace []string) {
	synctest.Test(t, func(*testing.T) {
		w := &world{g: &lameduck.Gate{}}
		w.drained = w.g
		lameduck.SetStep(w.g, w.step)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
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
		w.drain = w.spawn("drain", func(*task) { _, w.drainErr = w.drained.Drain(ctx, sc.plan) })
		if sc.resume {
			w.spawn("resume", func(*task) { w.resumeErr = w.drained.Resume() })
		}
		path, from := slices.Clone(at.path), at.from
		ended := false
		for n := 0; ; n++ {
			synctest.Wait()
			if w.invariant(); w.problem != "" {
				break
			}
			on := w.enabled()
			pick := 0
			if n < len(at.path) {
				pick = at.path[n]
			} else {
				f := w.fingerprint()
				known := seen.next[f] != nil
				seen.edge(from, f)
				from = f
				if len(on) == 0 || known {
					ended = len(on) == 0
					break
				}
				pick = on[0]
				for _, other := range on[1:] {
					alternatives = append(alternatives, fork{f, append(slices.Clone(path), other)})
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
			w.fail("%s sleeps for ever (phase %s)", tk.name, lameduck.PhaseNow(w.drained))
			return
		}
	}
	left := lameduck.Counts{}
	if w.drainErr != nil {
		left.Units = w.idle // not ended
	}
	if n := w.g.InFlight(); n != left && n != (lameduck.Counts{}) {
		w.fail("left is %+v but the gate counts %+v", left, n)
	}
	switch p := lameduck.PhaseNow(w.drained); {
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
			seen := &space{next: map[uint64]map[uint64]bool{}}
			stack := []fork{{}}
			limit, runs := scheduleLimit(), 0
			for ; len(stack) > 0 && runs < limit; runs++ {
				at := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				more, problem, trace := sc.once(t, at, seen)
				if problem != "" {
					t.Fatalf("%s\nafter %d schedules: %v", problem, runs, trace)
				}
				stack = append(stack, more...)
			}
			if len(stack) > 0 {
				t.Logf("%d schedules, %d states, and not all of them", runs, len(seen.next))
			} else {
				t.Logf("all %.4g interleavings: %d schedules, %d states", seen.interleavings(), runs, len(seen.next))
			}
			if len(seen.next) < 100 {
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
	case underRace:
		return 6000
	}
	return math.MaxInt
}
