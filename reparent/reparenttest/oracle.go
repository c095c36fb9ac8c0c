package reparenttest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Violation is an invariant that did not hold.
type Violation struct {
	// Name is the invariant's, see Invariants.
	Name string
	// Says is what happened, in a sentence, with the nodes and terms.
	Says string
}

func (v *Violation) Error() string { return v.Name + ": " + v.Says }

// oracle is the ground truth of a run. Events reach it while one goroutine of
// the simulation runs, or several of one step; state is looked at when none
// does.
type oracle struct {
	w *World

	mu        sync.Mutex // guards all below
	err       error
	completed []completion
	grants    []leadership.Leadership
	installs  []install
	promised  map[leadership.Term]bool // by anyone, ever
	testified map[leadership.NodeID]leadership.Term
	last      map[leadership.NodeID]leadership.Term // durable promise at the last look
	demoted   map[leadership.NodeID]leadership.Term // stepped down by this term
	followed  map[accepted]bool                     // answered that they have the marker
	values    map[*stepsim.Proc]uint64
	answers   map[uint64]answer
	reads     []readOp
	clock     int // orders client operations by invocation and return
	reports   []*reparent.Report
	records   []leadership.Record
	reforms   bool // rulesets change in this run
	counts    map[string]int

	compiledRules map[rulesKey]*leadership.Rules // used at quiescent points only

	// For the picture of a failing run.
	show    bool
	began   time.Time
	moments []moment
	terms   letters
}

// accepted says that a node has the marker of a leadership.
type accepted struct {
	node leadership.NodeID
	l    leadership.Leadership
}

// completion is an entry that a leader completed.
type completion struct {
	entry Entry
	by    leadership.Leadership
}

type install struct {
	by     leadership.NodeID
	marker leadership.Marker
}

type answer uint8

const (
	pending answer = iota
	acknowledged
	refused
	unknown
)

func (o *oracle) init(w *World) {
	o.w = w
	o.promised = map[leadership.Term]bool{}
	o.testified = map[leadership.NodeID]leadership.Term{}
	o.last = map[leadership.NodeID]leadership.Term{}
	o.demoted = map[leadership.NodeID]leadership.Term{}
	o.followed = map[accepted]bool{}
	o.values = map[*stepsim.Proc]uint64{}
	o.answers = map[uint64]answer{}
	o.counts = map[string]int{}
	o.began = time.Now()
	o.compiledRules = map[rulesKey]*leadership.Rules{}
}

// fail keeps the first violation. Callers hold mu or run alone.
func (o *oracle) fail(name, format string, args ...any) {
	if o.err == nil {
		o.err = &Violation{Name: name, Says: fmt.Sprintf(format, args...)}
	}
}

// saw takes in an event.
func (w *World) saw(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[string(e.Kind)]++
	switch {
	case !w.show:
	case e.Testimony != nil:
		w.moment("%s %s %s", e.Node, e.Kind, w.terms.letter(e.Testimony.Term))
	case e.Kind == Completed:
		w.moment("%s completes entry %d (value %d of %s) under %s", e.Node, e.Index, e.Entry.Value, w.terms.letter(e.Entry.Term), w.terms.letter(e.Leadership.Term))
	default:
		w.moment("%s %s %s", e.Node, e.Kind, w.terms.letter(e.Leadership.Term))
	}
	switch e.Kind {
	case LostStorage:
		// What a new disk promises is another node's word.
		delete(w.testified, e.Node)
		delete(w.last, e.Node)
	case Promised, SteppedDown:
		w.sawTestimony(e)
	case Followed:
		w.followed[accepted{e.Node, e.Leadership}] = true
	case Installing:
		w.sawInstalling(e)
	case Granted:
		w.sawGranted(e)
	case Completed:
		w.sawCompleted(e)
	}
}

func (w *World) sawTestimony(e Event) {
	t := e.Testimony
	if t.Kind == leadership.Refused {
		return
	}
	w.promised[t.Term] = true
	if old := w.testified[e.Node]; t.Term.Less(old) {
		w.fail("I6", "%s answered that it promised %s, and later that it promised only %s", e.Node, old, t.Term)
	}
	w.testified[e.Node] = t.Term
	if f, ok := w.facts(e.Node); ok && f.Promised.Less(t.Term) {
		w.fail("I6", "%s answers that it promised %s, and its disk says %s", e.Node, t.Term, f.Promised)
	}
	if e.Kind == SteppedDown {
		w.demoted[e.Node] = leadership.MaxTerm(w.demoted[e.Node], t.Term)
	}
}

// sawInstalling checks what must hold when a marker is about to be written.
func (w *World) sawInstalling(e Event) {
	m := e.Marker
	w.installs = append(w.installs, install{e.Node, *m})
	for _, i := range w.installs {
		if i.marker.Term == m.Term && i.by != e.Node {
			w.fail("I7", "%s and %s both install a marker of term %s", i.by, e.Node, m.Term)
		}
	}
	f, ok := w.facts(e.Node)
	if !ok {
		return
	}
	for i, c := range w.completed {
		if c.by.Term.Less(m.Term) && (i >= len(f.Log) || !f.Log[i].same(c.entry)) {
			w.fail("I2", "%s installs %s without entry %d (term %s, value %d), which %s completed", e.Node, m.Term, i+1, c.entry.Term, c.entry.Value, c.by)
		}
	}
	// While rulesets change, which of them are in force is what the round
	// finds out; I1 and I2 then say whether it was right.
	if len(w.grants) == 0 || w.reforms {
		return
	}
	var blocked leadership.Set
	for i, id := range w.ids {
		if f, ok := w.facts(id); ok && (f.Out || m.Term.Compare(f.Promised) <= 0) {
			blocked = blocked.With(leadership.Member(i))
		}
	}
	if l, ok := w.rules.Could(w.rules.Leaders(), w.rules.Members().Minus(blocked)); ok {
		w.fail("I5", "%s installs the marker of %s while %s could still complete below it: nobody else has promised enough", e.Node, m.Term, w.rules.Cohort().Node(l).ID)
	}
}

func (w *World) sawGranted(e Event) {
	l := leadership.Leadership{Leader: e.Node, Term: e.Leadership.Term}
	for _, g := range w.grants {
		if g.Term == l.Term && g != l {
			w.fail("I7", "%s and %s are granted the same term", g, l)
		}
	}
	if m, at := w.markerOf(l); m == nil || !w.durable(l, m, at) {
		w.fail("I11", "%s is granted before its marker is on a durable set", l)
	}
	w.grants = append(w.grants, l)
}

// sawCompleted is told of each completion, in order of the leader's log.
func (w *World) sawCompleted(e Event) {
	i := e.Index - 1
	switch {
	case i < 0 || i > len(w.completed):
		w.fail("I4", "%s completes entry %d, and the one before it was never completed", e.Leadership, e.Index)
	case i < len(w.completed):
		if c := w.completed[i]; !c.entry.same(e.Entry) {
			w.fail("I3", "entry %d was completed as %d of term %s by %s, and as %d of term %s by %s", e.Index, c.entry.Value, c.entry.Term, c.by, e.Entry.Value, e.Entry.Term, e.Leadership)
		}
	default:
		w.completed = append(w.completed, completion{e.Entry, e.Leadership})
	}
	if by := w.demoted[e.Node]; e.Leadership.Term.Less(by) {
		w.fail("I19", "%s completes entry %d under %s after it answered that it stepped down for %s", e.Node, e.Index, e.Leadership.Term, by)
	}
}

// facts returns the durable state of a node, if it can be looked at.
func (w *World) facts(id leadership.NodeID) (Facts, bool) {
	if n := w.hosts[id].node; n.Inspect != nil {
		return n.Inspect.Facts(), true
	}
	return Facts{}, false
}

// markerOf finds the marker of a leadership in the leader's log.
func (w *World) markerOf(l leadership.Leadership) (*leadership.Marker, int) {
	f, ok := w.facts(l.Leader)
	if !ok {
		return nil, -1
	}
	at := markerAt(f.Log, l)
	if at < 0 {
		return nil, -1
	}
	return f.Log[at].Marker, at
}

func markerAt(log []Entry, l leadership.Leadership) int {
	return slices.IndexFunc(log, func(e Entry) bool { return e.Marker != nil && e.Marker.Leadership() == l })
}

// durable reports whether the marker is on a durable set under every ruleset
// that it names.
func (w *World) durable(l leadership.Leadership, m *leadership.Marker, _ int) bool {
	for _, rs := range append([]leadership.Ruleset{m.Ruleset}, m.Over...) {
		r, err := rs.Compile(w.h.Catalog)
		if err != nil {
			return false
		}
		var have leadership.Set
		for _, id := range w.ids {
			if k, ok := r.Cohort().Member(id); ok {
				// What was on a disk that is lost since had been made durable.
				if f, ok := w.facts(id); ok && (markerAt(f.Log, l) >= 0 || f.Out && w.followed[accepted{id, l}]) {
					have = have.With(k)
				}
			}
		}
		self, ok := r.Cohort().Member(l.Leader)
		if !ok || !r.Durable(self, have) {
			return false
		}
	}
	return true
}

// check runs at every quiescent point, when no goroutine of the run does.
func (w *World) check() error {
	if w.show {
		w.settle()
	}
	if w.err != nil {
		return w.err
	}
	var capable []leadership.Leadership
	for _, id := range w.ids {
		f, ok := w.facts(id)
		if !ok || f.Out {
			continue
		}
		if old := w.last[id]; f.Promised.Less(old) {
			return &Violation{"I6", fmt.Sprintf("the promise of %s fell from %s to %s", id, old, f.Promised)}
		}
		w.last[id] = f.Promised
		if l, ok := w.capable(id, f); ok {
			capable = append(capable, l)
		}
	}
	if len(capable) > 1 {
		return &Violation{"I1", fmt.Sprintf("%v are both capable of completing new requests", capable)}
	}
	return nil
}

// capable says whether a node could complete a new entry if all who would
// accept it got it. Nodes that are down count: they may come back.
func (w *World) capable(id leadership.NodeID, f Facts) (leadership.Leadership, bool) {
	l := leadership.Leadership{Leader: id, Term: f.Leads}
	if !w.hosts[id].proc.Up() || w.hosts[id].proc.Isolated || f.Out || f.Leads.IsZero() || f.Leads != f.Promised || len(f.Rulesets) == 0 {
		return l, false
	}
	for _, rs := range f.Rulesets {
		r := w.compiled(rs)
		if r == nil {
			return l, false
		}
		self, ok := r.Cohort().Member(id)
		if !ok {
			return l, false
		}
		have := leadership.SetOf(self)
		for _, o := range w.ids {
			of, ok := w.facts(o)
			accepts := of.Promised.Less(l.Term) || of.Promised == l.Term && (of.Source == l || of.Source.IsZero())
			if m, in := r.Cohort().Member(o); ok && in && o != id && accepts && !of.Out {
				have = have.With(m)
			}
		}
		if !r.Durable(self, have) {
			return l, false
		}
	}
	return l, true
}

// compiled remembers what it compiled: rulesets of one run differ in nothing
// but policy and members.
func (w *World) compiled(rs leadership.Ruleset) *leadership.Rules {
	key := rulesKey{rs.Policy, len(rs.Members)}
	r, ok := w.compiledRules[key]
	if !ok {
		r, _ = rs.Compile(w.h.Catalog)
		w.compiledRules[key] = r
	}
	return r
}

type rulesKey struct {
	policy string
	n      int
}

// recorded takes in what the registry accepted.
func (w *World) recorded(r leadership.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.records); n > 0 {
		old := w.records[n-1]
		switch {
		case r.Routed.Term.Less(old.Routed.Term):
			w.fail("I17", "the record's routed term fell from %s to %s", old.Routed.Term, r.Routed.Term)
		case r.Active.Term.Less(old.Active.Term):
			w.fail("I17", "the record's active term fell from %s to %s", old.Active.Term, r.Active.Term)
		case r.Fence.Less(old.Fence):
			w.fail("I17", "the record's fence fell from %s to %s", old.Fence, r.Fence)
		}
	}
	w.records = append(w.records, r)
}
