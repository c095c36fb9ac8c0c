package buffer_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/internal/interleave"
	"github.com/tenure-go/tenure/internal/race"
)

// schedule is one run of workers and a coordinator, one atomic step of the count
// at a time.
type schedule struct {
	*interleave.Run
	lane  *buffer.Lane
	ctx   context.Context
	below []bool // by worker: it sends to the leadership that is stepped down
	down  bool   // the old leader has stepped down
}

func (s *schedule) worker(tk *interleave.Task, below *bool) {
	turn, err := s.lane.Enter(bg, buffer.Request{})
	if err != nil {
		return // the buffer was closed: this schedule is over
	}
	*below = turn.To().Term.Less(term(2))
	s.Park(tk, "inside", turn.To().Term.Num)
	*below = false
	turn.Done(nil)
}

// coordinate announces a change, gives it up and announces another when twice
// is set, waits until the lane is quiet, steps the leader down, and routes.
func (s *schedule) coordinate(tk *interleave.Task, twice bool) {
	s.lane.Observe(holding(2, lead("n1", 1), 2))
	s.Park(tk, "held", 0)
	n := uint64(2)
	if twice {
		s.lane.Observe(routed(3, lead("n1", 1)))
		s.Park(tk, "given up", 0)
		n = 3
		s.lane.Observe(holding(4, lead("n1", 1), n))
		s.Park(tk, "held again", 0)
	}
	if err := s.lane.Quiesced(s.ctx, term(n)); err != nil {
		s.Fail("%v", err)
		return
	}
	s.down = true
	s.Park(tk, "down", 0)
	s.down = false
	s.lane.Observe(routed(5, lead("n2", n)))
}

// begin makes the lane, its workers and the coordinator of a run.
func begin(t *testing.T, r *interleave.Run, workers int, twice bool) interleave.World {
	ctx, cancel := context.WithCancel(bg)
	s := &schedule{Run: r, ctx: ctx, below: make([]bool, workers)}
	b, err := buffer.New(buffer.Config{Counted: true})
	if err != nil {
		t.Fatal(err)
	}
	buffer.SetStep(b, r.Step)
	s.lane = b.Lane("k")
	s.lane.Observe(routed(1, lead("n1", 1)))
	for i := range workers {
		r.Go(fmt.Sprint("worker", i), func(tk *interleave.Task) { s.worker(tk, &s.below[i]) })
	}
	// The last exit may wake the coordinator.
	r.Woken("check", r.Go("coordinator", func(tk *interleave.Task) { s.coordinate(tk, twice) }))
	return interleave.World{
		State: func() string { return buffer.Fingerprint(s.lane) },
		Check: func() {
			for i, below := range s.below {
				if s.down && below {
					r.Fail("worker%d sends to a leader that stepped down", i)
				}
			}
		},
		Stop: func() {
			b.Close()
			cancel()
		},
	}
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
			if tc.workers > 2 && (race.Enabled || testing.Short()) {
				t.Skip("the detector makes each schedule ten times as slow, and sees nothing in three workers that it would not in two")
			}
			states := interleave.Explore(t, func(r *interleave.Run) interleave.World {
				return begin(t, r, tc.workers, tc.twice)
			}, math.MaxInt)
			if states < 100 {
				t.Fatal("the exploration did not explore")
			}
		})
	}
}
