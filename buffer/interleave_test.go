package buffer_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/buffer"
)

// A task is a goroutine that stops before each atomic step of the count until
// it is granted the next one.
type task struct {
	name   string
	grant  chan struct{}
	parked bool
	done   bool
	hist   string // where it is, and what it holds
	steps  int
	below  bool // it sends to the leadership that is stepped down
}

// schedule is one run of all tasks, one step at a time.
type schedule struct {
	lane    *buffer.Lane
	ctx     context.Context
	mu      sync.Mutex
	running *task
	coord   *task
	tasks   []*task
	free    bool
	down    bool // the old leader has stepped down
	problem string
}

// step runs in the goroutine that was granted the last step, except that the
// last exit may wake the coordinator, whose next step then is "check".
func (s *schedule) step(at string, what uint64) {
	s.mu.Lock()
	tk, free := s.running, s.free
	if at == "check" {
		tk = s.coord
	}
	s.mu.Unlock()
	if free {
		runtime.Gosched()
		return
	}
	s.park(tk, at, what)
}

func (s *schedule) park(tk *task, at string, what uint64) {
	s.mu.Lock()
	tk.steps++
	tk.hist = fmt.Sprint(at, what, tk.steps)
	tk.parked = true
	s.mu.Unlock()
	<-tk.grant
}

func (s *schedule) spawn(name string, f func(tk *task)) *task {
	tk := &task{name: name, grant: make(chan struct{}, 1)}
	s.tasks = append(s.tasks, tk)
	go func() {
		s.park(tk, "begin", 0)
		f(tk)
		s.mu.Lock()
		tk.done, tk.hist = true, "done"
		s.mu.Unlock()
	}()
	return tk
}

func (s *schedule) worker(tk *task) {
	turn, err := s.lane.Enter(bg, buffer.Request{})
	if err != nil {
		return // the buffer was closed: this schedule is over
	}
	tk.below = turn.To().Term.Less(term(2))
	s.park(tk, "inside", turn.To().Term.Num)
	tk.below = false
	turn.Done(nil)
}

// coordinate announces a change, gives it up and announces another when twice
// is set, waits until the lane is quiet, steps the leader down, and routes.
func (s *schedule) coordinate(tk *task, twice bool) {
	s.lane.Observe(holding(2, lead("n1", 1), 2))
	s.park(tk, "held", 0)
	n := uint64(2)
	if twice {
		s.lane.Observe(routed(3, lead("n1", 1)))
		s.park(tk, "given up", 0)
		n = 3
		s.lane.Observe(holding(4, lead("n1", 1), n))
		s.park(tk, "held again", 0)
	}
	if err := s.lane.Quiesced(s.ctx, term(n)); err != nil {
		s.problem = err.Error()
		return
	}
	s.down = true
	s.park(tk, "down", 0)
	s.down = false
	s.lane.Observe(routed(5, lead("n2", n)))
}

// once runs one schedule: prefix, then the first enabled task, until it ends
// or comes to a state in seen. It returns the alternatives it passed by.
func once(t *testing.T, workers int, twice bool, prefix []int, seen map[string]bool) (alternatives [][]int, problem string, trace []string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(bg)
		s := &schedule{ctx: ctx}
		b, err := buffer.New(buffer.Config{Counted: true})
		if err != nil {
			t.Fatal(err)
		}
		buffer.SetStep(b, s.step)
		s.lane = b.Lane("k")
		s.lane.Observe(routed(1, lead("n1", 1)))
		for i := range workers {
			s.spawn(fmt.Sprint("worker", i), s.worker)
		}
		s.coord = s.spawn("coordinator", func(tk *task) { s.coordinate(tk, twice) })
		path := append([]int(nil), prefix...)
		for n := 0; s.problem == ""; n++ {
			synctest.Wait()
			var on []int
			state := buffer.Fingerprint(s.lane)
			over := true
			for i, tk := range s.tasks {
				if tk.parked {
					on = append(on, i)
				}
				if s.down && tk.below {
					s.problem = tk.name + " sends to a leader that stepped down"
				}
				over = over && tk.done
				state += fmt.Sprint("/", tk.hist, tk.parked)
			}
			if len(on) == 0 {
				if !over && s.problem == "" {
					s.problem = "somebody sleeps for ever: " + state
				}
				break
			}
			pick := on[0]
			if n < len(prefix) {
				pick = prefix[n]
			} else {
				if seen[state] {
					break
				}
				seen[state] = true
				for _, other := range on[1:] {
					alternatives = append(alternatives, append(append([]int(nil), path...), other))
				}
				path = append(path, pick)
			}
			tk := s.tasks[pick]
			trace = append(trace, tk.name+":"+tk.hist)
			s.mu.Lock()
			s.running, tk.parked = tk, false
			s.mu.Unlock()
			tk.grant <- struct{}{}
		}
		problem = s.problem
		s.mu.Lock()
		s.free = true
		s.mu.Unlock()
		for _, tk := range s.tasks {
			close(tk.grant)
		}
		b.Close()
		cancel()
		synctest.Wait()
	})
	return alternatives, problem, trace
}

// Every interleaving of the atomic steps of two or three turns with an
// announcement, one that is given up in between, the wait for quiet, and the
// change of leader: nobody sends to a leader once the lane was quiet, and
// nobody sleeps for ever. Schedules that lead to a state seen before are not
// continued.
func TestEveryInterleavingOfTurnsAndQuiescedIsSafe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		workers int
		twice   bool
	}{{2, false}, {2, true}, {3, false}} {
		t.Run(fmt.Sprintf("%d workers, given up first %t", tc.workers, tc.twice), func(t *testing.T) {
			t.Parallel()
			if tc.workers > 2 && (underRace || testing.Short()) {
				t.Skip("the detector makes each schedule ten times as slow, and sees nothing in three workers that it would not in two")
			}
			seen := map[string]bool{}
			runs := 0
			for stack := [][]int{nil}; len(stack) > 0; runs++ {
				prefix := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				more, problem, trace := once(t, tc.workers, tc.twice, prefix, seen)
				if problem != "" {
					t.Fatalf("%s\nafter %d schedules: %v", problem, runs, trace)
				}
				stack = append(stack, more...)
			}
			t.Logf("%d schedules, %d states", runs, len(seen))
			if len(seen) < 100 {
				t.Fatal("the exploration did not explore")
			}
		})
	}
}
