package stepsim

import (
	"fmt"
	"strings"
	"time"
)

// line is one step of the trace. It is rendered only when asked for.
type line struct {
	at       time.Duration
	op, note string
	act      Action
	what     about
	kind     evKind
	from, to uint16 // by index
}

// about is what a line is about.
type about uint8

const (
	nothing about = iota
	event
	process
)

func (s *Sim) render(l line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9.3fms ", float64(l.at)/1e6)
	if l.act != Deliver {
		b.WriteString(l.act.String())
		b.WriteByte(' ')
	}
	name := func(i uint16) string { return s.procs[i].Name }
	switch {
	case l.what == event && (l.kind == request || l.kind == reply):
		fmt.Fprintf(&b, "%s %s>%s %s", l.kind, name(l.from), name(l.to), l.op)
	case l.what == event:
		fmt.Fprintf(&b, "%s %s %s", l.kind, name(l.from), l.op)
	case l.what == process:
		b.WriteString(name(l.from))
	}
	if l.note != "" {
		b.WriteString(" " + l.note)
	}
	return b.String()
}

func (s *Sim) add(l line) {
	l.at = time.Since(s.started)
	h := mix(s.hash, uint64(l.act)|uint64(l.at)<<8)
	switch l.what {
	case event:
		h = mix(mixString(h, l.op), uint64(l.kind)|uint64(l.from)<<8|uint64(l.to)<<24)
	case process:
		h = mix(h, uint64(l.from))
	}
	s.hash = mixString(h, l.note)
	s.trace.add(l)
}

func (s *Sim) note(a Action, e *Event, note string) {
	if e == nil {
		s.add(line{act: a, note: note})
		return
	}
	s.add(line{act: a, what: event, kind: e.kind, op: e.op, from: uint16(e.from.index), to: uint16(e.to.index), note: note})
}

func (s *Sim) noteProc(a Action, p *Proc, note string) {
	s.add(line{act: a, what: process, from: uint16(p.index), note: note})
}

// Note adds a line of the caller's to the trace, at a process. It is called by
// whoever runs alone: a handler's own step, or the scheduler.
func (p *Proc) Note(note string) { p.sim.noteProc(Deliver, p, note) }

// Hash is a digest of the trace so far: equal for runs of the same steps at the
// same instants.
func (s *Sim) Hash() uint64 { return s.hash }

// Happened says how often each fault happened. A message that was lost to a cut
// is no fault of its own.
func (s *Sim) Happened() map[Action]int {
	n := map[Action]int{}
	for _, l := range s.trace.all() {
		switch l.act {
		case Deliver, Release, Restart, Resume, Heal, Tick:
			continue
		case Drop:
			if l.note == "cut" {
				continue
			}
		}
		n[l.act]++
	}
	return n
}

// Lines returns how many lines the trace has so far.
func (s *Sim) Lines() int { return s.trace.len() }

// Trace returns the last n lines of the trace, all for n <= 0.
func (s *Sim) Trace(n int) []string {
	lines := s.trace.all()
	if n > 0 {
		lines = lines[max(0, len(lines)-n):]
	}
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		out = append(out, s.render(l))
	}
	return out
}

// Fingerprint digests the state of the run for an explorer: what every process
// has observed, in its order and at its time, what is pending, and what may
// still go wrong. Processes that share nothing but messages are in the same
// state when they observed the same.
func (s *Sim) Fingerprint() uint64 {
	h := mix(uint64(time.Since(s.started)), uint64(s.phase))
	for _, p := range s.procs {
		x := p.digest()
		if p.up {
			x ^= 0x9e3779b97f4a7c15
		}
		if p.paused {
			x = ^x
		}
		if p.Isolated {
			x++
		}
		if p.Isolated {
			x = mix(x, 0x150)
		}
		h = mix(h, x)
	}
	// Pending events form a set; their order among themselves is a matter of
	// the schedule only while the oldest goes first.
	var set uint64
	for i, e := range s.pending {
		x := e.id
		if e.held {
			x = mix(x, 4)
		}
		if !s.faults.Reorder {
			x = mix(x, uint64(i))
		}
		set += mix(1, x)
	}
	for _, e := range s.late {
		set += mix(2, e.id)
	}
	h = mix(h, set)
	for _, n := range s.left {
		h = mix(h, uint64(n))
	}
	h = mix(h, uint64(s.delays))
	for _, c := range s.cuts {
		h += mix(uint64(c[0].index)<<16, uint64(c[1].index))
	}
	if s.Digest != nil {
		h = mix(h, s.Digest())
	}
	return h
}

// mix and mixString are FNV-like with a strong finish; only equality counts.
func mix(h, x uint64) uint64 {
	h ^= x + 0x9e3779b97f4a7c15 + h<<6 + h>>2
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	return h
}

func mixString(h uint64, s string) uint64 {
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h, uint64(len(s)))
}
