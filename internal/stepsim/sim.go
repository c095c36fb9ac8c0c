package stepsim

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// ErrStuck is returned by Run when the run did not end within its steps.
var ErrStuck = errors.New("stepsim: too many steps")

// ErrPruned is returned by Run when its state was explored before.
var ErrPruned = errors.New("stepsim: explored before")

// Faults bound what may go wrong in a run. The zero value is a network that
// delivers the oldest message first, to processes that never fail.
type Faults struct {
	// Reorder lets any pending event be the next one.
	Reorder bool
	// Coarse lets answers, writes and what processes do by themselves happen at
	// once, in canonical order: only when requests arrive is chosen, and what
	// may go wrong is between a request with all that follows from it at once
	// and the next.
	Coarse bool
	// Scripted: processes restart and go on, and cuts heal, when a script says
	// so, and not at random.
	Scripted bool
	// Delays is how often the oldest event may be sent behind all that are
	// pending. It has no effect with Reorder.
	Delays int
	// The others say how often each may happen.
	Drop, Dup, Late, Crash, Torn, Pause, Cut, Tick, Clock, Lose, Fail int
}

// Sim is one run. Only Post and Call may be used by other goroutines than the
// one that runs it.
type Sim struct {
	chooser Chooser
	faults  Faults
	left    [actions]int
	delays  int

	mu       sync.Mutex // guards all down to the blank line, for moments
	incoming []*Event
	alarms   []*time.Timer // silent
	idle     []worker      // the last to become so last
	busy     int           // jobs that are not over
	quiet    chan struct{} // closed when busy falls to zero; nil: nobody waits
	closed   bool

	pending []*Event // canonical order, oldest step first
	late    []*Event
	held    []string // patterns of a script
	procs   []*Proc
	cuts    [][2]*Proc
	picks   blocks[Pick]
	trace   blocks[line]
	hash    uint64
	steps   int
	asked   []Action // scratch
	can     []int    // scratch
	phase   int      // how many Runs were begun
	ties    int
	posted  uint64
	handler time.Duration
	started time.Time
	workers sync.WaitGroup
	timer   *time.Timer   // of doze
	wake    chan struct{} // capacity 1: something was posted, or a Do is over
	ask     *Event        // question delivered in the last step

	// Check is called at every quiescent point.
	Check func() error
	// Digest, when set, adds to the state that an explorer remembers.
	Digest func() uint64
	// Content, when set, digests an answer that it knows all about, for an
	// explorer, which takes any other for as different as its giver's state.
	Content func(v any, err error) (digest uint64, known bool)
	// Shake, when set before the first step, is called wherever one goroutine of
	// the run has just let another go on, or was just let. A test has it give up
	// the processor now and then: what would differ must not.
	Shake func()
	// x explores; nil when nobody does.
	x *Explorer
	// thorough: the run is one that an explorer makes, or makes again.
	thorough bool
	// sparse: processes die and come back only where that makes a difference.
	sparse  bool
	touched uint64 // the processes that something happened to since the last delivery was chosen
}

// Pick is one decision of a run: which of how many.
type Pick struct{ Of, Picked int }

// New returns a run without processes. It is called in a synctest bubble.
func New(c Chooser, f Faults) *Sim {
	s := &Sim{chooser: c, handler: 2 * time.Second, started: time.Now(), wake: make(chan struct{}, 1)}
	s.Allow(f)
	return s
}

// Use replaces the chooser from now on.
func (s *Sim) Use(c Chooser) { s.chooser = c }

// Allow replaces what may go wrong from now on.
func (s *Sim) Allow(f Faults) {
	s.faults, s.delays, s.touched = f, f.Delays, ^uint64(0)
	s.left = [actions]int{Drop: f.Drop, Dup: f.Dup, Late: f.Late, Crash: f.Crash, Torn: f.Torn, Pause: f.Pause, Cut: f.Cut, Tick: f.Tick, Clock: f.Clock, Lose: f.Lose, Fail: f.Fail}
}

// Allowed returns what was last allowed.
func (s *Sim) Allowed() Faults { return s.faults }

// Mend ends all faults: processes run, links are whole, what was late is
// pending. Nothing may go wrong from now on.
func (s *Sim) Mend() {
	s.Allow(Faults{Reorder: s.faults.Reorder, Coarse: s.faults.Coarse})
	for len(s.late) > 0 {
		s.release(0)
	}
	s.cuts, s.held = nil, nil
	for _, p := range s.procs {
		s.resume(p)
		if !p.up && p.CanCrash && !p.Final {
			p.Restart()
		}
	}
}

// Settled ends an exploration in the middle of a run: what comes now is the
// quiet schedule and no part of the scope.
func (s *Sim) Settled() {
	s.x, s.thorough, s.sparse = nil, false, false
	s.chooser = Quiet()
	s.Allow(Faults{})
}

// Steps returns how many steps were taken.
func (s *Sim) Steps() int { return s.steps }

// Picks returns the decisions of the run so far.
func (s *Sim) Picks() []Pick { return s.picks.all() }

// Thorough makes of a run one like those of an explorer: it ends when all that is
// under way has arrived.
func (s *Sim) Thorough() { s.thorough = true }

// Again makes of a run with the picks of an explorer that remembers states the
// run that the explorer made.
func (s *Sim) Again() { s.thorough, s.sparse = true, true }

// Explored reports whether the run is one of an explorer's, or Thorough.
func (s *Sim) Explored() bool { return s.thorough }

// Ambiguous counts events that were told apart only by the order in which
// goroutines posted them. A run in which there are none is a function of its
// picks as far as the scheduler goes.
func (s *Sim) Ambiguous() int { return s.ties }

// Shaken calls Shake.
func (s *Sim) Shaken() {
	if s.Shake != nil {
		s.Shake()
	}
}

func (s *Sim) choose(p Point) int {
	if p.N <= 1 {
		return 0
	}
	k := s.chooser.Choose(p)
	if k < 0 || k >= p.N {
		k = 0
	}
	s.picks.add(Pick{p.N, k})
	return k
}

// Run takes steps until done, which is called at quiescent points, returns
// true. It returns the error of Check, or ErrStuck after limit steps.
func (s *Sim) Run(limit int, done func() bool) error {
	first, most := time.Millisecond, 32*time.Millisecond
	if s.thorough {
		// What could go wrong while nothing happens could as well go wrong
		// just before the next thing does.
		first, most = time.Second, time.Second
	}
	nap := first
	s.phase++
	for range limit {
		synctest.Wait()
		s.intake()
		if s.Check != nil {
			if err := s.Check(); err != nil {
				return err
			}
		}
		// An explorer lets all that is under way arrive: a schedule that ends
		// earlier would stand for one in which more of it had happened.
		if done() && (!s.thorough || len(s.deliverable()) == 0) {
			return nil
		}
		s.steps++
		if s.faults.Coarse {
			if i := slices.IndexFunc(s.pending, func(e *Event) bool { return e.kind != request && !e.stopped() }); i >= 0 {
				s.deliver(i)
				continue
			}
		}
		if s.x != nil && s.x.prune(s) {
			return ErrPruned
		}
		switch s.step() {
		case moved:
			nap = first
		case covered:
			return ErrPruned
		case idle:
			s.doze(nap)
			nap = min(2*nap, most)
		}
	}
	return ErrStuck
}

// doze lets time pass until something is posted, and at most d: nothing can
// happen but timers.
func (s *Sim) doze(d time.Duration) {
	select {
	case <-s.wake: // of the step before
	default:
	}
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	select {
	case <-s.wake:
		s.timer.Stop()
	case <-s.timer.C:
	}
	// What is done at an instant is never done at a round one: a timer that is
	// set now ties with no earlier one of the code under test.
	time.Sleep(17 * time.Nanosecond)
}

func (s *Sim) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Do runs f as a goroutine of the run and takes steps until it has returned.
func (s *Sim) Do(limit int, f func()) error {
	var fin atomic.Bool
	s.Go(func() {
		f()
		fin.Store(true)
		s.poke()
	})
	return s.Run(limit, fin.Load)
}

// Close ends every process and joins every handler.
func (s *Sim) Close() {
	for _, p := range s.procs {
		p.kill()
	}
	s.join()
	s.dismiss()
}
