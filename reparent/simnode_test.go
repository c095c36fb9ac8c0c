package reparent_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/revoke"
)

// traits are what a kind of node does differently.
type traits struct {
	slowRead bool // Promise blocks at once, Read waits until all is applied
	blocking bool // the marker's write waits until a follower has it
	repairs  bool // a conflicting tail needs a repair; nothing truncates it
	opens    bool // takes clients as soon as it is installed; gated until Grant
	restarts bool // a step-down stops the server and starts it again

	bugs bugs
}

var (
	logTraits     = traits{}
	mariadbTraits = traits{slowRead: true, blocking: true, repairs: true}
	pgTraits      = traits{repairs: true, opens: true, restarts: true}
)

// bugs are rules taken out of a node, for tests that must find them.
type bugs struct {
	volatilePromise bool // the promise does not survive a restart
	noTermCheck     bool // a follower takes entries of any term
	earlyRead       bool // the position is read before the block
	anyAck          bool // completes on one ack less than the policy
	lateRefusal     bool // answers "refused" for what is in its log
	falseAccept     bool // says that it has the marker before it has
}

type entry struct {
	Term   leadership.Term
	Val    int // 0 for a marker
	Marker *leadership.Marker
}

// memStore is the acceptor's disk.
type memStore struct {
	p    *proc
	n    *node
	rec  acceptor.State
	have bool
}

func (m *memStore) Load(context.Context) (acceptor.State, bool, error) { return m.rec, m.have, nil }

func (m *memStore) Save(ctx context.Context, st acceptor.State) error {
	return m.p.disk(ctx, "promise "+st.Promised.String(), func() {
		if m.n.bugs.volatilePromise && m.have {
			return
		}
		m.rec, m.have = st, true
		m.n.c.s.mu.Lock()
		m.n.c.promised[st.Promised] = true
		m.n.c.s.mu.Unlock()
	})
}

// node is a simulated member: the real acceptor over a simulated disk, and a
// log that its leader pushes.
type node struct {
	traits
	id    leadership.NodeID
	p     *proc
	c     *cluster
	store *memStore
	log   []entry // durable

	// Volatile.
	accepts   atomic.Pointer[acceptor.Acceptor]
	mu        sync.Mutex      // guards all below, for moments
	installed leadership.Term // which matched and rules are of
	matched   map[leadership.NodeID]int
	sending   map[leadership.NodeID]bool
	commit    int
	inflight  int
	drained   bool
	until     leadership.Term
	rules     []*leadership.Rules
	changed   chan struct{} // closed and replaced whenever the log or commit moves

	turn chan struct{} // serialises writers of the log
}

func (n *node) boot() {
	n.mu.Lock()
	n.matched, n.sending = map[leadership.NodeID]int{}, map[leadership.NodeID]bool{}
	n.commit, n.inflight, n.drained, n.rules, n.installed = 0, 0, false, nil, leadership.Term{}
	n.changed = make(chan struct{})
	n.turn = make(chan struct{}, 1)
	n.mu.Unlock()
	var last leadership.Term
	if len(n.log) > 0 {
		last = n.log[len(n.log)-1].Term
	}
	if n.bugs.volatilePromise {
		last = leadership.Term{}
	}
	var acc *acceptor.Acceptor
	var err error
	if n.store.have {
		// Open would write this itself; the scheduler, which restarts nodes,
		// cannot wait for a disk.
		if n.store.rec.Promised.Less(last) {
			n.store.rec.Promised, n.store.rec.Source = last, leadership.Leadership{}
		}
		acc, err = acceptor.Open(context.Background(), n.store, n.id, "disk-1", acceptor.Options{LogTerm: last})
	} else {
		n.store.rec, n.store.have = acceptor.State{Node: n.id, Incarnation: "disk-1"}, true
		acc, err = acceptor.Open(context.Background(), n.store, n.id, "disk-1", acceptor.Options{})
	}
	if err != nil {
		panic(fmt.Sprintf("boot of %s: %v", n.id, err))
	}
	n.accepts.Store(acc)
}

func (n *node) acc() *acceptor.Acceptor { return n.accepts.Load() }

func (n *node) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// await waits until ok, which runs under mu, holds.
func (n *node) await(ctx context.Context, ok func() bool) error {
	for {
		n.mu.Lock()
		if ok() {
			n.mu.Unlock()
			return nil
		}
		ch := n.changed
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ch:
		}
	}
}

// take gives the right to write the log, of this life of the node.
func (n *node) take(ctx context.Context) (give func(), err error) {
	n.mu.Lock()
	turn := n.turn
	n.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func position(log []entry) leadership.Position {
	if len(log) == 0 {
		return leadership.Position{}
	}
	p := leadership.LogPoint{Index: uint64(len(log))}
	for i, e := range log {
		if i == 0 || log[i-1].Term != e.Term {
			p.Eras = append(p.Eras, leadership.Era{Term: e.Term, First: uint64(i + 1)})
		}
	}
	return leadership.Position{Term: log[len(log)-1].Term, Point: p}
}

func (n *node) entries() []entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log)
}

func (n *node) sightings(log []entry, commit int) []leadership.Sighting {
	var ss []leadership.Sighting
	for i, e := range log {
		if e.Marker != nil {
			ss = append(ss, leadership.Sighting{Marker: *e.Marker, Decided: i < commit})
		}
	}
	return ss[max(0, len(ss)-2):]
}

func (n *node) read(context.Context) (acceptor.Reading, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return acceptor.Reading{Position: position(n.log), Markers: n.sightings(n.log, n.commit)}, nil
}

// write replaces the log from index at on, as one durable write under turn.
func (n *node) write(ctx context.Context, op string, at int, es []entry) error {
	return n.p.disk(ctx, fmt.Sprintf("%s at %d", op, at), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.log = append(n.log[:at:at], es...)
		n.wake()
	})
}

func (n *node) status(context.Context) (leadership.Status, error) {
	st := n.acc().Status()
	r, _ := n.read(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	return leadership.Status{
		Node: n.id, Incarnation: "disk-1", Promised: st.Promised, Leads: st.Leads, Source: st.Source,
		Position: r.Position, Markers: r.Markers, BelowFloor: !st.Floor.IsZero(), Draining: n.drained,
	}, nil
}

func (n *node) promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if n.bugs.earlyRead {
		old, _ := n.read(ctx)
		if err := n.p.disk(ctx, "think", func() {}); err != nil {
			return leadership.Testimony{}, err
		}
		got, err := n.acc().Recruit(ctx, t, nil)
		got.Read = &old.Position
		return got, err
	}
	if n.slowRead {
		return n.acc().Recruit(ctx, t, nil)
	}
	return n.acc().Recruit(ctx, t, n.quietRead)
}

// quietRead waits for the writer that had the log before the gate was shut.
func (n *node) quietRead(ctx context.Context) (acceptor.Reading, error) {
	give, err := n.take(ctx)
	if err != nil {
		return acceptor.Reading{}, err
	}
	defer give()
	return n.read(ctx)
}

func (n *node) readSlowly(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	select { // the relay log is being applied
	case <-time.After(7 * time.Millisecond):
	case <-ctx.Done():
		return leadership.Testimony{}, context.Cause(ctx)
	}
	return n.acc().Read(ctx, t, n.quietRead)
}

func (n *node) drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	st := n.acc().Status()
	if t.Less(st.Promised) {
		return revoke.Drained{}, &leadership.StaleTermError{Node: n.id, Asked: t, Promised: st.Promised}
	}
	n.mu.Lock()
	n.drained, n.until = true, t
	start := n.inflight
	n.mu.Unlock()
	dctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_ = n.await(dctx, func() bool { return n.inflight == 0 })
	n.mu.Lock()
	left := n.inflight
	n.mu.Unlock()
	// The node ends its drain by itself when no step-down follows.
	life := n.p.life
	n.p.s.wg.Add(1)
	go func() {
		defer n.p.s.wg.Done()
		select {
		case <-time.After(d + 200*time.Millisecond):
			n.mu.Lock()
			if n.until == t {
				n.drained = false
			}
			n.mu.Unlock()
		case <-life.Done():
		}
	}()
	return revoke.Drained{Finished: start - left, Survivors: left}, nil
}

func (n *node) stepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	got, err := n.acc().StepDown(ctx, t, n.quietRead)
	if err == nil && n.restarts {
		n.p.s.post("bounce|"+n.p.name, n.p, nil, func() {
			n.p.crash()
			n.p.restart()
		})
	}
	return got, err
}

func (n *node) markerAt(l leadership.Leadership) int {
	for i, e := range n.log {
		if e.Marker != nil && e.Marker.Leadership() == l {
			return i
		}
	}
	return -1
}

func (n *node) acceptance(l leadership.Leadership) leadership.Acceptance {
	n.mu.Lock()
	defer n.mu.Unlock()
	return leadership.Acceptance{Node: n.id, Incarnation: "disk-1", Term: l.Term, Leader: l.Leader, Position: position(n.log)}
}

func (n *node) install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	l := m.Leadership()
	var rules []*leadership.Rules
	for _, rs := range append([]leadership.Ruleset{m.Ruleset}, m.Over...) {
		r, err := rs.Compile(nil)
		if err != nil {
			return leadership.Acceptance{}, err
		}
		rules = append(rules, r)
	}
	err := n.acc().Install(ctx, l, func(ctx context.Context) error {
		give, err := n.take(ctx)
		if err != nil {
			return err
		}
		defer give()
		if n.markerAt(l) >= 0 {
			return nil
		}
		n.c.installing(n, m)
		return n.write(ctx, "marker "+m.Term.String(), len(n.log), []entry{{Term: m.Term, Marker: &m}})
	})
	if err != nil {
		return leadership.Acceptance{}, err
	}
	n.mu.Lock()
	if n.installed != m.Term {
		n.installed, n.matched = m.Term, map[leadership.NodeID]int{n.id: len(n.log)}
		n.sending = map[leadership.NodeID]bool{}
		n.rules = rules
	}
	n.mu.Unlock()
	n.push(l)
	if n.blocking {
		err := n.await(ctx, func() bool { return len(n.matched) > 1 })
		if err != nil {
			return leadership.Acceptance{}, err
		}
	}
	return n.acceptance(l), nil
}

func (n *node) follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	l := leadership.Leadership{Leader: leader, Term: t}
	if err := n.acc().Follow(ctx, l); err != nil {
		return leadership.Acceptance{}, err
	}
	err := n.await(ctx, func() bool { return n.markerAt(l) >= 0 || n.bugs.falseAccept })
	if err == nil && n.acc().Status().Promised != t {
		err = &leadership.StaleTermError{Node: n.id, Asked: t, Promised: n.acc().Status().Promised}
	}
	return n.acceptance(l), err
}

func (n *node) grant(ctx context.Context, t leadership.Term) error {
	l := leadership.Leadership{Leader: n.id, Term: t}
	err := n.acc().Grant(ctx, t, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.markerAt(l) >= 0
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.drained = false
	n.mu.Unlock()
	n.c.granted(n, t)
	n.push(l)
	return nil
}
