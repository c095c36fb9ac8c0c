package reparenttest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
)

// Traits are what one kind of simulated store does differently from another.
// The zero value is a log whose entries carry their terms.
type Traits struct {
	// SlowRead: Promise blocks at once, and the position can be read only when
	// all that was received is applied (a relay log).
	SlowRead bool
	// Blocking: the marker's write does not return before a follower has it
	// (semi-synchronous replication).
	Blocking bool
	// Repairs: a conflicting tail breaks replication until the node is
	// repaired (a server that must be rewound).
	Repairs bool
	// Opens: the node takes clients as soon as it is installed, and is kept
	// from them by a gate of its own until Grant (pg_promote).
	Opens bool
	// Restarts: a step-down stops the server and starts it again.
	Restarts bool
	// Relay: what a follower acknowledged is in a relay log until it is
	// applied, and must be rescued when the server starts.
	Relay bool
	// Leased: a leader completes requests only while it has a lease, on its own
	// clock.
	Leased bool
	// LocalReads: a leader answers reads by itself while followers have promised
	// to let nobody else lead.
	LocalReads bool
	// OneCall: a leader drains and steps down in one call, and a successor takes
	// over on one message, where the other traits let it.
	OneCall bool
	// OneSlot: the promise is overwritten in place, so that a torn write
	// leaves none.
	OneSlot bool
	// Promises, when set, is where a node keeps its promise: a store of the
	// user's own, to be tested. disk is what survives a crash; it is nil at
	// first, and changed in Host.Write only. Load must not block.
	Promises func(h *Host, disk *any) acceptor.Store

	bugs bugs
	lies lies
}

// LogStore is a replicated log with per-entry terms: the acceptor of this
// library over a disk, and a leader that pushes its log.
func LogStore() Harness { return Store(Traits{}) }

// MariaDBLike is a store with the traits of a MariaDB server with
// semi-synchronous replication.
func MariaDBLike() Harness { return Store(mariadbTraits()) }

func mariadbTraits() Traits {
	return Traits{SlowRead: true, Blocking: true, Repairs: true, Relay: true}
}

// PostgreSQLLike is a store with the traits of a PostgreSQL server with
// synchronous standbys.
func PostgreSQLLike() Harness { return Store(postgresTraits()) }

func postgresTraits() Traits { return Traits{Repairs: true, Opens: true, Restarts: true} }

// Store is a harness of simulated stores, to test revokers, establishers,
// policies and registries with: Traits say how its nodes behave.
func Store(t Traits) Harness {
	return Harness{Name: "store", ours: true, HandsOver: t.handsOver(), traits: t, alone: true, leased: t.Leased, localReads: t.LocalReads, Boot: func(h *Host) (Node, error) { return bootStore(h, t) }}
}

// store is the node: the real acceptor over a simulated disk, and a log.
type store struct {
	Traits
	h        *Host
	life     context.Context // of this life of the host
	disk     *storeDisk
	acc      *acceptor.Acceptor
	gate     *lameduck.Gate
	out      bool        // it takes no part: see errOut
	stepping atomic.Bool // StepDown runs
	stopping atomic.Bool // the server is being restarted

	// Volatile, of this life.
	mu        sync.Mutex      // guards all below and disk.log, for moments
	installed leadership.Term // which matched and rules are of
	matched   map[leadership.NodeID]int
	sending   map[leadership.NodeID]bool
	observers map[leadership.NodeID]leadership.Leadership // who asked for the log, and of which leadership
	asks      leadership.Leadership                       // whom this node is asking for its log
	commit    int
	rulesets  []leadership.Ruleset
	rules     []*leadership.Rules
	history   []leadership.Term     // promises and grants of this life, in order, for explorers
	doing     atomic.Uint64         // digest of who waits for what in this node, for explorers
	asked     leadership.Term       // whose setting of followers to wait for the server was given last
	loaded    leadership.Term       // whose it goes by
	engine    leadership.Leadership // whom the engine replicates from, whatever was promised
	changed   chan struct{}         // closed when the log or commit moves; nil: nobody waits

	holds    time.Duration                       // until when it may complete, on its own clock
	renewing leadership.Term                     // for whom it asks for a lease
	given    time.Duration                       // until when it supports nobody else
	support  map[leadership.NodeID]time.Duration // until when followers support it

	last lastRead
	hand handing

	desk chan struct{} // serialises operations of the acceptor
	turn chan struct{} // serialises writers of the log
	give func()        // ends a turn
}

func bootStore(h *Host, t Traits) (Node, error) {
	gate, err := shutGate(h)
	if err != nil {
		return Node{}, err
	}
	reboot := h.Disk != nil
	n := &store{
		Traits: t, h: h, life: h.Life(), disk: openDisk(h), gate: gate, matched: map[leadership.NodeID]int{}, sending: map[leadership.NodeID]bool{},
		support: map[leadership.NodeID]time.Duration{}, observers: map[leadership.NodeID]leadership.Leadership{},
		desk: make(chan struct{}, 1), turn: make(chan struct{}, 1),
	}
	n.give = func() { <-n.turn }
	if reboot && t.LocalReads {
		n.given = h.Elapsed() + leaseOver() // it has forgotten what it gave
	}
	if n.hand.incoming, err = handover.NewIncoming(h.ID, h.w.h.Catalog); err != nil {
		return Node{}, err
	}
	if err := n.open(); err != nil {
		return Node{}, err
	}
	n.remember()
	n.resume()
	node := reparent.Node{
		ID: h.ID, Status: n, Promise: n, StepDown: n, Candidate: n, Follow: n, Repair: n,
		Truncates: !t.Repairs, GrantsAtInstall: t.Opens, ClientGate: t.Opens,
	}
	if t.handsOver() {
		node.HandOver = n
	}
	if t.OneCall {
		node.Retire = n
		if t.handsOver() {
			node.TakeOver = n
		}
	}
	if t.SlowRead {
		node.Promise = slowReader{n}
	}
	return Node{Node: node, Client: n, Inspect: n}, nil
}

// rulesOf compiles every ruleset that a marker must be durable under.
func rulesOf(h *Host, m *leadership.Marker) ([]leadership.Ruleset, []*leadership.Rules, error) {
	rulesets := append([]leadership.Ruleset{m.Ruleset}, m.Over...)
	var rules []*leadership.Rules
	for _, rs := range rulesets {
		r, err := h.Rules(rs)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, r)
	}
	return rulesets, rules, nil
}

// Facts implements Inspector.
func (n *store) Facts() Facts {
	st := n.acc.Status()
	n.mu.Lock()
	defer n.mu.Unlock()
	f := Facts{
		Promised: n.disk.rec.Promised, Source: n.disk.rec.Source, Leads: st.Leads, Rulesets: n.rulesets,
		Log: n.disk.log, Completed: n.commit, Floor: !n.disk.rec.Floor.IsZero() && n.disk.rec.BelowFloor(positionOf(n.disk.log)),
		Incarnation: n.disk.incarnation, Out: n.out || n.disk.torn && !n.bugs.tornOpens,
	}
	if f.Out {
		f.Promised, f.Source = leadership.Term{}, leadership.Leadership{}
	}
	return f
}

func (n *store) wake() {
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// await waits until ok, which runs under mu, holds.
func (n *store) await(ctx context.Context, ok func() bool) error {
	defer n.does("await", stepsim.Cause(ctx), 0)()
	for {
		n.mu.Lock()
		if ok() {
			n.mu.Unlock()
			return nil
		}
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		ch := n.changed
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ch:
			n.h.proc.Sim().Shaken()
			if over(ctx) {
				return context.DeadlineExceeded
			}
		}
	}
}

// take gives the right to write the log.
func (n *store) take(ctx context.Context) (give func(), err error) {
	if err := n.queue(ctx, n.turn, "take"); err != nil {
		return nil, err
	}
	return n.give, nil
}

// saw tells the checks of an event of this life. Who waited when the host died
// runs on for a moment, in which the next life may have begun.
func (n *store) saw(e Event) {
	if n.life.Err() == nil {
		n.h.Saw(e)
	}
}

func positionOf(log []Entry) leadership.Position {
	if len(log) == 0 {
		return leadership.Position{}
	}
	p := leadership.LogPoint{Index: uint64(len(log))}
	eras := 0
	for i, e := range log {
		if i == 0 || log[i-1].Term != e.Term {
			eras++
		}
	}
	p.Eras = make([]leadership.Era, 0, eras)
	for i, e := range log {
		if i == 0 || log[i-1].Term != e.Term {
			p.Eras = append(p.Eras, leadership.Era{Term: e.Term, First: uint64(i + 1)})
		}
	}
	return leadership.Position{Term: log[len(log)-1].Term, Point: p}
}

func (n *store) entries() []Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clip(n.disk.log) // what is in a log is never written again
}

func (n *store) position() leadership.Position {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.read().Position
}

func (n *store) reading(context.Context) (acceptor.Reading, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.read(), nil
}

// lastRead is what was read when a log was at commit.
type lastRead struct {
	log    []Entry
	commit int
	acceptor.Reading
}

// read returns what the log says, under mu. It is asked far more often than the
// log changes, and a log that changed has another array or another length.
func (n *store) read() acceptor.Reading {
	log, last := n.disk.log, &n.last
	if len(log) == 0 {
		return acceptor.Reading{}
	}
	if len(log) == len(last.log) && &log[0] == &last.log[0] && n.commit == last.commit {
		return last.Reading
	}
	ss := make([]leadership.Sighting, 0, 2)
	for i := len(log) - 1; i >= 0 && len(ss) < 2; i-- {
		if m := log[i].Marker; m != nil {
			ss = append(ss, leadership.Sighting{Marker: *m, Decided: i < n.commit})
		}
	}
	slices.Reverse(ss)
	*last = lastRead{log, n.commit, acceptor.Reading{Position: n.strayed(positionOf(log)), Markers: ss}}
	return last.Reading
}

// Status implements reparent.Statuser.
func (n *store) Status(ctx context.Context) (leadership.Status, error) {
	if n.out {
		return leadership.Status{}, errOut
	}
	st := n.acc.Status()
	r, _ := n.reading(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	return leadership.Status{
		Node: n.h.ID, Incarnation: n.disk.incarnation, Promised: st.Promised, Leads: st.Leads, Source: st.Source,
		Position: r.Position, Markers: r.Markers, BelowFloor: st.BelowFloor(r.Position), Draining: !st.Leads.IsZero() && n.gate.State().Phase != lameduck.Serving,
	}, nil
}
