package reparenttest

import "github.com/tenure-go/tenure/leadership"

// recorded puts down what the registry accepted.
func (w *world) recorded(r leadership.Record) {
	w.mu.Lock()
	w.swapped = append(w.swapped, r)
	w.mu.Unlock()
}

// sawRecord: I17, and of I7 and I15 what the record shows.
func (w *world) sawRecord(r leadership.Record) {
	if r.Fence.Less(r.Active.Term) || r.Active.Term.Less(r.Routed.Term) {
		w.fail("I17", "version %d of the record has routed term %s, active term %s and fence %s: they must not fall in this order", r.Version, r.Routed.Term, r.Active.Term, r.Fence)
	}
	if n := len(w.records); n > 0 {
		w.sawMembers(w.records[n-1].Ruleset, r.Ruleset)
		w.checkSuccessor(w.records[n-1], r)
	}
	for _, old := range w.records {
		if old.Active.Term == r.Active.Term && old.Active.Leader != r.Active.Leader {
			w.fail("I7", "the record has %s as active, and had %s of the same term", r.Active, old.Active)
		}
	}
	w.records = append(w.records, r)
}

func (w *world) checkSuccessor(old, r leadership.Record) {
	switch {
	case r.Version <= old.Version:
		w.fail("I17", "the registry accepted two writes as version %d: one of them is lost", r.Version)
	case r.Routed.Term.Less(old.Routed.Term):
		w.fail("I17", "the record's routed term fell from %s to %s", old.Routed.Term, r.Routed.Term)
	case r.Active.Term.Less(old.Active.Term):
		w.fail("I17", "the record's active term fell from %s to %s", old.Active.Term, r.Active.Term)
	case r.Fence.Less(old.Fence):
		w.fail("I17", "the record's fence fell from %s to %s", old.Fence, r.Fence)
	}
	for _, h := range old.Held {
		if k := w.look(h.Node); k != nil && k.known && !k.f.Out && !isHeld(r, h.Node) && k.f.Promised.Less(h.Term) {
			w.fail("I15", "%s is let go, was isolated for %s, and has promised only %s", h.Node, h.Term, k.f.Promised)
		}
	}
}

func isHeld(r leadership.Record, id leadership.NodeID) bool {
	for _, h := range r.Held {
		if h.Node == id {
			return true
		}
	}
	return false
}

// record returns the newest record, zero before the first.
func (w *world) record() leadership.Record {
	if n := len(w.records); n > 0 {
		return w.records[n-1]
	}
	return leadership.Record{}
}

// shortcut returns the recorded leadership when the cluster lets changes block
// it alone, else nil.
func (w *world) shortcut() *leadership.Leadership {
	if r := w.record(); r.Mode == leadership.Shortcut {
		return &r.Active
	}
	return nil
}

// unrecorded reports whether the record rules out that an installed leadership is
// ever granted: it took the place of a ruleset by a person's word, which needs the
// record, and was overtaken there.
func (w *world) unrecorded(in *install) bool {
	r := w.record()
	return len(in.marker.Waived) > 0 && r.Active != in.marker.Leadership() && in.marker.Term.Less(r.Fence)
}

// heldBack reports whether a node is kept from everything by other means than
// its promise: it is isolated, or was declared gone.
func (w *world) heldBack(id leadership.NodeID) bool {
	if w.hosts[id].proc.Isolated {
		return true
	}
	r := w.record()
	for _, b := range r.Barred {
		if b.Node == id {
			return true
		}
	}
	return isHeld(r, id)
}

// loading notes the beginning of a load and returns what judges its answer:
// I17, a record that was accepted before must be seen.
func (w *world) loading() func(leadership.Record, error) {
	began := w.now.Load()
	w.mu.Lock()
	var must uint64
	for _, s := range w.saved {
		if s.at < began {
			must = max(must, s.version)
		}
	}
	w.mu.Unlock()
	return func(r leadership.Record, err error) {
		if err != nil || r.Version >= must {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fail("I17", "the registry returned version %d of the record after it had accepted version %d", r.Version, must)
	}
}

// saved is a version that a coordinator was told is in the registry.
type saved struct {
	version uint64
	at      int64
}

// wrote notes that a coordinator was told of a version.
func (w *world) wrote(version uint64) {
	w.mu.Lock()
	w.saved = append(w.saved, saved{version, w.now.Load()})
	w.mu.Unlock()
}
