// Package interleave runs goroutines that share memory in every order of their
// atomic steps: for code that calls a hook before each of them.
//
//	found := interleave.Explore(t, func(r *interleave.Run) interleave.World {
//		c := newCounter(r.Step) // calls it before each atomic step
//		r.Go("a", func(*interleave.Task) { c.add(1) })
//		r.Go("b", func(*interleave.Task) { c.add(1) })
//		return interleave.World{State: c.words, End: func() { ... r.Fail("lost") ... }}
//	}, math.MaxInt)
//
// A schedule that comes to a state seen before is not continued: what comes
// after has been tried. A state is what the world says of its shared words,
// and of each goroutine before which step it stands, what it was told there,
// and how many steps it has taken since its operation began.
package interleave

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
)

// Task is a goroutine that stops before each atomic step until it is granted
// the next one.
type Task struct {
	// Name is shown in traces.
	Name string

	grant  chan struct{}
	at     string
	parked bool
	done   bool
	hist   string // where it is and what it holds: a step names its locals
	steps  int    // since its operation began
}

// Run is one schedule of the tasks.
type Run struct {
	mu      sync.Mutex // guards all below and what of tasks they write, for moments
	running *Task
	tasks   []*Task
	woken   map[string]*Task
	world   World
	free    bool
	problem string
}

// World is what the tasks of a run share. Its functions are called while all of
// them stand still.
type World struct {
	// State tells the shared words, and all else that what comes rests on.
	// Required.
	State func() string
	// Check calls Fail for a state that must not be.
	Check func()
	// End does, when every task is done.
	End func()
	// Stop ends what tasks may still wait for when the run is given up.
	Stop func()
	// Locked reports whether a step named "lock" would have to wait.
	Locked func() bool
	// Begins are the steps at which a task forgets what it did before.
	Begins []string
}

// Go starts a task. It stands still before a step named "op".
func (r *Run) Go(name string, f func(*Task)) *Task {
	tk := &Task{Name: name, grant: make(chan struct{}, 1)}
	r.tasks = append(r.tasks, tk)
	go func() {
		r.Park(tk, "op", 0)
		f(tk)
		r.mu.Lock()
		tk.done, tk.hist = true, "done"
		r.mu.Unlock()
	}()
	return tk
}

// Woken says that a step of this name is always the task's, which waits without
// a step until another wakes it.
func (r *Run) Woken(at string, tk *Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.woken == nil {
		r.woken = map[string]*Task{}
	}
	r.woken[at] = tk
}

// Step is the hook of the code under test: it returns when the task that calls
// it may take the step. what tells the locals on which the rest depends.
func (r *Run) Step(at string, what uint64) {
	r.mu.Lock()
	tk, free := r.running, r.free
	if w := r.woken[at]; w != nil {
		tk = w
	}
	r.mu.Unlock()
	if free {
		runtime.Gosched()
		return
	}
	r.Park(tk, at, what)
}

// Park stops a task of its own accord.
func (r *Run) Park(tk *Task, at string, what uint64) {
	r.mu.Lock()
	if slices.Contains(r.world.Begins, at) {
		tk.steps = 0
	}
	if at != "lock" {
		tk.steps++
	}
	tk.hist = at + " " + strconv.FormatUint(what, 16) + " " + strconv.Itoa(tk.steps)
	tk.at, tk.parked = at, true
	r.mu.Unlock()
	<-tk.grant
}

// Fail ends the search with a problem.
func (r *Run) Fail(format string, args ...any) {
	if r.problem == "" {
		r.problem = fmt.Sprintf(format, args...)
	}
}

func (r *Run) state() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, r.world.State())
	for _, tk := range r.tasks {
		fmt.Fprint(h, "/", tk.hist, tk.parked)
	}
	return h.Sum64()
}

// enabled lists the tasks that can take a step.
func (r *Run) enabled() (on []int) {
	locked := r.world.Locked != nil && r.world.Locked()
	for i, tk := range r.tasks {
		if tk.parked && (tk.at != "lock" || !locked) {
			on = append(on, i)
		}
	}
	return on
}

// end is asked when nobody can take a step any more.
func (r *Run) end() {
	for _, tk := range r.tasks {
		if !tk.done {
			r.Fail("%s sleeps for ever: %s", tk.Name, r.world.State())
			return
		}
	}
	if r.world.End != nil {
		r.world.End()
	}
}

// fork is a schedule to be tried: the state it forks from, and the steps.
type fork struct {
	from uint64
	path []int
}

// once runs one schedule: the fork, then the first enabled task, until it ends
// or comes to a state seen before. It returns the alternatives it passed by.
func once(t *testing.T, begin func(*Run) World, at fork, seen *space) (alternatives []fork, problem string, trace []string) {
	synctest.Test(t, func(*testing.T) {
		r := &Run{}
		w := begin(r)
		r.mu.Lock()
		r.world = w
		r.mu.Unlock()
		path, from := slices.Clone(at.path), at.from
		for n := 0; ; n++ {
			synctest.Wait()
			if w.Check != nil {
				w.Check()
			}
			if r.problem != "" {
				break
			}
			on := r.enabled()
			var pick int
			if n < len(at.path) {
				pick = at.path[n]
			} else {
				state := r.state()
				known := seen.edge(from, state)
				from = state
				if len(on) == 0 {
					r.end()
				}
				if len(on) == 0 || known {
					break
				}
				pick = on[0]
				for _, other := range on[1:] {
					alternatives = append(alternatives, fork{state, append(slices.Clone(path), other)})
				}
				path = append(path, pick)
			}
			tk := r.tasks[pick]
			trace = append(trace, tk.Name+":"+tk.hist)
			r.mu.Lock()
			r.running, tk.parked = tk, false
			r.mu.Unlock()
			tk.grant <- struct{}{}
		}
		problem = r.problem
		r.mu.Lock()
		r.free = true
		r.mu.Unlock()
		for _, tk := range r.tasks {
			close(tk.grant)
		}
		if w.Stop != nil {
			w.Stop()
		}
		synctest.Wait()
	})
	return alternatives, problem, trace
}

// Explore runs every interleaving of the tasks that begin starts, or the first
// limit of them, each in a bubble of its own, and fails the test with the first
// that has a problem. It logs how many there were, and returns how many states.
func Explore(t *testing.T, begin func(r *Run) World, limit int) (states int) {
	t.Helper()
	seen := &space{next: map[uint64]map[uint64]bool{}}
	stack, runs := []fork{{}}, 0
	for ; len(stack) > 0 && runs < limit; runs++ {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		more, problem, trace := once(t, begin, at, seen)
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
	return len(seen.next)
}

// space is what is known of the states.
type space struct {
	next map[uint64]map[uint64]bool // by state, the states one step away
	root uint64
}

// edge notes a step, and reports whether it led to a state seen before.
func (s *space) edge(from, to uint64) (known bool) {
	if len(s.next) == 0 {
		s.root = to
	}
	if known = s.next[to] != nil; !known {
		s.next[to] = map[uint64]bool{}
	}
	if from != 0 {
		s.next[from][to] = true
	}
	return known
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
