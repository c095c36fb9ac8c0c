package reparenttest

import (
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// install is a leadership whose marker was about to be written, or was.
type install struct {
	by     *look
	marker leadership.Marker
	// base is the log before the marker, when the node can be looked at.
	base  []Entry
	known bool
	rules []*rules // of the marker: Ruleset, then Over
}

// sawInstalled takes an answer for the installation of a node that does not
// tell of it.
func (w *world) sawInstalled(k *look, e Event) {
	for _, i := range w.installs {
		if i.by == k && i.marker.Term == e.Marker.Term {
			return
		}
	}
	w.sawInstalling(k, e)
}

// sawInstalling judges a leadership at the moment from which it may exist.
func (w *world) sawInstalling(k *look, e Event) {
	in := &install{by: k, marker: *e.Marker, known: k.known, base: k.f.Log}
	m := &in.marker
	if at := markerAt(in.base, m.Leadership()); at >= 0 {
		in.base = in.base[:at]
	}
	for _, rs := range append([]leadership.Ruleset{m.Ruleset}, m.Over...) {
		if r := w.compiled(rs); r != nil {
			in.rules = append(in.rules, r)
		}
	}
	w.checkOnePerTerm(in)
	if in.known {
		w.checkLoss(in)
		if k.below() {
			w.fail("I16", "%s is installed as %s, and its log is below what it once accepted", k.id, m.Leadership())
		}
		w.checkRevoked(in)
		w.checkSelection(in)
		w.checkRulesets(in)
	}
	w.installs = append(w.installs, in)
}

// checkOnePerTerm: I7.
func (w *world) checkOnePerTerm(in *install) {
	for _, o := range w.installs {
		if o.marker.Term != in.marker.Term {
			continue
		}
		switch {
		case o.by != in.by:
			w.fail("I7", "%s and %s both install a marker of term %s", o.by.id, in.by.id, in.marker.Term)
		case !o.marker.Equal(in.marker):
			w.fail("I7", "%s installs two markers of term %s with different rulesets", in.by.id, in.marker.Term)
		case o.known && in.known && positionOf(o.base).Rank(positionOf(in.base)) != leadership.Same && !w.prolonged(o, in):
			w.fail("I7", "%s installs the marker of term %s on two logs, one at %s and one at %s", in.by.id, in.marker.Term, positionOf(o.base), positionOf(in.base))
		}
	}
}

// prolonged reports whether one installation was begun again on a longer log: its
// marker was not written the first time, and another attempt had the node catch up
// in between. That adds what a leader has, and takes nothing away.
func (w *world) prolonged(o, in *install) bool {
	t := in.marker.Term
	return in.by.copiedBesides(t) && positionOf(in.base).Extends(positionOf(o.base)) && w.holders[place{len(o.base), t}] == 0
}

// checkLoss: I2. It is about what was completed under lower terms. What a late
// grant of a lower term lacks of newer completions is harmless.
func (w *world) checkLoss(in *install) {
	have := w.agree(in.by)
	if need := w.below(in.marker.Term); have < need {
		c := w.completed[have]
		w.fail("I2", "%s installs %s without entry %d (%s), which %s completed", in.by.id, in.marker.Term, have+1, c.entry, c.by)
	}
}

// checkRevoked: I5. While rulesets change, which of them are in force is what
// the round found out: then every leadership that was installed before is
// asked for.
func (w *world) checkRevoked(in *install) {
	if len(w.grants) == 0 {
		return
	}
	var blocked uint64
	for _, k := range w.looks {
		if k.known && (k.f.Out || !k.f.Promised.Less(in.marker.Term)) || w.heldBack(k.id) || w.gone&(1<<k.index) != 0 {
			blocked |= 1 << k.index
		}
	}
	free := (uint64(1)<<len(w.looks) - 1) &^ blocked
	if known := w.shortcut(); known != nil {
		// Nothing but the recorded leadership can complete anything.
		for _, o := range w.installs {
			if o.marker.Leadership() == *known && o.marker.Term.Less(in.marker.Term) {
				w.checkDead(in, o)
			}
		}
		return
	}
	if !w.reforms && !w.reformed.Load() {
		r := w.compiled(w.ruleset)
		if l, ok := r.Could(r.Leaders(), r.set(free)); ok {
			w.fail("I5", "%s installs the marker of %s while %s could still complete below it with %v: nobody else has promised enough", in.by.id, in.marker.Term, r.Cohort().Node(l).ID, r.Cohort().Names(r.set(free)))
		}
		return
	}
	for _, o := range w.installs {
		if o.marker.Term.Less(in.marker.Term) {
			w.checkDead(in, o)
		}
	}
}

// checkDead: an older leadership has no durable set left among the nodes that
// may still accept from it, under the rulesets that it must keep. Which those
// are does not depend on the new leader: who left the cohort promised something
// between the two terms, and is asked for no more.
func (w *world) checkDead(in, o *install) {
	if len(o.rules) == 0 || w.unrecorded(o) {
		return
	}
	var free uint64
	for _, k := range w.looks {
		if k.known && (k.f.Out || o.marker.Term.Less(k.f.Promised)) || w.heldBack(k.id) || w.gone&(1<<k.index) != 0 {
			continue
		}
		free |= 1 << k.index
	}
	must := o.rules
	if w.markerDurable(o) {
		must = must[:1] // it may have completed its marker by now
	}
	for _, r := range must {
		if !r.durable(o.by.index, free) {
			return
		}
	}
	w.fail("I5", "%s installs the marker of %s while %s could still complete below it with %v", in.by.id, in.marker.Term, o.marker.Leadership(), must[0].Cohort().Names(must[0].set(free)))
}

// markerDurable reports whether the marker has ever been on a durable set under
// every ruleset that it names.
func (w *world) markerDurable(in *install) bool {
	if !in.known {
		return true
	}
	have := w.holders[place{len(in.base), in.marker.Term}]
	for _, r := range in.rules {
		if !r.durable(in.by.index, have) {
			return false
		}
	}
	return true
}

// checkSelection: I13. A coordinator may have heard more than it used, so what
// is asked is that those whose log the selected one reaches are enough.
func (w *world) checkSelection(in *install) {
	if len(w.grants) == 0 || w.blind {
		return
	}
	base := positionOf(in.base)
	heard := w.readings[in.marker.Term]
	// A log may be longer than what was read of it when another attempt had the
	// node catch up since: that adds what a leader has, and takes nothing away.
	longer := in.by.copiedBesides(in.marker.Term)
	var read uint64
	reported := false
	for i, ps := range heard {
		for _, p := range ps {
			switch o := p.Rank(base); o {
			case leadership.Same, leadership.Behind:
				read |= 1 << i
				reported = reported || o == leadership.Same || longer && base.Extends(p)
				if o == leadership.Behind && i == in.by.index {
					w.count("the candidate was not the most advanced")
				}
			}
		}
	}
	if len(heard) == 0 {
		return // by means of its own
	}
	if w.relayed[in.marker.Term] {
		// What it says of itself it tells nobody before, and a node that takes no
		// notes does not even say it here.
		read |= 1 << in.by.index
		reported = reported || in.by.own.term != in.marker.Term || slices.ContainsFunc(in.by.own.reads, func(p leadership.Position) bool {
			return p.Rank(base) == leadership.Same || longer && base.Extends(p)
		})
	}
	if !reported {
		w.fail("I13", "%s installs %s on a log at %s, which no node of that attempt reported", in.by.id, in.marker.Term, base)
		return
	}
	if w.reforms || w.reformed.Load() {
		return
	}
	r := w.compiled(w.ruleset)
	leaders := r.Leaders()
	if known := w.shortcut(); known != nil {
		m, ok := r.Cohort().Member(known.Leader)
		if !ok || in.marker.Term.Less(known.Term) {
			return // too late: it can be neither activated nor granted
		}
		leaders = leadership.SetOf(m)
	}
	for _, k := range w.looks {
		if w.heldBack(k.id) {
			return // read by other means
		}
	}
	rest := r.Members().Minus(r.set(read | w.gone))
	if l, ok := r.Could(leaders, rest); ok {
		w.fail("I13", "%s installs %s on a log at %s, and %s may have completed more, seen only by %v", in.by.id, in.marker.Term, base, r.Cohort().Node(l).ID, r.Cohort().Names(rest))
	}
}

// copying notes that an attempt has a node catch up.
func (w *world) copying(id leadership.NodeID, t leadership.Term) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k := w.look(id); k.copied == nil {
		k.copied = map[leadership.Term]bool{t: true}
	} else {
		k.copied[t] = true
	}
}

// copiedBesides reports whether any other attempt had the node catch up.
func (k *look) copiedBesides(t leadership.Term) bool {
	return len(k.copied) > 1 || len(k.copied) == 1 && !k.copied[t]
}

// checkRulesets: I14. The last marker of the selected log says what is in
// force, and when nobody completed it, what was in force before it as well, unless
// its ruleset was completed with an earlier marker: it may be that only who wrote
// it did not know.
func (w *world) checkRulesets(in *install) {
	at := len(in.base) - 1
	for at >= 0 && in.base[at].Marker == nil {
		at--
	}
	if at < 0 {
		return
	}
	last := in.base[at].Marker
	need := []leadership.Ruleset{last.Ruleset}
	decided := slices.ContainsFunc(in.base[:min(at, len(w.completed))], func(e Entry) bool {
		return e.Marker != nil && e.Marker.Ruleset.Equal(last.Ruleset)
	})
	if at >= len(w.completed) && w.tells && !decided {
		need = append(need, last.Over...)
	}
	for _, rs := range need {
		r := w.compiled(rs)
		if waived := slices.ContainsFunc(in.marker.Waived, rs.Equal); !waived && !slices.Contains(in.rules, r) {
			w.fail("I14", "%s installs %s under %s, and the log it is installed with may still be ruled by %s", in.by.id, in.marker.Term, rulesNames(in.marker), rs.Policy)
		}
	}
}

func rulesNames(m leadership.Marker) (s string) {
	s = m.Ruleset.Policy
	for _, o := range m.Over {
		s += " over " + o.Policy
	}
	return s
}

// sawGranted: I7 and I11.
func (w *world) sawGranted(k *look, e Event) {
	l := leadership.Leadership{Leader: k.id, Term: e.Leadership.Term}
	for _, g := range w.grants {
		if g.Term == l.Term && g != l {
			w.fail("I7", "%s and %s are granted the same term", g, l)
		}
		if g == l {
			return
		}
	}
	for _, in := range w.installs {
		if in.marker.Leadership() == l && !w.markerDurable(in) {
			w.fail("I11", "%s is granted before its marker is on a durable set: only %v have it", l, w.names(w.holders[place{len(in.base), l.Term}]))
		}
	}
	w.grants = append(w.grants, l)
}

func (w *world) names(nodes uint64) (out []leadership.NodeID) {
	for i, id := range w.ids {
		if nodes&(1<<i) != 0 {
			out = append(out, id)
		}
	}
	return out
}

// markerAt finds the marker of a leadership in a log, -1 for none.
func markerAt(log []Entry, l leadership.Leadership) int {
	return slices.IndexFunc(log, func(e Entry) bool { return e.Marker != nil && e.Marker.Leadership() == l })
}
