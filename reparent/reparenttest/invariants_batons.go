package reparenttest

import (
	"errors"
	"slices"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// baton is one at the leader that it was given to.
type baton struct {
	at   leadership.NodeID
	term leadership.Term
	// declined: with a proof that the leader leads on. That is judged when all that
	// happens in the step has.
	declined bool
}

// handsOver notes that a leader was given a baton, and returns what notes its
// answer.
func (w *world) handsOver(id leadership.NodeID, t leadership.Term) func(error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.ContainsFunc(w.batons, func(b baton) bool { return b.at == id && b.term != t }) {
		w.counts["two batons at one leader"]++
	}
	w.batons = append(w.batons, baton{at: id, term: t})
	return func(err error) {
		var stale *leadership.StaleTermError
		var bad *handover.BatonError
		declined := err != nil && leadership.NotExecuted(err) && !errors.As(err, &stale) && !errors.As(err, &bad)
		w.mu.Lock()
		defer w.mu.Unlock()
		if i := slices.Index(w.batons, baton{at: id, term: t}); declined {
			w.batons[i].declined = true
		} else {
			w.batons = slices.Delete(w.batons, i, i+1)
		}
	}
}

// checkDeclined: G9, of leaders that decline a baton. A proof that it leads on
// has a coordinator leave it alone, and go: one that steps down for another baton,
// or has, does not lead on.
func (w *world) checkDeclined() {
	w.mu.Lock()
	defer w.mu.Unlock()
	declined := func(b baton) bool { return b.declined }
	if !slices.ContainsFunc(w.batons, declined) {
		return
	}
	for _, b := range w.batons {
		k := w.look(b.at)
		switch i := slices.IndexFunc(w.batons, func(o baton) bool { return o.at == b.at && o.term != b.term && !o.declined }); {
		case !b.declined:
		case i >= 0:
			w.fail("G9", "%s proved to who gave it the baton of %s that it leads on, and is handing over under %s", b.at, b.term, w.batons[i].term)
		case k.up && k.known && k.f.Leads.IsZero():
			w.fail("G9", "%s proved to who gave it the baton of %s that it leads on, and does not lead", b.at, b.term)
		}
	}
	w.batons = slices.DeleteFunc(w.batons, declined)
}
