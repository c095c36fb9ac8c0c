package reparenttest

import (
	"fmt"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// leads reports whether a node takes itself for a leader whom its own promise
// does not stop.
func (k *look) leads() bool {
	return k.known && k.up && !k.f.Out && !k.host.proc.Isolated && !k.f.Leads.IsZero() && !k.f.Leads.Less(k.f.Promised)
}

// checkCapable: I1.
func (w *world) checkCapable() {
	leading := 0
	for _, k := range w.looks {
		if k.leads() {
			leading++
		}
	}
	if leading < 2 {
		return
	}
	w.count("two nodes believed that they led")
	if len(w.capable()) < 2 {
		return
	}
	// A node may have changed by a timer of its own since it was looked at.
	for _, k := range w.looks {
		w.refresh(k)
	}
	if cs := w.capable(); len(cs) > 1 {
		w.fail("I1", "%s", strings.Join(cs, ", and "))
	}
}

// capable describes every leadership that could complete a new entry if all
// who would accept it got it.
func (w *world) capable() (out []string) {
	for _, k := range w.looks {
		if !k.leads() {
			continue
		}
		if by, ok := w.supported(k); ok {
			l := leadership.Leadership{Leader: k.id, Term: k.f.Leads}
			out = append(out, fmt.Sprintf("%s can complete new requests with %s", l, strings.Join(by, " ")))
		}
	}
	return out
}

// supported returns who would accept entries from a leader, if they suffice
// under every ruleset that it must keep. Nodes that are down count by what is
// on their disk: they may come back.
func (w *world) supported(k *look) (by []string, ok bool) {
	l := leadership.Leadership{Leader: k.id, Term: k.f.Leads}
	nodes := uint64(1) << k.index
	by = append(by, string(k.id))
	for _, o := range w.looks {
		if o == k || !o.known || o.f.Out {
			continue
		}
		if o.f.Promised.Less(l.Term) || o.f.Promised == l.Term && (o.f.Source == l || o.f.Source.IsZero()) {
			nodes |= 1 << o.index
			by = append(by, string(o.id))
		}
	}
	for _, rs := range w.mustKeep(k, l) {
		r := w.compiled(rs)
		if r == nil || !r.durable(k.index, nodes) {
			return nil, false
		}
	}
	return by, true
}

// mustKeep are the rulesets of a leader's next entry: as it says itself, else
// those of its marker, else the first of the cluster.
func (w *world) mustKeep(k *look, l leadership.Leadership) []leadership.Ruleset {
	if len(k.f.Rulesets) > 0 {
		return k.f.Rulesets
	}
	if at := markerAt(k.f.Log, l); at >= 0 {
		m := k.f.Log[at].Marker
		return append([]leadership.Ruleset{m.Ruleset}, m.Over...)
	}
	return []leadership.Ruleset{w.ruleset}
}
