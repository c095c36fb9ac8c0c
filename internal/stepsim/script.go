package stepsim

import "strings"

// A pattern names events by their line in a trace: "req c1>n2 promise" is the
// arrival of a promise's request, "rep n2>c1 promise" that of its answer, "disk
// n2 promise" its write. A name may be "*", and what is asked for is matched by
// its beginning.
func (e *Event) matches(pattern string) bool {
	kind, rest, _ := strings.Cut(pattern, " ")
	ends, op, _ := strings.Cut(rest, " ")
	from, to, _ := strings.Cut(ends, ">")
	name := func(p *Proc, s string) bool { return s == "" || s == "*" || s == p.Name }
	return (kind == "*" || kind == e.kind.String()) && name(e.from, from) && name(e.to, to) &&
		(op == "*" || strings.HasPrefix(e.op, op))
}

// Hold keeps every event that matches back until Free.
func (s *Sim) Hold(pattern string) { s.held = append(s.held, pattern) }

// Free ends a Hold, of all patterns when none is given.
func (s *Sim) Free(patterns ...string) {
	if len(patterns) == 0 {
		s.held = nil
		return
	}
	kept := s.held[:0]
	for _, h := range s.held {
		free := false
		for _, p := range patterns {
			free = free || p == h
		}
		if !free {
			kept = append(kept, h)
		}
	}
	s.held = kept
}

func (s *Sim) isHeld(e *Event) bool {
	for _, p := range s.held {
		if e.matches(p) {
			return true
		}
	}
	return false
}

// Waiting counts the pending events that match. It is asked at quiescent
// points.
func (s *Sim) Waiting(pattern string) (n int) {
	for _, e := range s.pending {
		if e.matches(pattern) && (e.life == nil || e.life.Err() == nil) {
			n++
		}
	}
	return n
}

// Discard loses the pending messages that match. With reset, who waits for a
// lost answer is told that the connection broke.
func (s *Sim) Discard(pattern string, reset bool) (n int) {
	for i := 0; i < len(s.pending); {
		e := s.pending[i]
		if !e.message() || !e.matches(pattern) {
			i++
			continue
		}
		s.take(i)
		n++
		if reset && e.kind == reply {
			s.note(Drop, e, "reset")
			s.hit(e, broken)
			continue
		}
		s.note(Drop, e, "")
	}
	return n
}

// Repeat puts a second copy of each pending request that matches aside, to
// arrive when it is Recalled.
func (s *Sim) Repeat(pattern string) (n int) {
	for _, e := range s.pending {
		if e.kind == request && e.matches(pattern) {
			s.twin(e)
			n++
		}
	}
	return n
}

func (s *Sim) twin(e *Event) {
	s.note(Dup, e, "")
	twin := *e
	twin.op += "'"
	twin.id = mix(e.id, 1)
	s.late = append(s.late, &twin)
}

// Recall lets everything that was late arrive.
func (s *Sim) Recall() {
	for len(s.late) > 0 {
		s.release(0)
	}
}

// Pause stops a process, which knows nothing of it, until Resume.
func (p *Proc) Pause() {
	if !p.paused && p.up {
		p.paused = true
		p.sim.noteProc(Pause, p, "")
	}
}

// Resume lets a paused process go on.
func (p *Proc) Resume() {
	if p.paused {
		p.sim.resume(p)
		p.sim.noteProc(Resume, p, "")
	}
}

// Isolate cuts a process off from the others, or, for those given, from them.
func (s *Sim) Isolate(p *Proc, from ...*Proc) {
	if len(from) == 0 {
		from = s.procs
	}
	for _, o := range from {
		if o != p {
			s.Cut(p, o)
			s.Cut(o, p)
		}
	}
	s.noteProc(Cut, p, "by the script")
}

// Rejoin ends every cut of a process.
func (s *Sim) Rejoin(p *Proc) {
	for _, o := range s.procs {
		s.Join(p, o)
	}
	s.noteProc(Heal, p, "by the script")
}

// Tear kills the process of a pending write that matches, in the middle of it.
func (s *Sim) Tear(pattern string) bool {
	for i, e := range s.pending {
		if e.kind == disk && e.matches(pattern) {
			s.take(i)
			s.note(Torn, e, "")
			e.tear()
			return true
		}
	}
	return false
}
