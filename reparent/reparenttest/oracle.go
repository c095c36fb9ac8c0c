package reparenttest

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// oracle is the ground truth of a run. What happens in a step is only put down
// by the goroutines that do it; all judging is done at the quiescent point that
// follows, when none of them runs, in an order that does not depend on which of
// them was first.
type oracle struct {
	w   *world
	now atomic.Int64 // the number of quiescent points so far: the time of histories

	mu      sync.Mutex // guards what goroutines of the run write: all down to the blank line
	err     error
	inbox   []Event
	swapped []leadership.Record
	heard   []leadership.Testimony // as coordinators got them
	told    []reply
	saved   []saved
	values  map[*stepsim.Proc]uint64
	ops     []*op
	reports []*reparent.Report
	counts  map[string]int

	// Used at quiescent points only.
	judged        []Event                // scratch: the inbox to come
	learnt        []leadership.Testimony // scratch: the heard to come
	looks         []*look
	lastTime      time.Time
	installs      []*install
	grants        []leadership.Leadership
	completed     []completion
	at            map[uint64]int // where a value was completed, from 1
	answers       map[uint64]class
	holders       map[place]uint64
	placed        map[place]placed
	readings      map[leadership.Term][][]leadership.Position // by node
	relayed       map[leadership.Term]bool                    // whose successor took over by itself; written under mu
	promised      map[leadership.Term]bool                    // by anyone, ever
	records       []leadership.Record
	blind         bool        // positions are not places in Facts.Log
	tells         bool        // nodes tell of completions
	moved         bool        // a node was isolated or let go in this step
	asleep        bool        // messages are held until the leader is replaced
	reforms       bool        // rulesets may change in this run
	reformed      atomic.Bool // or somebody asked for that; checks read it beside coordinators
	excused       map[string]bool
	gone          uint64 // by a person's word, which is true
	compiledRules []*rules

	// For the picture of a failing run.
	show    bool
	began   time.Time
	moments []moment
	terms   letters
}

// reply is an answer to a client.
type reply struct {
	value uint64
	class class
}

// look is what was last seen of a node.
type look struct {
	id    leadership.NodeID
	index int
	host  *Host

	known bool // the node can be looked at
	up    bool
	seen  uint64 // digest of all that had reached the process
	f     Facts
	// prior is the durable promise at the quiescent point before this one.
	prior leadership.Term
	// agrees is how many leading entries are those that were completed.
	agrees    int
	rebased   bool // the log changed since the last look
	testified leadership.Term
	demoted   leadership.Term
	// own is what it said of its log under its latest promise, whoever heard it.
	own struct {
		term  leadership.Term
		reads []leadership.Position
	}
	// incarnation is that of the storage that all this is about.
	incarnation string
	isolated    leadership.Term          // by a revocation of this term
	copied      map[leadership.Term]bool // attempts that had it catch up
	// whole is where the log ended when the node noted a floor.
	whole leadership.Position
}

// below reports whether the log is behind what it once was. A floor alone does
// not say so: nothing may have been discarded yet, or all may be back.
func (k *look) below() bool {
	return k.f.Floor && positionOf(k.f.Log).Rank(k.whole) == leadership.Behind
}

func (o *oracle) init(w *world) {
	o.w = w
	o.values = map[*stepsim.Proc]uint64{}
	o.counts = map[string]int{}
	o.at = map[uint64]int{}
	o.answers = map[uint64]class{}
	o.holders = map[place]uint64{}
	o.placed = map[place]placed{}
	o.readings = map[leadership.Term][][]leadership.Position{}
	o.relayed = map[leadership.Term]bool{}
	o.promised = map[leadership.Term]bool{}
	o.began = time.Now()
}

// fail keeps the first violation. Callers hold mu or run alone.
func (o *oracle) fail(name, format string, args ...any) {
	if o.err == nil && !o.excused[name] {
		o.err = violation(name, format, args...)
	}
}

// excuse switches checks off that a run breaks on purpose, with a waiver for
// instance.
func (o *oracle) excuse(names ...string) {
	if o.excused == nil {
		o.excused = map[string]bool{}
	}
	for _, n := range names {
		o.excused[n] = true
	}
}

// saw puts an event down.
func (w *world) saw(e Event) {
	w.mu.Lock()
	w.inbox = append(w.inbox, e)
	w.mu.Unlock()
}

// count counts an interesting state, see sometimes. Any goroutine may call it.
func (w *world) count(what string) {
	w.mu.Lock()
	w.counts[what]++
	w.mu.Unlock()
}

// check runs at every quiescent point, when no goroutine of the run does. In a
// step in which nothing reached a node and no time passed nothing is looked at.
func (w *world) check() error {
	w.now.Add(1)
	if w.looks == nil {
		for i, id := range w.ids {
			w.looks = append(w.looks, &look{id: id, index: i, host: w.hosts[id]})
		}
	}
	// Timers may have changed any node when time passed.
	now := time.Now()
	all := now != w.lastTime
	w.lastTime = now
	changed := false
	for _, k := range w.looks {
		k.prior, k.rebased = k.f.Promised, false
		if digest := k.host.proc.Seen(); all || digest != k.seen || !k.known {
			k.seen = digest
			changed = w.refresh(k) || changed
		}
	}
	done := len(w.completed)
	w.moved = false
	w.checkDeclined()
	w.digest()
	changed = changed || w.moved
	if changed || done != len(w.completed) {
		w.checkLogs(done != len(w.completed))
	}
	if changed {
		w.checkCapable()
	}
	if w.asleep && len(w.grants) > 1 {
		w.asleep = false
		w.sim.Free()
	}
	if w.show {
		w.settle()
	}
	return w.err
}

// refresh looks at a node again and reports whether anything is different.
func (w *world) refresh(k *look) bool {
	up := k.host.proc.Up()
	if k.up && !up {
		w.sawCrash(k)
	}
	flipped := k.up != up
	k.up = up
	n := k.host.node
	if n.Inspect == nil {
		return false
	}
	old, was := k.f, k.known
	k.f, k.known = n.Inspect.Facts(), true
	if k.f.Out {
		// What it held it has no more, and it does nothing with what is left.
		k.agrees = 0
		return !old.Out || !was
	}
	if k.f.Incarnation != k.incarnation || old.Out {
		if k.f.Incarnation != k.incarnation {
			k.prior, k.testified, k.demoted, k.incarnation = leadership.Term{}, leadership.Term{}, leadership.Term{}, k.f.Incarnation
		}
		k.agrees, old = 0, Facts{}
	}
	if k.f.Floor && !old.Floor {
		k.whole = positionOf(old.Log)
	}
	w.checkPromise(k, old)
	if moved := len(old.Log) != len(k.f.Log) || len(k.f.Log) > 0 && &old.Log[0] != &k.f.Log[0]; moved {
		k.rebased = true
		w.diff(k, old)
	}
	return k.rebased || flipped || !was || old.Promised != k.f.Promised || old.Source != k.f.Source ||
		old.Leads != k.f.Leads || old.Completed != k.f.Completed || old.Floor != k.f.Floor || len(old.Rulesets) != len(k.f.Rulesets)
}

// digest judges what happened in the step.
func (w *world) digest() {
	w.mu.Lock()
	in, swapped, heard, told := w.inbox, w.swapped, w.heard, w.told
	w.inbox, w.swapped, w.heard, w.told = w.judged[:0], nil, w.learnt[:0], nil
	w.mu.Unlock()
	w.judged, w.learnt = in, heard
	defer clear(in)
	defer clear(heard)
	if len(in) == 0 && len(swapped) == 0 && len(heard) == 0 && len(told) == 0 {
		return
	}
	for _, t := range heard {
		w.sawHeard(t)
	}
	// Of one node in the order in which it told; nodes in their own.
	slices.SortStableFunc(in, func(a, b Event) int { return cmp.Compare(w.index(a.Node), w.index(b.Node)) })
	for _, e := range in {
		w.judge(e)
	}
	slices.SortFunc(swapped, func(a, b leadership.Record) int { return cmp.Compare(a.Version, b.Version) })
	for _, r := range swapped {
		w.sawRecord(r)
	}
	slices.SortFunc(told, func(a, b reply) int { return cmp.Compare(a.value, b.value) })
	for _, t := range told {
		w.sawAnswer(t)
	}
}

func (w *world) judge(e Event) {
	w.count(string(e.Kind))
	w.picturise(e)
	k := w.look(e.Node)
	if k == nil {
		return
	}
	switch e.Kind {
	case Promised, SteppedDown, ReadBack:
		w.sawTestimony(k, e)
	case Installing:
		w.sawInstalling(k, e)
	case Installed:
		if e.Marker != nil {
			w.sawInstalled(k, e)
		}
	case Followed:
		w.sawFollowed(k)
	case Granted:
		w.sawGranted(k, e)
	case Accepted:
		w.sawAccepted(k, e)
	case Completed:
		w.sawCompleted(k, e)
	case LeaseRead:
		w.sawLeaseRead(k, e)
	case Isolated:
		k.isolated, w.moved = leadership.MaxTerm(k.isolated, e.Leadership.Term), true
	case Released:
		w.sawReleased(k)
	}
}

// index is the number of a node, -1 for what is none.
func (w *world) index(id leadership.NodeID) int { return slices.Index(w.ids, id) }

// look returns what was last seen of a node.
func (w *world) look(id leadership.NodeID) *look {
	if i := w.index(id); i >= 0 && i < len(w.looks) {
		return w.looks[i]
	}
	return nil
}

// rules is a ruleset in use: compiled, and with the numbers of its members.
type rules struct {
	*leadership.Rules
	members []int // by node: the Member, or -1
}

// compiled remembers what it compiled. It returns nil for what cannot be.
func (w *world) compiled(rs leadership.Ruleset) *rules {
	for _, r := range w.compiledRules {
		if r.Ruleset.Policy == rs.Policy && slices.Equal(r.Ruleset.Members, rs.Members) {
			return r
		}
	}
	c, err := rs.Compile(w.h.Catalog)
	if err != nil {
		return nil
	}
	r := &rules{Rules: c}
	for _, id := range w.ids {
		m, ok := c.Cohort().Member(id)
		if !ok {
			r.members = append(r.members, -1)
			continue
		}
		r.members = append(r.members, int(m))
	}
	w.compiledRules = append(w.compiledRules, r)
	return r
}

// set translates a set of nodes, a bit each, into one of members.
func (r *rules) set(nodes uint64) (s leadership.Set) {
	for i, m := range r.members {
		if m >= 0 && nodes&(1<<i) != 0 {
			s = s.With(leadership.Member(m))
		}
	}
	return s
}

// durable reports whether what exactly these nodes have is durable under a
// leader.
func (r *rules) durable(leader int, nodes uint64) bool {
	m := r.members[leader]
	return m >= 0 && r.Durable(leadership.Member(m), r.set(nodes))
}
