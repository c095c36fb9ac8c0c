package change

import (
	"context"
	"sync"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent/handover"
)

// node is a member of a replicated log in memory, on the library's acceptor and
// gate. It is examples/kv without disk and HTTP: the rules and their order are
// the same.
type node struct {
	i    int // its host
	id   leadership.NodeID
	c    *tenure
	acc  *acceptor.Acceptor
	gate *lameduck.Gate
	// incoming is the candidate's side of hand-overs.
	incoming incoming

	mu      sync.Mutex // guards what follows; taken by clients, the wire and control calls, never over a wait
	log     memLog
	commit  int
	leads   *leading
	handed  *leading      // the last leadership, while something of it is in flight after a hand-over
	heard   time.Time     // the last append of the leader that it follows
	changed chan struct{} // closed and made anew when the log or the source changes
}

// leading is one leadership of a node, guarded by the node's mu.
type leading struct {
	own    leadership.Leadership
	marker int
	self   leadership.Member
	cohort *leadership.Cohort
	// forced are the rulesets that the marker itself must satisfy, final those
	// in force after it.
	forced, final []*leadership.Rules
	open          bool // takes requests, which go behind the marker
	granted       bool // and completes them
	carried       bool // what is waiting is handed over
	levels        [leadership.MaxMembers]int
	next          map[int]int // per host, the first index that was not sent
	refused       leadership.Set
	waiting       map[int]chan error
}

// memStore is an acceptor's record in memory.
type memStore struct {
	mu    sync.Mutex
	state acceptor.State
	saved bool
}

func (s *memStore) Load(context.Context) (acceptor.State, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.saved, nil
}

func (s *memStore) Save(_ context.Context, st acceptor.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.saved = st, true
	return nil
}

func newNode(ctx context.Context, c *tenure, i int) (*node, error) {
	n := &node{i: i, id: nodeID(i), c: c, changed: make(chan struct{})}
	var err error
	if n.acc, err = acceptor.Create(ctx, &memStore{}, n.id, "memory-1"); err != nil {
		return nil, err
	}
	if n.gate, err = lameduck.New(lameduck.Options{Name: string(n.id)}); err != nil {
		return nil, err
	}
	n.incoming.news = make(chan struct{}, 1)
	n.incoming.in, err = handover.NewIncoming(n.id, nil)
	return n, err
}

// notify is called with mu held.
func (n *node) notify() {
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) refusal(reason string) *leadership.Refusal {
	st := n.acc.Status()
	r := &leadership.Refusal{Term: n.gate.State().Term, Until: st.Promised, Reason: reason}
	if st.Source.Leader != n.id {
		r.Leader = st.Source.Leader
	}
	return r
}

// submit takes an operation of a client and returns when it is complete. A
// *leadership.Refusal proves that it was not executed.
func (n *node) submit(ctx context.Context, o *op) error {
	done, exit, err := n.take(o)
	if err != nil {
		return err
	}
	defer exit()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return leadership.ErrUnknownOutcome
	}
}

func (n *node) take(o *op) (<-chan error, func(), error) {
	n.mu.Lock()
	ls := n.leads
	n.mu.Unlock()
	if ls == nil {
		return nil, nil, n.refusal("not the leader")
	}
	pass, err := n.gate.Enter(lameduck.Single)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leads != ls || !ls.open {
		pass.Exit()
		return nil, nil, n.refusal("not the leader")
	}
	tok, err := n.acc.Admit(ls.own)
	if err == nil {
		err = n.acc.Confirm(tok)
	}
	if err != nil {
		pass.Exit()
		return nil, nil, n.refusal("the leadership has ended")
	}
	o.take(n.i, n.c.began)
	n.log.write(len(n.log.entries), []entry{{term: ls.own.Term, op: o}})
	done := make(chan error, 1)
	ls.waiting[len(n.log.entries)] = done
	// Its own node counts only when the gate was open all along.
	if n.acc.Confirm(tok) == nil {
		ls.levels[ls.self] = len(n.log.entries)
	}
	n.replicate(ls)
	n.complete(ls)
	return done, pass.Exit, nil
}

// message is an append: what follows prev in the leader's log. An empty one is
// a heartbeat.
type message struct {
	from    leadership.Leadership
	prev    place
	entries []entry
	commit  int
}

// answer is what a follower says to a message.
type answer struct {
	matched  int
	mismatch bool            // matched is then where to try
	stale    leadership.Term // promised, when the message was below it
}

// replicate sends every peer what it was not sent yet. mu is held.
func (n *node) replicate(ls *leading) {
	for host := range ls.next {
		n.sendTo(ls, host)
	}
}

func (n *node) sendTo(ls *leading, host int) {
	next := ls.next[host]
	m := message{from: ls.own, prev: n.log.at(next - 1), entries: n.log.entries[next-1 : len(n.log.entries) : len(n.log.entries)], commit: n.commit}
	ls.next[host] = len(n.log.entries) + 1
	peer := n.c.nodes[host]
	n.c.wire.send(n.i, host, func() {
		a := peer.accept(m)
		n.c.wire.send(host, n.i, func() { n.hear(ls, host, a) })
	})
}

// accept is the data path of a follower.
func (n *node) accept(m message) answer {
	if st := n.acc.Status(); st.Accepts != m.from && st.Promised.Compare(m.from.Term) <= 0 && m.from.Leader != n.id {
		err := n.acc.Follow(n.c.ctx, m.from)
		n.settle()
		if err != nil {
			return answer{stale: n.acc.Status().Promised}
		}
	}
	tok, err := n.acc.Admit(m.from)
	if err != nil {
		return answer{stale: n.acc.Status().Promised}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	// Under the mutex that a promise's read takes: what is written after this
	// Confirm, that read sees.
	if n.acc.Confirm(tok) != nil {
		return answer{stale: n.acc.Status().Promised}
	}
	n.heard = time.Now()
	ok, err := n.log.merge(m.prev, m.entries, func(last place) error {
		if last.term == m.from.Term {
			return &leadership.DivergedError{Positions: []leadership.NodePosition{{Node: n.id, Position: n.log.position()}}}
		}
		return nil
	})
	if err != nil {
		n.c.fail(err)
		return answer{}
	}
	if !ok {
		return answer{mismatch: true, matched: min(m.prev.index-1, len(n.log.entries))}
	}
	if n.acc.Confirm(tok) != nil {
		return answer{stale: n.acc.Status().Promised}
	}
	matched := m.prev.index + len(m.entries)
	if c := min(m.commit, matched); c > n.commit {
		n.commit = c
		n.carry()
	}
	if len(m.entries) > 0 {
		n.notify()
	}
	return answer{matched: matched}
}

// hear takes the answer of a follower into account.
func (n *node) hear(ls *leading, host int, a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m, counts := ls.cohort.Member(nodeID(host))
	switch {
	case n.handed == ls && counts && !a.mismatch && a.stale.IsZero():
		ls.levels[m] = max(ls.levels[m], a.matched)
		n.carry()
	case n.leads != ls:
	case !a.stale.IsZero():
		delete(ls.next, host) // it will never accept from this leadership again
		if counts {
			ls.refused = ls.refused.With(m)
			n.lost(ls, a.stale)
		}
	case a.mismatch:
		ls.next[host] = a.matched + 1
		n.sendTo(ls, host)
	case counts:
		ls.levels[m] = max(ls.levels[m], a.matched)
		n.complete(ls)
	}
}

// lost ends a leadership that could not complete anything any more.
func (n *node) lost(ls *leading, by leadership.Term) {
	left := ls.cohort.All().Minus(ls.refused)
	for _, r := range ls.inForce(n.commit) {
		if !r.Durable(ls.self, left) {
			n.end(ls, by)
			return
		}
	}
}

func (ls *leading) inForce(commit int) []*leadership.Rules {
	if commit >= ls.marker {
		return ls.final
	}
	return ls.forced
}

// complete moves the commit index in the acceptor's bracket. mu is held.
func (n *node) complete(ls *leading) {
	if !ls.granted {
		return
	}
	c, err := n.acc.Complete(ls.own.Term)
	if err != nil {
		return
	}
	defer c.Done()
	best := n.reached(ls)
	if n.commit < ls.marker && best >= ls.marker {
		// Whoever waits for what it handed over is told now.
		defer n.replicate(ls)
	}
	for i := n.commit + 1; i <= best; i++ {
		if done, ok := ls.waiting[i]; ok {
			delete(ls.waiting, i)
			done <- nil
		}
	}
	n.commit = max(n.commit, best)
}

// reached returns up to which index a durable set under every ruleset in force
// holds the log of a leadership, 0 when that is not its marker yet: entries of
// earlier terms are complete when the marker is. mu is held.
func (n *node) reached(ls *leading) int {
	best := 0
	for m := range ls.cohort.All().All() {
		v := ls.levels[m]
		if v <= best || v < ls.marker {
			continue
		}
		var have leadership.Set
		for o := range ls.cohort.All().All() {
			if ls.levels[o] >= v {
				have = have.With(o)
			}
		}
		durable := true
		for _, r := range ls.inForce(n.commit) {
			durable = durable && r.Durable(ls.self, have)
		}
		if durable {
			best = v
		}
	}
	return best
}

// end ends a leadership: what is not complete is unknown. mu is held.
func (n *node) end(ls *leading, _ leadership.Term) {
	if n.leads != ls {
		return
	}
	n.leads = nil
	if ls.carried {
		n.handed = ls
		n.carry()
		n.notify()
		return
	}
	for _, done := range ls.waiting {
		done <- leadership.ErrUnknownOutcome
	}
	ls.waiting = map[int]chan error{}
	n.notify()
}

// settle ends a leadership that the acceptor no longer holds. Every call that
// may have raised the promise ends with it.
func (n *node) settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ls := n.leads; ls != nil {
		if st := n.acc.Status(); st.Source != ls.own || st.Changing {
			n.end(ls, st.Promised)
		}
	}
	n.notify()
}

// beat sends heartbeats while the node leads, until the cluster stops.
func (n *node) beat() {
	for sleep(n.c.ctx, n.c.wire.rtt()/2) {
		n.mu.Lock()
		if ls := n.leads; ls != nil {
			n.replicate(ls)
		}
		n.mu.Unlock()
	}
}
