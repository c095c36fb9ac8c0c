package reparenttest

import "github.com/tenure-go/tenure/leadership"

// place is where an entry is: two logs that agree on one hold the same up to
// there.
type place struct {
	index int
	term  leadership.Term
}

// placed is what is at a place, and the term of the entry before it.
type placed struct {
	value  uint64
	marker bool
	before leadership.Term
}

// diff takes in what is new in a log: I8, I9 and what may not be discarded.
func (w *world) diff(k *look, old Facts) {
	log := k.f.Log
	same := 0
	for same < len(log) && same < len(old.Log) && log[same].same(old.Log[same]) {
		same++
	}
	if same < len(old.Log) {
		w.checkDiscard(k, old, same)
	}
	k.agrees = min(k.agrees, same)
	bit := uint64(1) << k.index
	for i := same; i < len(log); i++ {
		e := log[i]
		at := place{i, e.Term}
		p := placed{value: e.Value, marker: e.Marker != nil}
		if i > 0 {
			p.before = log[i-1].Term
		}
		if e.Term.Less(p.before) {
			w.fail("I9", "the log of %s falls from term %s to %s at entry %d", k.id, p.before, e.Term, i+1)
		}
		if have, ok := w.placed[at]; ok && have != p {
			w.fail("I9", "entry %d of term %s is %s at %s, and elsewhere %s", i+1, e.Term, p, k.id, have)
		}
		w.placed[at] = p
		w.holders[at] |= bit
	}
	if n := len(log); n > 0 && k.f.Promised.Less(log[n-1].Term) {
		w.fail("I8", "%s holds an entry of term %s, and has promised only %s", k.id, log[n-1].Term, k.f.Promised)
	}
}

func (p placed) String() string {
	s := "a marker"
	if !p.marker {
		s = "value " + utoa(p.value)
	}
	return s + " after one of term " + p.before.String()
}

// checkDiscard: what a node drops from its log at once is a tail that was never
// completed, unless it noted before that it is going back for a repair.
func (w *world) checkDiscard(k *look, old Facts, same int) {
	w.count("a log lost its tail")
	if k.f.Floor {
		return
	}
	for i := same; i < len(old.Log) && i < len(w.completed); i++ {
		if i < len(k.f.Log) && k.f.Log[i].same(w.completed[i].entry) {
			continue
		}
		if c := w.completed[i]; old.Log[i].same(c.entry) {
			name := "I12"
			if len(k.f.Log) <= i {
				name = "I16"
			}
			w.fail(name, "%s drops entry %d (value %d of term %s), which %s completed, and noted no floor before", k.id, i+1, c.entry.Value, c.entry.Term, c.by)
			return
		}
	}
}

// agree counts how many leading entries of a log are those that were completed.
func (w *world) agree(k *look) int {
	for k.agrees < len(w.completed) && k.agrees < len(k.f.Log) && k.f.Log[k.agrees].same(w.completed[k.agrees].entry) {
		k.agrees++
	}
	return k.agrees
}

// below returns how many leading entries a log must hold whose last term, or
// next marker, is t: all that were completed under a lower term.
func (w *world) below(t leadership.Term) int {
	n := len(w.completed)
	for n > 0 && !w.completed[n-1].by.Term.Less(t) {
		n--
	}
	return n
}

// checkLogs: I10 and I21.
func (w *world) checkLogs(more bool) {
	for _, k := range w.looks {
		if !k.known || k.f.Out || !more && !k.rebased && k.f.Completed <= k.agrees {
			continue
		}
		have := w.agree(k)
		// A log that went back for a repair still knows what was completed.
		if w.tells && k.up && min(k.f.Completed, len(k.f.Log)) > have {
			if have < len(w.completed) && have < len(k.f.Log) {
				w.fail("I21", "%s takes %d entries for completed, and entry %d there is %s, while %s completed %s", k.id, k.f.Completed, have+1, k.f.Log[have], w.completed[have].by, w.completed[have].entry)
			} else {
				w.fail("I21", "%s takes %d entries for completed, and only %d are", k.id, k.f.Completed, len(w.completed))
			}
		}
		n := len(k.f.Log)
		if n == 0 || k.f.Floor {
			continue
		}
		if need := w.below(k.f.Log[n-1].Term); have < need {
			c := w.completed[have]
			w.fail("I10", "the log of %s ends in term %s without entry %d (%s), which %s completed", k.id, k.f.Log[n-1].Term, have+1, c.entry, c.by)
		}
	}
}
