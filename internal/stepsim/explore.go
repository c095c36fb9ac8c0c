package stepsim

import (
	"errors"
	"slices"
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
	// Ambiguous counts events that only the order of goroutines told apart: a
	// search with any is not exhaustive.
	Ambiguous int
	// Depth is the largest number of decisions of any run.
	Depth int
	// Err is the first failure, Picks its schedule.
	Err   error
	Picks []int
}

// Explorer gives run after run its schedule, depth first. Two deliveries to
// different processes commute, so that of two schedules which differ in nothing
// else only one is taken (sleep sets, Godefroid 1996), and a state is left when
// it was explored before.
type Explorer struct {
	path   []frame
	at     int    // frames of path that the present run has come by
	asleep []mark // deliveries whose schedules from here on are covered
	seen   map[uint64][]uint64
	broken error

	// The delivery under way, until nothing follows from it at once.
	running bool
	touched uint64
	option  *mark // of the path, nil when there was no other
}

// frame is a decision on the way.
type frame struct {
	of, picked int
	events     []mark // what the options deliver, nil for another decision
	asleep     []mark // on arrival
}

// mark is an event as it is known in every run.
type mark struct {
	id uint64
	// touches are the processes that its delivery concerned, and what was
	// delivered at once because of it; before it was tried, those it will
	// concern at least. Deliveries that concern none in common commute.
	touches uint64
}

func (s *Sim) markOf(e *Event) mark { return mark{e.id, e.touches()} }

// touches are the processes that the delivery of e alone concerns. A question
// is void when its caller leaves, which it may on getting another answer; who
// dies at the n-th message counts those of others too; and who has control cuts
// others off.
func (e *Event) touches() uint64 {
	switch {
	case e.owner().DieAt >= 0 || e.to.Control:
		return ^uint64(0)
	case e.pure:
		return e.to.bit() | e.from.bit()
	}
	return e.to.bit()
}

// bit is the process in a set; sets of many processes are coarser than need be.
func (p *Proc) bit() uint64 { return 1 << (p.index % 64) }

func asleep(in []mark, m mark) bool {
	return slices.ContainsFunc(in, func(o mark) bool { return o.id == m.id })
}

// ErrDiverged is found when a run did something else than a run with the same
// picks had done before.
var ErrDiverged = errors.New("stepsim: a run is not a function of its picks")

// Sim returns a run that follows the explorer's next schedule.
func (x *Explorer) Sim(f Faults) *Sim {
	s := New(x, f)
	s.x, s.thorough, s.sparse = x, true, x.seen != nil
	x.at, x.asleep, x.running = 0, nil, false
	return s
}

// Choose implements Chooser.
func (x *Explorer) Choose(p Point) int {
	if x.at == len(x.path) {
		x.path = append(x.path, frame{of: p.N})
	}
	f := &x.path[x.at]
	x.at++
	if f.of != p.N || f.events != nil {
		x.broken = ErrDiverged
	}
	return f.picked
}

// which chooses what is delivered, or -1 when all of it is asleep.
func (x *Explorer) which(s *Sim, can []int) int {
	if x.seen == nil {
		return s.choose(Point{N: len(can)})
	}
	if len(can) == 1 {
		if asleep(x.asleep, s.markOf(s.pending[can[0]])) {
			return -1
		}
		x.begin(nil)
		return 0
	}
	if x.at == len(x.path) {
		f := frame{of: len(can), asleep: x.asleep}
		for _, i := range can {
			f.events = append(f.events, s.markOf(s.pending[i]))
		}
		f.picked = slices.IndexFunc(f.events, func(m mark) bool { return !asleep(f.asleep, m) })
		if f.picked < 0 {
			return -1
		}
		x.path = append(x.path, f)
	}
	f := &x.path[x.at]
	x.at++
	if f.of != len(can) || f.events == nil || f.events[f.picked].id != s.pending[can[f.picked]].id {
		x.broken = ErrDiverged
		return -1
	}
	s.picks.add(Pick{f.of, f.picked})
	x.asleep = slices.Clone(f.asleep)
	for _, m := range f.events[:f.picked] {
		if !asleep(x.asleep, m) {
			x.asleep = append(x.asleep, m)
		}
	}
	x.begin(&f.events[f.picked])
	return f.picked
}

func (x *Explorer) begin(option *mark) { x.running, x.touched, x.option = true, 0, option }

// delivered notes whom a delivery concerns.
func (x *Explorer) delivered(e *Event) { x.touched |= e.touches() }

// end wakes what does not commute with what was delivered.
func (x *Explorer) end() {
	if !x.running {
		return
	}
	x.running = false
	x.asleep = slices.DeleteFunc(x.asleep, func(o mark) bool { return o.touches&x.touched != 0 })
	if x.option != nil {
		x.option.touches = x.touched
	}
}

// awake is called when something else than a delivery happens: what commutes
// with it is not looked into.
func (x *Explorer) awake() { x.asleep, x.running = nil, false }

// prune reports whether all that may come was covered. It is asked at every
// quiescent point.
func (x *Explorer) prune(s *Sim) bool {
	x.end()
	if x.seen == nil || x.at < len(x.path) {
		return false // known ground
	}
	fp := s.Fingerprint()
	left, ok := x.seen[fp] // what was asleep there
	all := true
	var both []uint64
	for _, id := range left {
		if asleep(x.asleep, mark{id: id}) {
			both = append(both, id)
		} else {
			all = false
		}
	}
	if ok && all {
		return true
	}
	if !ok {
		for _, m := range x.asleep {
			both = append(both, m.id)
		}
	}
	x.seen[fp] = both
	return false
}

// next turns to the next schedule, and reports false when there is none.
func (x *Explorer) next() bool {
	for i := len(x.path) - 1; i >= 0; i-- {
		f := &x.path[i]
		for k := f.picked + 1; k < f.of; k++ {
			if f.events == nil || !asleep(f.asleep, f.events[k]) {
				f.picked = k
				x.path = x.path[:i+1]
				return true
			}
		}
	}
	return false
}

// Explore calls run for each schedule, in a bubble of its own each that run
// makes, until all are covered, one fails, or the scope ends. run returns the
// simulation it took from the explorer and its error; ErrPruned is none.
func Explore(sc Scope, run func(x *Explorer) (*Sim, error)) Found {
	x := &Explorer{}
	if !sc.Naive {
		x.seen = map[uint64][]uint64{}
	}
	var f Found
	start := time.Now()
	for {
		s, err := run(x)
		f.Runs++
		f.Depth = max(f.Depth, s.picks.len())
		f.States = len(x.seen)
		f.Ambiguous += s.Ambiguous()
		if x.broken != nil {
			err = x.broken
		}
		switch {
		case errors.Is(err, ErrPruned):
			f.Pruned++
		case err != nil:
			f.Err, f.Picks = err, Plain(s.Picks())
			return f
		}
		if !x.next() {
			f.Complete = true
			return f
		}
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
