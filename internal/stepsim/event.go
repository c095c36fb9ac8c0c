package stepsim

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Event is something that happens when it is delivered.
type Event struct {
	kind     evKind
	from, to *Proc
	op       string
	id       uint64 // equal for events that are the same in any order of the others
	cause    uint64 // the request that its poster was answering, 0 for none
	asked    *Event // of a reply: the request
	content  uint64 // of a reply, when known
	known    bool
	life     context.Context // nothing happens when it has ended
	caller   *caller         // nothing happens when it has left
	held     bool            // its poster was paused, and has not sent it yet
	pure     bool            // changes nothing where it arrives
	what     happening
}

// happening is what an event, or a twin of it, does when it is delivered.
type happening interface{ happen(e *Event, h how) }

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
	s.poke()
	s.Shaken()
}

// intake puts what was posted during the step into canonical order: which of
// several goroutines posted first must not matter. What nobody waits for any
// more goes.
func (s *Sim) intake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.incoming
	s.digest(in)
	s.pending, s.late = slices.DeleteFunc(s.pending, (*Event).void), slices.DeleteFunc(s.late, (*Event).void)
	if len(in) == 0 {
		return
	}
	if len(in) > 1 {
		slices.SortStableFunc(in, compare)
	}
	now := uint64(time.Since(s.started))
	same := uint64(0)
	for i, e := range in {
		e.held = e.from.paused
		s.posted++
		if i > 0 && compare(in[i-1], e) == 0 {
			same++
			s.ties++
		} else {
			same = 0
		}
		e.id = s.posted
		if s.thorough {
			e.id = mix(mixString(uint64(e.kind), e.op), uint64(e.from.index)<<32|uint64(e.to.index))
			switch {
			case e.known:
				e.id = mix(e.id, e.content)
			case !e.from.Named || e.kind == reply:
				e.id = mix(e.id, e.from.digest())
			}
			e.id = mix(mix(e.id, e.cause), now) + same
		}
	}
	for _, e := range in {
		if !e.void() {
			s.pending = append(s.pending, e)
		}
	}
	clear(in)
	s.incoming = in[:0]
}

// digest brings what the processes observed up to date, for an explorer.
func (s *Sim) digest(in []*Event) {
	if !s.thorough {
		return
	}
	if q := s.ask; q != nil {
		s.ask = nil
		// A question that was not answered at once is work in progress.
		if !slices.ContainsFunc(in, func(e *Event) bool { return e.asked == q }) {
			q.see(whole)
		}
	}
	now := time.Now()
	for _, p := range s.procs {
		// Nothing else than what reached it, or a timer, can have changed it.
		if p.State == nil || p.judged == p.reached && p.judgedAt == now {
			continue
		}
		p.judged, p.judgedAt = p.reached, now
		if p.up {
			state := mix(mix(0x57a7e, p.State()), p.work.Load())
			p.obs.Lock()
			p.seen = state
			p.obs.Unlock()
		}
	}
}

// void reports whether delivering the event would do nothing. Callers hold mu.
func (e *Event) void() bool {
	return e.life != nil && e.life.Err() != nil || e.caller != nil && e.caller.left
}

// compare orders what was posted in one step.
func compare(a, b *Event) int {
	return cmp.Or(
		cmp.Compare(a.kind, b.kind), cmp.Compare(a.from.index, b.from.index), cmp.Compare(a.to.index, b.to.index),
		strings.Compare(a.op, b.op), cmp.Compare(a.cause, b.cause),
	)
}

// stopped reports whether the event waits for a paused process: what was on its
// way when its sender stopped still arrives.
func (e *Event) stopped() bool { return e.held || e.to.paused && e.kind != disk }
