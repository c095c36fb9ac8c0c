package stepsim

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
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

	mu       sync.Mutex // guards incoming
	incoming []*Event

	pending []*Event // canonical order, oldest step first
	late    []*Event
	held    []string // patterns of a script
	procs   []*Proc
	cuts    [][2]*Proc
	picks   []Pick
	trace   []line
	hash    uint64
	steps   int
	asked   []Action // scratch
	can     []int    // scratch
	handler time.Duration
	started time.Time
	handles sync.WaitGroup

	// Check is called at every quiescent point.
	Check func() error
	// Digest, when set, adds to the state that an explorer remembers.
	Digest func() uint64
	// prune is asked at every quiescent point while an explorer runs.
	prune func(fingerprint uint64, depth int) bool
}

// Pick is one decision of a run: which of how many.
type Pick struct{ Of, Picked int }

// New returns a run without processes. It is called in a synctest bubble.
func New(c Chooser, f Faults) *Sim {
	s := &Sim{chooser: c, handler: 2 * time.Second, started: time.Now()}
	s.Allow(f)
	return s
}

// Allow replaces what may go wrong from now on.
func (s *Sim) Allow(f Faults) {
	s.faults, s.delays = f, f.Delays
	s.left = [actions]int{Drop: f.Drop, Dup: f.Dup, Late: f.Late, Crash: f.Crash, Torn: f.Torn, Pause: f.Pause, Cut: f.Cut, Tick: f.Tick, Clock: f.Clock, Lose: f.Lose, Fail: f.Fail}
}

// Allowed returns what was last allowed.
func (s *Sim) Allowed() Faults { return s.faults }

// Mend ends all faults: processes run, links are whole, what was late is
// pending. Nothing may go wrong from now on.
func (s *Sim) Mend() {
	s.Allow(Faults{Reorder: s.faults.Reorder})
	for len(s.late) > 0 {
		s.release(0)
	}
	s.cuts, s.held = nil, nil
	for _, p := range s.procs {
		p.paused = false
		if !p.up && p.CanCrash {
			p.Restart()
		}
	}
}

// Steps returns how many steps were taken.
func (s *Sim) Steps() int { return s.steps }

// Picks returns the decisions of the run so far.
func (s *Sim) Picks() []Pick { return s.picks }

func (s *Sim) choose(p Point) int {
	if p.N <= 1 {
		return 0
	}
	k := s.chooser.Choose(p)
	if k < 0 || k >= p.N {
		k = 0
	}
	s.picks = append(s.picks, Pick{p.N, k})
	return k
}

// Run takes steps until done, which is called at quiescent points, returns
// true. It returns the error of Check, or ErrStuck after limit steps.
func (s *Sim) Run(limit int, done func() bool) error {
	nap := time.Millisecond
	for range limit {
		synctest.Wait()
		s.intake()
		if s.Check != nil {
			if err := s.Check(); err != nil {
				return err
			}
		}
		if done() {
			return nil
		}
		if s.prune != nil && s.prune(s.Fingerprint(), len(s.picks)) {
			return ErrPruned
		}
		s.steps++
		if s.step() {
			nap = time.Millisecond
			continue
		}
		// Nothing can happen but timers. A nap is never a round number, so
		// that it ties with no timer of the code under test.
		time.Sleep(nap + 17*time.Nanosecond)
		nap = min(2*nap, 32*time.Millisecond)
	}
	return ErrStuck
}

// Do runs f as a goroutine of the run and takes steps until it has returned.
func (s *Sim) Do(limit int, f func()) error {
	var mu sync.Mutex
	fin := false
	s.handles.Add(1)
	go func() {
		defer s.handles.Done()
		f()
		mu.Lock()
		fin = true
		mu.Unlock()
	}()
	return s.Run(limit, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return fin
	})
}

// Go starts f as a goroutine that Close waits for.
func (s *Sim) Go(f func()) {
	s.handles.Add(1)
	go func() {
		defer s.handles.Done()
		f()
	}()
}

// Close ends every process and joins every handler.
func (s *Sim) Close() {
	for _, p := range s.procs {
		p.kill()
	}
	s.handles.Wait()
}

// Event is something that happens when it is delivered.
type Event struct {
	kind     evKind
	from, to *Proc
	op       string
	seq      int // step of its posting
	id       uint64
	life     context.Context // nothing happens when it has ended
	fire     func(how)
}

type evKind uint8

const (
	request evKind = iota
	reply
	disk
	local
)

// how an event is delivered.
type how uint8

const (
	whole how = iota
	broken
	refused // a disk write that reports an error and was not done
	doubted // one that reports an error and was done
)

func (k evKind) String() string { return [...]string{"req", "rep", "disk", "local"}[k] }

// owner is the process without which the event cannot happen.
func (e *Event) owner() *Proc {
	if e.kind == reply {
		return e.to
	}
	return e.from
}

func (e *Event) message() bool { return e.kind == request || e.kind == reply }

func (s *Sim) post(e *Event) {
	s.mu.Lock()
	s.incoming = append(s.incoming, e)
	s.mu.Unlock()
}

// intake puts what was posted during the step into canonical order: which of
// several goroutines posted first must not matter.
func (s *Sim) intake() {
	s.mu.Lock()
	in := s.incoming
	s.incoming = nil
	s.mu.Unlock()
	if len(in) == 0 {
		return
	}
	slices.SortStableFunc(in, func(a, b *Event) int {
		if c := cmp.Compare(a.kind, b.kind); c != 0 {
			return c
		}
		if c := cmp.Compare(a.from.index, b.from.index); c != 0 {
			return c
		}
		if c := cmp.Compare(a.to.index, b.to.index); c != 0 {
			return c
		}
		return strings.Compare(a.op, b.op)
	})
	for _, e := range in {
		e.seq = s.steps
		e.id = mix(mix(mix(mixString(uint64(e.kind), e.op), uint64(e.from.index)), uint64(e.to.index)), e.from.seen)
	}
	s.pending = append(s.pending, in...)
}

// stopped reports whether the event waits for a paused process.
func (e *Event) stopped() bool { return e.from.paused || e.to.paused }
