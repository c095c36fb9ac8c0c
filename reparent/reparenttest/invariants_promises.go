package reparenttest

import (
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// checkPromise: I6 and I15, from the disk.
func (w *world) checkPromise(k *look, old Facts) {
	switch {
	case k.f.Promised.Less(k.testified):
		w.fail("I15", "%s answered that it promised %s, and its disk, which had %s, now says %s: whoever counted it as blocked is wrong", k.id, k.testified, old.Promised, k.f.Promised)
	case k.f.Promised.Less(old.Promised):
		w.fail("I6", "the promise of %s on disk fell from %s to %s", k.id, old.Promised, k.f.Promised)
	}
}

// sawTestimony: I6 in what nodes answer, I13 and I16 in what they say of
// their logs.
func (w *world) sawTestimony(k *look, e Event) {
	t := e.Testimony
	if t == nil || t.Kind == leadership.Refused {
		return
	}
	if !k.known && t.Incarnation != k.incarnation {
		k.incarnation, k.testified, k.demoted = t.Incarnation, leadership.Term{}, leadership.Term{}
	}
	if t.Kind != leadership.Statement {
		w.promised[t.Term] = true
		switch {
		case t.Term.Less(k.testified) && (!k.known || k.f.Promised.Less(k.testified)):
			w.fail("I6", "%s answered that it promised %s, and later that it promised only %s", k.id, k.testified, t.Term)
		case k.known && k.f.Promised.Less(t.Term):
			w.fail("I6", "%s answers that it promised %s, and its disk says %s", k.id, t.Term, k.f.Promised)
		}
		k.testified = leadership.MaxTerm(k.testified, t.Term)
		if e.Kind == SteppedDown {
			k.demoted = leadership.MaxTerm(k.demoted, t.Term)
		}
	}
	if t.Read == nil {
		return
	}
	if k.own.term != t.Term {
		k.own.term, k.own.reads = t.Term, nil
	}
	k.own.reads = append(k.own.reads, *t.Read)
	if k.known {
		w.checkRead(k, t)
	}
}

// checkRead compares what a node says of its log with the log, as long as
// nothing of the new term is in it.
func (w *world) checkRead(k *look, t *leadership.Testimony) {
	if n := len(k.f.Log); w.blind || n > 0 && !k.f.Log[n-1].Term.Less(t.Term) || t.Term != k.f.Promised {
		return
	}
	if k.below() && !t.BelowFloor {
		w.fail("I16", "%s testifies for %s as if its log were whole, and the log is below what it once accepted", k.id, t.Term)
		return
	}
	if pos := positionOf(k.f.Log); t.Read.Rank(pos) == leadership.Behind {
		w.fail("I13", "%s testifies for %s that its log ends at %s, and it ends at %s: the log was read before the node was blocked", k.id, t.Term, t.Read, pos)
	}
}

// peeked takes in a reading of a node that has promised nothing.
func (w *world) peeked(t leadership.Testimony) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sawHeard(t)
}

// sawHeard remembers what coordinators know of logs, for I13.
func (w *world) sawHeard(t leadership.Testimony) {
	i := w.index(t.Node)
	if i < 0 || t.Kind == leadership.Refused || t.Read == nil || t.BelowFloor {
		return
	}
	m := w.readings[t.Term]
	if m == nil {
		m = make([][]leadership.Position, len(w.ids))
		w.readings[t.Term] = m
	}
	// Of several readings of one node the coordinator may have used any.
	if !slices.ContainsFunc(m[i], func(old leadership.Position) bool { return t.Read.Rank(old) == leadership.Same }) {
		m[i] = append(m[i], *t.Read)
	}
}

// sawAccepted: I8. The promise of the step before counts, because a node may
// promise more after it accepted, in one step.
func (w *world) sawAccepted(k *look, e Event) {
	if k.known && e.Leadership.Term.Less(k.prior) {
		w.fail("I8", "%s acknowledges entries of %s, and had promised %s on disk before", k.id, e.Leadership, k.prior)
	}
}

// sawReleased: I15, of a block that was held.
func (w *world) sawReleased(k *look) {
	if k.known && !k.f.Out && k.f.Promised.Less(k.isolated) {
		w.fail("I15", "%s is let go, was isolated for %s, and has promised only %s", k.id, k.isolated, k.f.Promised)
	}
	k.isolated, w.moved = leadership.Term{}, true
}

// sawLeaseRead: I18.
func (w *world) sawLeaseRead(k *look, e Event) {
	for _, g := range w.grants {
		if e.Leadership.Term.Less(g.Term) {
			w.fail("I18", "%s answers a read by its lease of %s after %s was granted", k.id, e.Leadership.Term, g)
		}
	}
}
