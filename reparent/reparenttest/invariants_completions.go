package reparenttest

import (
	"fmt"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// completion is an entry that a leader completed; of several the one of the
// lowest term.
type completion struct {
	entry Entry
	by    leadership.Leadership
}

// sawCompleted is told of each completion, in order of the leader's log.
func (w *world) sawCompleted(k *look, e Event) {
	w.tells = true
	if e.Leadership.Term.Less(k.demoted) {
		w.fail("I19", "%s completes entry %d under %s after it answered that it stepped down for %s", k.id, e.Index, e.Leadership.Term, k.demoted)
	}
	if !w.checkOrder(e) {
		return
	}
	w.checkLate(e)
	w.checkDurable(k, e)
	if v := e.Entry.Value; v != 0 {
		w.checkUnrefused(v, e)
	}
}

// checkOrder: I3 and I4.
func (w *world) checkOrder(e Event) bool {
	i := e.Index - 1
	switch {
	case i < 0 || i > len(w.completed):
		w.fail("I4", "%s completes entry %d, and the one before it was never completed", e.Leadership, e.Index)
		return false
	case i == len(w.completed):
		w.completed = append(w.completed, completion{e.Entry, e.Leadership})
		if v := e.Entry.Value; v != 0 {
			if at, twice := w.at[v]; twice {
				w.fail("I4", "%s completes value %d as entry %d, and it was completed as entry %d", e.Leadership, v, e.Index, at)
			}
			w.at[v] = e.Index
		}
		return true
	}
	c := &w.completed[i]
	if !c.entry.same(e.Entry) {
		w.fail("I3", "%s completed entry %d as %s, and %s as %s", c.by, e.Index, c.entry, e.Leadership, e.Entry)
		return false
	}
	if e.Leadership.Term.Less(c.by.Term) {
		c.by = e.Leadership
	}
	return true
}

// checkLate: I1b. Completing late what was durable before the block is right:
// the successor has it.
func (w *world) checkLate(e Event) {
	i := e.Index - 1
	for _, in := range w.installs {
		if !in.known || !e.Leadership.Term.Less(in.marker.Term) {
			continue
		}
		w.count("completed late, by a leader that was replaced")
		if i >= len(in.base) || !in.base[i].same(e.Entry) {
			w.fail("I1b", "%s completes entry %d (%s) after %s was installed on a log without it", e.Leadership, e.Index, e.Entry, in.marker.Leadership())
			return
		}
	}
}

// checkDurable: I11, I20 and I22. An acknowledgement may be under way longer
// than its node kept the entry, so what counts is who ever had it.
func (w *world) checkDurable(k *look, e Event) {
	var in *install
	for _, o := range w.installs {
		if o.by == k && o.known && o.marker.Term == e.Leadership.Term {
			in = o
		}
	}
	if in == nil || len(in.rules) == 0 {
		return
	}
	i, marker := e.Index-1, len(in.base)
	if i <= marker && !w.markerDurable(in) {
		w.fail("I11", "%s completes entry %d (%s), and its marker, entry %d, is only on %v", e.Leadership, e.Index, e.Entry, marker+1, w.names(w.holders[place{marker, e.Leadership.Term}]))
		return
	}
	have := w.holders[place{i, e.Entry.Term}]
	must := in.rules
	if i > marker {
		must = must[:1]
	}
	for _, r := range must {
		if r.durable(k.index, have) {
			continue
		}
		name := "I22"
		for n, m := range r.members {
			if m < 0 && have&(1<<n) != 0 {
				name = "I20"
			}
		}
		w.fail(name, "%s completes entry %d (%s) under %s, and only %v ever had it", e.Leadership, e.Index, e.Entry, r.Ruleset.Policy, w.names(have))
		return
	}
}

// String returns "value 7 of term 3.c1".
func (e Entry) String() string {
	if e.Marker != nil {
		return fmt.Sprintf("the marker of %s", e.Marker.Leadership())
	}
	return fmt.Sprintf("value %d of term %s", e.Value, e.Term)
}

func utoa(v uint64) string { return strconv.FormatUint(v, 10) }
