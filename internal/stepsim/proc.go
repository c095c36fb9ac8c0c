package stepsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrKilled is what a process' own calls return after it died.
var ErrKilled = errors.New("stepsim: the process is dead")

// Proc is a process: a node, a coordinator, a registry, a client.
type Proc struct {
	// Name is shown in traces and must be unique.
	Name string
	// CanCrash, CanPause, CanCut, CanSkew and CanLose say which faults may
	// befall it.
	CanCrash, CanPause, CanCut, CanSkew, CanLose bool
	// Isolated cuts the process off from all but those marked Control.
	Isolated, Control bool
	// Peer marks the processes between which a peers-only partition cuts.
	Peer bool
	// Client marks a process whose requests never arrive twice.
	Client bool
	// Final: a crash is for good.
	Final bool
	// Boot is called at a restart, with only what is durable.
	Boot func()
	// State, when set, digests everything, durable or not, that the process'
	// further behaviour rests on, what it does in the background and how far
	// its handlers are included; that they run is known, and what they have
	// posted. An explorer forgets how the process got into its state.
	State func() uint64
	// Named: the name of what the process posts, with what caused it and when,
	// says all about it. Otherwise an explorer takes events for different
	// unless the process had observed the same before them.
	Named bool
	// Still: nothing is posted by Boot, nor by what it starts before time passes.
	Still bool
	// Lose is called when the disk is lost, before the crash.
	Lose func()
	// DieAt kills the process at its n-th message, sent or got: just before a
	// call leaves, or after it was carried out and before the answer is seen.
	// Negative: never.
	DieAt int

	sim      *Sim
	index    int
	life     context.Context
	kill     context.CancelFunc
	up       bool
	paused   bool
	messages int
	work     atomic.Uint64 // digest of the handlers under way

	reached  uint64    // counts what happened to it
	judged   uint64    // reached when State was last asked
	judgedAt time.Time // the time then

	// obs guards what follows: a goroutine that a timer woke is ordered with
	// the scheduler by nothing else.
	obs  sync.Mutex
	seen uint64 // digest of all it observed, in order if it knows it
	base uint64 // seen when it began to forget the order
	bag  uint64 // what it observed since, as a set
	free bool   // it knows no order
	name uint64 // digest of the stage it is in; only when free

	offset time.Duration
	mono   time.Duration // shown by its monotonic clock at since
	ppm    int64         // how much faster its clock is than the bubble's
	since  time.Time
}

// Proc adds a process that runs.
func (s *Sim) Proc(name string) *Proc {
	p := &Proc{Name: name, sim: s, index: len(s.procs), up: true, DieAt: -1, since: time.Now()}
	p.life, p.kill = context.WithCancel(context.Background())
	s.procs = append(s.procs, p)
	return p
}

// Sim returns the run.
func (p *Proc) Sim() *Sim { return p.sim }

// Procs returns all processes, in the order in which they were made.
func (s *Sim) Procs() []*Proc { return s.procs }

// Index is the number of processes that were made before it.
func (p *Proc) Index() int { return p.index }

// Up reports whether it runs.
func (p *Proc) Up() bool { return p.up }

// Seen changes with everything that reaches the process: while it stays the
// same, only timers can have changed anything there.
func (p *Proc) Seen() uint64 { return p.reached }

// Life ends when the process dies.
func (p *Proc) Life() context.Context { return p.life }

// Crash kills the process. What it had not made durable is gone.
func (p *Proc) Crash() {
	if !p.up {
		return
	}
	p.sim.noteProc(Crash, p, "")
	p.up, p.paused = false, false
	// What it did while it was paused it never did.
	unsent := func(e *Event) bool { return e.held && e.from == p }
	p.sim.pending, p.sim.late = slices.DeleteFunc(p.sim.pending, unsent), slices.DeleteFunc(p.sim.late, unsent)
	p.observe(0xdead)
	p.kill()
}

func (p *Proc) restartable() bool { return !p.up && p.CanCrash && !p.Final }

// observe takes in something that happened to the process.
func (p *Proc) observe(x uint64) {
	p.reached++
	p.obs.Lock()
	defer p.obs.Unlock()
	p.bag += mix(3, x)
	if p.free {
		p.seen = mix(mix(p.base, p.bag), p.name)
	} else {
		p.seen = mix(p.seen, x)
	}
}

// Unorder says, for an explorer, that the process' further behaviour, as long as
// it lives and until it says so again, rests on what it observed since it began
// to forget, and will observe, and on stage, but not on the order of that. With
// fresh set it begins to forget now: what is observed from here on is told apart
// from what was before. It is called by a goroutine of the process.
func (p *Proc) Unorder(fresh bool, stage string) {
	p.obs.Lock()
	defer p.obs.Unlock()
	p.free, p.name = true, mixString(0, stage)
	p.seen = mix(mix(p.base, p.bag), p.name)
	if fresh {
		p.base, p.bag = p.seen, 0
	}
}

// digest is what the process has observed so far.
func (p *Proc) digest() uint64 {
	p.obs.Lock()
	defer p.obs.Unlock()
	return p.seen
}

// Restart brings it back.
func (p *Proc) Restart() {
	if p.up {
		return
	}
	p.sim.noteProc(Restart, p, "")
	p.up = true
	p.observe(mix(0xb007, uint64(time.Since(p.sim.started))))
	p.life, p.kill = context.WithCancel(context.Background())
	if p.Boot != nil {
		p.Boot()
	}
}

// Now is the time of the process' own clock.
func (p *Proc) Now() time.Time {
	d := time.Since(p.since)
	return p.since.Add(p.offset + d + d*time.Duration(p.ppm)/1_000_000)
}

// Mono is the process' monotonic clock: it runs at the rate of Now and never
// jumps.
func (p *Proc) Mono() time.Duration {
	d := time.Since(p.since)
	return p.mono + d + d*time.Duration(p.ppm)/1_000_000
}

// After is how long, on the bubble's clock, d is on the process' own at its
// present rate: the shortest time after which Now has gone d ahead.
func (p *Proc) After(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	rate := 1_000_000 + time.Duration(p.ppm)
	whole, rest := d/rate, d%rate
	return whole*1_000_000 + (rest*1_000_000+rate-1)/rate
}

// Skew changes the clock: its offset by a jump, its rate to ppm, which is above
// -1,000,000. Timers that run already keep their end.
func (p *Proc) Skew(jump time.Duration, ppm int64) {
	now := p.Now()
	p.mono = p.Mono()
	p.since = time.Now()
	p.offset = now.Sub(p.since) + jump
	p.ppm = ppm
}

// tear lets a write happen by half. The process dies first: who waits for the
// write must not see its end and go on, if only until the crash.
func (e *Event) tear() {
	e.from.Crash()
	e.from.sim.hit(e, broken)
}

// process carries out a fault of a process.
func (s *Sim) process(a Action) {
	pick := func(ok func(*Proc) bool) *Proc {
		var of []*Proc
		for _, p := range s.procs {
			if ok(p) {
				of = append(of, p)
			}
		}
		return of[s.choose(Point{N: len(of)})]
	}
	switch a {
	case Crash:
		pick(func(p *Proc) bool { return s.crashable(p) }).Crash()
	case Restart:
		pick(func(p *Proc) bool { return s.restartable(p) }).Restart()
	case Torn:
		i := s.pickWhere(s.deliverable(), func(e *Event) bool { return e.kind == disk && e.from.CanCrash })
		e := s.take(i)
		s.note(Torn, e, "")
		e.tear()
	case Fail:
		e := s.take(s.pickWhere(s.deliverable(), func(e *Event) bool { return e.kind == disk && e.from.CanCrash }))
		h := refused + how(s.choose(Point{N: 2}))
		s.note(Fail, e, [...]string{"not done", "done"}[h-refused])
		s.hit(e, h)
	case Pause:
		p := pick(func(p *Proc) bool { return p.CanPause && !p.paused && p.up })
		p.paused = true
		s.noteProc(Pause, p, "")
	case Resume:
		p := pick(func(p *Proc) bool { return p.paused })
		s.resume(p)
		s.noteProc(Resume, p, "")
	case Cut:
		s.cut(pick(func(p *Proc) bool { return p.CanCut }))
	case Heal:
		i := s.choose(Point{N: len(s.cuts)})
		s.noteProc(Heal, s.cuts[i][0], s.cuts[i][1].Name)
		s.cuts = slices.Delete(s.cuts, i, i+1)
	case Clock:
		p := pick(func(p *Proc) bool { return p.CanSkew })
		jump := time.Duration(s.choose(Point{N: 5})-2) * 50 * time.Millisecond
		ppm := int64(s.choose(Point{N: 5})-2) * 20_000
		p.Skew(jump, ppm)
		p.observe(mix(mix(0xc10c, uint64(jump)), mix(uint64(ppm), uint64(time.Since(s.started)))))
		s.noteProc(Clock, p, fmt.Sprintf("%v %dppm", jump, ppm))
	case Lose:
		p := pick(func(p *Proc) bool { return p.CanLose })
		s.noteProc(Lose, p, "")
		p.observe(0x105e)
		if p.Lose != nil {
			p.Lose()
		}
		p.Crash()
	}
}

// resume lets a paused process go on: what it did meanwhile takes effect.
func (s *Sim) resume(p *Proc) {
	if !p.paused {
		return
	}
	p.paused = false
	for _, es := range [][]*Event{s.pending, s.late} {
		for _, e := range es {
			if e.from == p {
				e.held = false
			}
		}
	}
}

// cut isolates p: what it sends, what it gets, both, only from its peers, or
// from all but clients, who then still reach a leader that was replaced.
func (s *Sim) cut(p *Proc) {
	kind := s.choose(Point{N: 5})
	for _, o := range s.procs {
		if o == p || kind == 3 && !o.Peer || kind == 4 && o.Client {
			continue
		}
		if kind != 1 {
			s.Cut(p, o)
		}
		if kind != 0 {
			s.Cut(o, p)
		}
	}
	s.noteProc(Cut, p, [...]string{"sends nothing", "gets nothing", "isolated", "isolated from its peers", "isolated from all but clients"}[kind])
}

// CutOff isolates a process from all but clients, who may go on to ask a leader
// that was replaced.
func (s *Sim) CutOff(p *Proc) {
	for _, o := range s.procs {
		if o != p && !o.Client {
			s.Cut(p, o)
			s.Cut(o, p)
		}
	}
	s.noteProc(Cut, p, "isolated from all but clients")
}

// Cut loses every message from one process to another until Join.
func (s *Sim) Cut(from, to *Proc) {
	if !s.isCut(from, to) {
		s.cuts = append(s.cuts, [2]*Proc{from, to})
	}
}

// Join ends every cut between two processes.
func (s *Sim) Join(a, b *Proc) {
	s.cuts = slices.DeleteFunc(s.cuts, func(c [2]*Proc) bool {
		return c == [2]*Proc{a, b} || c == [2]*Proc{b, a}
	})
}

// fenced reports whether a message has an isolated process at one end.
func (e *Event) fenced() bool {
	return e.from.Isolated && !e.to.Control || e.to.Isolated && !e.from.Control
}

func (s *Sim) isCut(from, to *Proc) bool {
	return len(s.cuts) > 0 && slices.Contains(s.cuts, [2]*Proc{from, to})
}
