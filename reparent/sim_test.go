package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// sim runs real production goroutines in a synctest bubble, one event at a
// time: it waits until all of them are blocked, checks the invariants, and lets
// a chooser decide which message, disk write or fault comes next. The same
// choices give the same trace.
type sim struct {
	mu     sync.Mutex // guards events and count; post is called by any goroutine
	events []*event
	count  map[string]int

	rng    *rand.Rand
	faults faults
	procs  []*proc
	hash   uint64
	trace  []string
	steps  int
	wg     sync.WaitGroup // handlers

	check func() error // invariants, at every quiescent point
}

// faults are weights out of 1000 per step; all zero is the quiet schedule,
// which delivers the oldest event first.
type faults struct {
	random bool // any pending event, not the oldest
	drop   int
	dup    int
	crash  int
	sleep  int
	pause  int
	budget int // how many drops, dups and crashes in all
}

type event struct {
	key   string
	seq   int
	owner *proc // whose life it needs; nil: nobody's
	life  context.Context
	by    *proc // whose message it is, which may be lost or come twice; nil: none
	fire  func()
}

// proc is a process: a node, a coordinator, the registry, a client.
type proc struct {
	name    string
	s       *sim
	life    context.Context
	kill    context.CancelFunc
	up      bool
	paused  bool
	canDie  bool
	pauses  bool
	cut     bool // isolated: only control processes reach it, and it reaches none
	control bool
	boot    func() // after a restart, with only durable state

	// dieAt kills the process at the n-th message that it sends or gets: just
	// before a call leaves, or after it was carried out and before the answer
	// is seen. -1: never.
	dieAt int
	seen  int

	base, vals int // the values that its writes carry
}

var (
	errKilled  = errors.New("sim: the process is dead")
	errRefused = errors.New("sim: connection refused")
	errLost    = fmt.Errorf("sim: connection lost: %w", leadership.ErrUnknownOutcome)
	errStuck   = errors.New("sim: too many steps")
)

func newSim(seed uint64, f faults) *sim {
	return &sim{count: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 7)), faults: f}
}

func (s *sim) proc(name string) *proc {
	p := &proc{name: name, s: s, up: true, dieAt: -1, base: len(s.procs)}
	p.life, p.kill = context.WithCancel(context.Background())
	s.procs = append(s.procs, p)
	return p
}

func (s *sim) post(key string, owner, by *proc, fire func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[key]++
	e := &event{key: fmt.Sprintf("%s#%d", key, s.count[key]), owner: owner, by: by, fire: fire}
	if owner != nil {
		e.life = owner.life
	}
	s.events = append(s.events, e)
}

// next takes the pending events in canonical order: which of several goroutines
// posted first within one step must not matter.
func (s *sim) next() (e *event, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.events, func(a, b *event) int {
		if a.seq != b.seq {
			return a.seq - b.seq
		}
		return strings.Compare(a.key, b.key)
	})
	var can []int
	for i := range s.events {
		e := s.events[i]
		if e.seq == 0 {
			e.seq = s.steps + 1 // older steps first
		}
		if e.owner == nil || !e.owner.paused {
			can = append(can, i)
		}
	}
	if len(can) == 0 {
		return nil, false
	}
	i := can[0]
	if s.faults.random {
		i = can[s.rng.IntN(len(can))]
	}
	e = s.events[i]
	s.events = slices.Delete(s.events, i, i+1)
	return e, true
}

// run delivers events until done says so.
func (s *sim) run(limit int, done func() bool) error {
	idle := 0
	for range limit {
		synctest.Wait()
		if s.check != nil {
			if err := s.check(); err != nil {
				return err
			}
		}
		if done() {
			return nil
		}
		s.steps++
		if s.fault() {
			continue
		}
		if s.faults.sleep > 0 && s.rng.IntN(1000) < s.faults.sleep {
			time.Sleep(time.Duration(1+s.rng.IntN(40)) * time.Millisecond)
			continue
		}
		e, ok := s.next()
		if !ok {
			if idle++; idle > 100_000 {
				return errStuck
			}
			time.Sleep(time.Millisecond)
			continue
		}
		idle = 0
		s.deliver(e)
	}
	return errStuck
}

func (s *sim) deliver(e *event) {
	if e.life != nil && e.life.Err() != nil {
		return // its owner died meanwhile
	}
	if p := e.by; p != nil && p.dieAt >= 0 && p.life.Err() == nil {
		if p.seen++; p.seen-1 == p.dieAt {
			p.crash()
			return
		}
	}
	if e.by != nil && s.faults.budget > 0 {
		switch x := s.rng.IntN(1000); {
		case x < s.faults.drop:
			s.faults.budget--
			s.note("drop " + e.key)
			return
		case x < s.faults.drop+s.faults.dup && !strings.Contains(e.key, "|put "): // a client's connection delivers once
			s.faults.budget--
			s.note("twice " + e.key)
			s.mu.Lock()
			s.events = append(s.events, &event{key: e.key + "'", owner: e.owner, by: e.by, life: e.life, fire: e.fire, seq: s.steps + s.rng.IntN(60)})
			s.mu.Unlock()
		}
	}
	s.note(e.key)
	e.fire()
}

// fault crashes or revives a process now and then, or pauses one, so that it
// acts on answers that are long out of date.
func (s *sim) fault() bool {
	if s.faults.pause > 0 && s.rng.IntN(1000) < s.faults.pause {
		var can []*proc
		for _, p := range s.procs {
			if p.pauses && p.life.Err() == nil {
				can = append(can, p)
			}
		}
		if len(can) > 0 {
			p := can[s.rng.IntN(len(can))]
			p.paused = !p.paused
			s.note(fmt.Sprintf("pause %s %v", p.name, p.paused))
			return true
		}
	}
	if s.faults.crash == 0 || s.rng.IntN(1000) >= s.faults.crash {
		return false
	}
	var can []*proc
	for _, p := range s.procs {
		if p.canDie && (!p.up || s.faults.budget > 0) {
			can = append(can, p)
		}
	}
	if len(can) == 0 {
		return false
	}
	p := can[s.rng.IntN(len(can))]
	if p.up {
		s.faults.budget--
		p.crash()
	} else {
		p.restart()
	}
	return true
}

func (p *proc) crash() {
	p.s.note("crash " + p.name)
	p.up = false
	p.kill()
}

func (p *proc) restart() {
	if p.up {
		return
	}
	p.s.note("restart " + p.name)
	p.up = true
	p.life, p.kill = context.WithCancel(context.Background())
	if p.boot != nil {
		p.boot()
	}
}

func (s *sim) note(line string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x%s", s.hash, line)
	s.hash = h.Sum64()
	s.trace = append(s.trace, line)
}

func (s *sim) tail(n int) string {
	return strings.Join(s.trace[max(0, len(s.trace)-n):], "\n")
}

// close ends every process and joins every handler.
func (s *sim) close() {
	s.faults = faults{}
	for _, p := range s.procs {
		p.kill()
	}
	s.wg.Wait()
}

// rpc carries out h at another process. Request and answer are events of their
// own; the handler lives with its target and goes on when the caller gave up.
func rpc[V any](ctx context.Context, from, to *proc, op string, h func(ctx context.Context) (V, error)) (V, error) {
	var zero V
	type result struct {
		v   V
		err error
	}
	s := from.s
	if from.life.Err() != nil {
		return zero, errKilled
	}
	ch := make(chan result, 4) // a request that comes twice answers twice
	id := from.name + ">" + to.name + "|" + op
	answer := func(r result) {
		s.post("rep|"+id, from, from, func() {
			select {
			case ch <- r:
			default:
			}
		})
	}
	s.post("req|"+id, nil, from, func() {
		if !to.up || to.cut && !from.control || from.cut && !to.control {
			answer(result{err: errRefused})
			return
		}
		life := to.life
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			hctx, cancel := context.WithTimeout(life, 2*time.Second)
			defer cancel()
			v, err := h(hctx)
			if life.Err() != nil {
				v, err = zero, errLost
			}
			answer(result{v, err})
		}()
	})
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		return zero, fmt.Errorf("%w: %w", leadership.ErrUnknownOutcome, context.Cause(ctx))
	case <-from.life.Done():
		return zero, errKilled
	}
}

// disk carries out a durable write of a process: an event, so that a crash can
// come before or after it.
func (p *proc) disk(ctx context.Context, op string, write func()) error {
	life := p.life
	if life.Err() != nil {
		return errKilled
	}
	done := make(chan struct{})
	p.s.post("disk|"+p.name+"|"+op, p, nil, func() {
		write()
		close(done)
	})
	select {
	case <-done:
		if life.Err() != nil {
			return errKilled
		}
		return nil
	case <-ctx.Done():
		// A disk does not stop half way because somebody gave up: the write
		// still happens, and is waited for.
		select {
		case <-done:
			return nil
		case <-life.Done():
			return errKilled
		}
	case <-life.Done():
		return errKilled
	}
}
