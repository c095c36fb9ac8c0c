package stepsim

import (
	"errors"
	"time"
)

// Scope bounds an exploration. The zero value explores everything.
type Scope struct {
	// Runs and Within end the search early; 0 means no bound.
	Runs   int
	Within time.Duration
	// Naive explores schedules without remembering states.
	Naive bool
}

// Found is the account of an exploration.
type Found struct {
	// Runs counts schedules that were run, Pruned those of them that were cut
	// short in a state explored before, States the states remembered.
	Runs, Pruned, States int
	// Complete says that every schedule of the scope was covered.
	Complete bool
	// Depth is the largest number of decisions of any run.
	Depth int
	// Err is the first failure, Picks its schedule.
	Err   error
	Picks []int
}

// Explorer gives run after run its schedule, depth first.
type Explorer struct {
	prefix []int
	seen   map[uint64]struct{}
}

// Sim returns a run that follows the explorer's next schedule.
func (x *Explorer) Sim(f Faults) *Sim {
	s := New(Replay(x.prefix), f)
	if x.seen != nil {
		depth := len(x.prefix)
		s.prune = func(fp uint64, picked int) bool {
			if picked < depth {
				return false // known ground
			}
			if _, ok := x.seen[fp]; ok {
				// The first state past the prefix is new by its last pick, or
				// was reached by another way before.
				return true
			}
			x.seen[fp] = struct{}{}
			return false
		}
	}
	return s
}

// Explore calls run for each schedule, in a bubble of its own each that run
// makes, until all are covered, one fails, or the scope ends. run returns the
// simulation it took from the explorer and its error; ErrPruned is none.
func Explore(sc Scope, run func(x *Explorer) (*Sim, error)) Found {
	x := &Explorer{}
	if !sc.Naive {
		x.seen = map[uint64]struct{}{}
	}
	var f Found
	start := time.Now()
	for {
		s, err := run(x)
		f.Runs++
		picks := s.Picks()
		f.Depth = max(f.Depth, len(picks))
		f.States = len(x.seen)
		switch {
		case errors.Is(err, ErrPruned):
			f.Pruned++
		case err != nil:
			f.Err, f.Picks = err, Plain(picks)
			return f
		}
		i := len(picks) - 1
		for i >= 0 && picks[i].Picked+1 >= picks[i].Of {
			i--
		}
		if i < 0 {
			f.Complete = true
			return f
		}
		x.prefix = append(Plain(picks[:i]), picks[i].Picked+1)
		if sc.Runs > 0 && f.Runs >= sc.Runs || sc.Within > 0 && time.Since(start) > sc.Within {
			return f
		}
	}
}

// Plain returns the picks as Replay takes them.
func Plain(ps []Pick) []int {
	out := make([]int, len(ps))
	for i, p := range ps {
		out[i] = p.Picked
	}
	return out
}

// Shrink looks for a shorter and quieter schedule that still fails, with at
// most tries runs. fails must be a function of the picks alone.
func Shrink(picks []int, tries int, fails func([]int) bool) []int {
	best := trim(picks)
	try := func(c []int) bool {
		if tries <= 0 {
			return false
		}
		tries--
		if c = trim(c); !fails(c) {
			return false
		}
		best = c
		return true
	}
	for size := max(len(best)/2, 1); size > 0 && tries > 0; {
		progress := false
		for at := 0; at < len(best) && tries > 0; {
			end := min(at+size, len(best))
			if cut := append(append([]int(nil), best[:at]...), best[end:]...); try(cut) {
				progress = true
				continue
			}
			if quiet := zero(best, at, end); quiet != nil && try(quiet) {
				progress = true
			}
			at = end
		}
		if !progress {
			size /= 2
		} else {
			size = min(size, max(len(best)/2, 1))
		}
	}
	return best
}

// zero returns a copy with [at, end) quiet, or nil when it is already.
func zero(p []int, at, end int) []int {
	for i := at; i < end; i++ {
		if p[i] != 0 {
			c := append([]int(nil), p...)
			clear(c[at:end])
			return c
		}
	}
	return nil
}

func trim(p []int) []int {
	for len(p) > 0 && p[len(p)-1] == 0 {
		p = p[:len(p)-1]
	}
	return p
}
