package stepsim

import (
	"slices"
	"time"
)

// progress says what a step came to.
type progress uint8

const (
	moved   progress = iota
	idle             // there is nothing to do but wait
	covered          // what could be done is part of another schedule
)

// deliverable lists the pending events that may be next, by index.
func (s *Sim) deliverable() []int {
	s.can = s.can[:0]
	for i, e := range s.pending {
		if !e.stopped() && (len(s.held) == 0 || !s.isHeld(e)) {
			s.can = append(s.can, i)
		}
	}
	return s.can
}

// step does one thing.
func (s *Sim) step() progress {
	can := s.deliverable()
	a := s.action(can)
	if s.x != nil && (a != Deliver || len(can) == 0) {
		s.x.awake()
	}
	switch a {
	case Deliver:
		if len(can) == 0 {
			s.touched = ^uint64(0)
			return idle
		}
		s.touched = 0
		k := s.which(can)
		if k < 0 {
			return covered
		}
		s.deliver(s.can[k])
	case Drop:
		s.drop(can)
	case Dup:
		s.dup(can)
	case Late:
		e := s.take(s.pickMessage(can))
		s.note(Late, e, "")
		s.late = append(s.late, e)
	case Release:
		s.release(s.choose(Point{N: len(s.late)}))
	case Tick:
		d := time.Duration(1+8*s.choose(Point{N: 6})) * time.Millisecond
		s.note(Tick, nil, d.String())
		s.touched = ^uint64(0)
		time.Sleep(d + 13*time.Nanosecond)
	default:
		s.process(a)
	}
	return moved
}

// action lists what is possible and asks which.
func (s *Sim) action(can []int) Action {
	f, ends := s.faults, !s.faults.Scripted
	f.Reorder, f.Coarse, f.Scripted = false, false, false
	if f == (Faults{}) && len(s.late) == 0 && (!ends || len(s.cuts) == 0 && !s.ailing()) {
		return Deliver
	}
	as := append(s.asked[:0], Deliver)
	message, write := false, false
	for _, i := range can {
		message = message || s.pending[i].message()
		write = write || s.pending[i].kind == disk && s.pending[i].from.CanCrash
	}
	add := func(a Action, ok bool) {
		if ok && s.left[a] > 0 {
			as = append(as, a)
		}
	}
	add(Drop, message)
	add(Dup, message && s.anyRequest(can))
	add(Late, message)
	if len(s.late) > 0 {
		as = append(as, Release)
	}
	any := func(ok func(*Proc) bool) bool { return slices.ContainsFunc(s.procs, ok) }
	add(Crash, any(func(p *Proc) bool { return s.crashable(p) }))
	add(Torn, write)
	add(Fail, write)
	if ends && any(func(p *Proc) bool { return s.restartable(p) }) {
		as = append(as, Restart)
	}
	add(Pause, any(func(p *Proc) bool { return p.CanPause && !p.paused && p.up }))
	if ends && any(func(p *Proc) bool { return p.paused }) {
		as = append(as, Resume)
	}
	add(Cut, any(func(p *Proc) bool { return p.CanCut }))
	if ends && len(s.cuts) > 0 {
		as = append(as, Heal)
	}
	add(Tick, true)
	add(Clock, any(func(p *Proc) bool { return p.CanSkew }))
	add(Lose, any(func(p *Proc) bool { return p.CanLose }))
	s.asked = as
	if len(as) == 1 {
		return Deliver
	}
	a := as[s.choose(Point{N: len(as), Actions: as})]
	if s.left[a] > 0 {
		s.left[a]--
	}
	return a
}

// crashable reports whether p may die here. Of runs that differ by nothing else
// than how late it dies an explorer makes one: that in which it dies as soon as
// it can be known that it will. A handler that runs there tells of the crash at
// once.
func (s *Sim) crashable(p *Proc) bool {
	return p.CanCrash && p.up && (!s.sparse || s.touched&p.bit() != 0 || p.work.Load() != 0)
}

// restartable is crashable for a process that is down.
func (s *Sim) restartable(p *Proc) bool {
	return p.restartable() && (!s.sparse || s.touched&p.bit() != 0 || !p.Still)
}

func (s *Sim) ailing() bool {
	for _, p := range s.procs {
		if p.paused || p.restartable() {
			return true
		}
	}
	return false
}

// which of the deliverable events is next, as an index of s.can, or -1.
func (s *Sim) which(can []int) int {
	if s.faults.Reorder {
		if s.x != nil {
			return s.x.which(s, can)
		}
		return s.choose(Point{N: len(can)})
	}
	// Sent behind the others, rather than passed over by index: the bound then
	// counts how often the schedule differs from the quiet one.
	for s.delays > 0 && len(can) > 1 && s.choose(Point{N: 2}) == 1 {
		s.delays--
		e := s.take(can[0])
		s.note(Late, e, "behind")
		s.pending = append(s.pending, e)
		can = s.deliverable()
	}
	return 0
}

func (s *Sim) anyRequest(can []int) bool {
	return slices.ContainsFunc(can, func(i int) bool { return s.pending[i].dupable() })
}

// dupable: a connection delivers once; what is sent again after a time-out is
// what arrives twice. Requests of clients are not sent again.
func (e *Event) dupable() bool { return e.kind == request && !e.from.Client }

func (s *Sim) pickMessage(can []int) int { return s.pickWhere(can, (*Event).message) }

func (s *Sim) pickWhere(can []int, ok func(*Event) bool) int {
	var of []int
	for _, i := range can {
		if ok(s.pending[i]) {
			of = append(of, i)
		}
	}
	return of[s.choose(Point{N: len(of)})]
}

func (s *Sim) take(i int) *Event {
	e := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	return e
}

func (s *Sim) deliver(i int) {
	e := s.take(i)
	if s.x != nil {
		s.x.delivered(e)
	}
	if e.message() && (s.isCut(e.from, e.to) || e.fenced()) {
		s.note(Drop, e, "cut")
		return
	}
	if p := e.owner(); p.DieAt >= 0 && e.message() && p.up {
		if p.messages++; p.messages-1 == p.DieAt {
			p.Crash()
			return
		}
	}
	s.note(Deliver, e, "")
	s.hit(e, whole)
}

// hit lets an event happen.
func (s *Sim) hit(e *Event, h how) {
	e.to.reached++
	s.touched |= e.touches()
	if s.thorough {
		if e.pure {
			s.ask = e
		} else {
			e.see(h)
		}
	}
	e.what.happen(e, h)
}

// see lets the process that the event reaches observe it.
func (e *Event) see(h how) {
	e.to.observe(mix(mix(e.id, uint64(h)), uint64(time.Since(e.to.sim.started))))
}

func (s *Sim) drop(can []int) {
	e := s.take(s.pickMessage(can))
	if e.kind == reply && s.choose(Point{N: 2}) == 1 {
		// Done, and the caller is told that the connection broke.
		s.note(Drop, e, "reset")
		s.hit(e, broken)
		return
	}
	s.note(Drop, e, "")
}

func (s *Sim) dup(can []int) {
	e := s.pending[s.pickWhere(can, (*Event).dupable)]
	s.twin(e)
}

func (s *Sim) release(i int) {
	e := s.late[i]
	s.late = slices.Delete(s.late, i, i+1)
	s.pending = append(s.pending, e)
	s.note(Release, e, "")
}
