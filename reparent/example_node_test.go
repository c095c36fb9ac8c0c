package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// notebook is a node driver of the simplest kind: a member that keeps lines of
// text, in memory for brevity, and its promises in a file. The leader copies its
// log to the others. What takes care is done by acceptor.Acceptor; what is left
// is here.
type notebook struct {
	id    leadership.NodeID
	acc   *acceptor.Acceptor
	peers map[leadership.NodeID]*notebook

	writing sync.Mutex // one line at a time; taken before mu

	mu      sync.Mutex // guards what follows, for moments
	log     []line
	changed chan struct{} // closed and made anew when the log changes
	drained leadership.Term
	until   time.Time // a drain that nobody follows up ends by itself
}

// line is an entry of the log. A line with a marker begins a leadership.
type line struct {
	term   leadership.Term
	text   string
	marker *leadership.Marker
}

func newNotebook(ctx context.Context, dir string, id leadership.NodeID, peers map[leadership.NodeID]*notebook) (*notebook, error) {
	store, err := acceptor.OpenFile(dir)
	if err != nil {
		return nil, err
	}
	acc, err := acceptor.Create(ctx, store, id, acceptor.Minted)
	if err != nil {
		return nil, err
	}
	n := &notebook{id: id, acc: acc, peers: peers, changed: make(chan struct{})}
	peers[id] = n
	return n, nil
}

// node is what a guard is given: one value per ability.
func (n *notebook) node() reparent.Node {
	return reparent.Node{ID: n.id, Addr: string(n.id) + ".local", Truncates: true,
		Status: n, Promise: n, StepDown: n, Candidate: n, Follow: n}
}

// Status says how the node is. Nothing is decided by it.
func (n *notebook) Status(ctx context.Context) (leadership.Status, error) {
	st := n.acc.Status()
	r, err := n.read(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	return leadership.Status{Node: n.id, Incarnation: st.Incarnation, Promised: st.Promised, Leads: st.Leads, Source: st.Source,
		Position: r.Position, Markers: r.Markers, Draining: time.Now().Before(n.until)}, err
}

// Promise is durable before it returns, and the position is read after it.
func (n *notebook) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.acc.Recruit(ctx, t, n.read)
}

// Drain refuses new lines, and waits for the one that is being written.
func (n *notebook) Drain(_ context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	n.mu.Lock()
	n.drained, n.until = t, time.Now().Add(2*d)
	n.mu.Unlock()
	n.writing.Lock()
	defer n.writing.Unlock()
	return revoke.Drained{}, nil
}

// StepDown ends the grant. From its return on nothing below t completes here.
func (n *notebook) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.acc.StepDown(ctx, t, n.read)
}

// CatchUp takes the donor's log. A conflicting tail goes only when t is promised:
// then a round of t selected a log without it.
func (n *notebook) CatchUp(_ context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	theirs := n.peers[donor].lines()
	n.mu.Lock()
	defer n.mu.Unlock()
	have := notedTo(n.log)
	switch got := notedTo(theirs); {
	case t.Less(got.Term):
		return fmt.Errorf("%s has entries of %v, which is above %v", donor, got.Term, t)
	case got.Extends(have), n.acc.Status().Promised == t && have.Term.Less(pos.Term):
		n.replace(theirs)
		return nil
	default:
		return fmt.Errorf("%s at %v cannot take the log of %s at %v", n.id, have, donor, got)
	}
}

// Install writes the marker. Nothing but the marker completes before Grant.
func (n *notebook) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	l := m.Leadership()
	err := n.acc.Install(ctx, l, func(context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if noteOf(n.log, l) < 0 {
			n.replace(append(n.log[:len(n.log):len(n.log)], line{term: m.Term, marker: &m}))
		}
		return nil
	})
	return n.acceptance(l), err
}

// Grant opens the node for clients, once the marker is in its log.
func (n *notebook) Grant(ctx context.Context, t leadership.Term) error {
	err := n.acc.Grant(ctx, t, func() bool {
		return noteOf(n.lines(), leadership.Leadership{Leader: n.id, Term: t}) >= 0
	})
	if err == nil {
		n.mu.Lock()
		n.until = time.Time{}
		n.mu.Unlock()
	}
	return err
}

// Follow accepts from the leader and from nobody else, and waits for its marker.
func (n *notebook) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	l := leadership.Leadership{Leader: leader, Term: t}
	if err := n.acc.Follow(ctx, l); err != nil {
		return leadership.Acceptance{}, err
	}
	for {
		from := n.peers[leader]
		from.mu.Lock()
		theirs, changed := from.log, from.changed
		from.mu.Unlock()
		if noteOf(theirs, l) >= 0 {
			return n.acceptance(l), n.accept(l, theirs)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return leadership.Acceptance{}, context.Cause(ctx)
		}
	}
}

// accept is the data path of a follower: Admit, write, Confirm, acknowledge.
func (n *notebook) accept(l leadership.Leadership, log []line) error {
	tok, err := n.acc.Admit(l)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.acc.Confirm(tok); err != nil { // a promise came between: write nothing
		return err
	}
	if len(log) >= len(n.log) || notedTo(n.log).Term.Less(l.Term) {
		n.replace(log)
	}
	return n.acc.Confirm(tok)
}

// Write is the data path of a leader. It completes the line once the policy says
// that it is durable; an error that is no refusal leaves open what became of it.
func (n *notebook) Write(rules *leadership.Rules, text string) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	l := n.acc.Status().Accepts
	n.mu.Lock()
	if time.Now().Before(n.until) || l.Leader != n.id {
		defer n.mu.Unlock()
		return &leadership.Refusal{Term: l.Term, Until: n.drained, Reason: string(n.id) + " takes no new lines"}
	}
	log := append(n.log[:len(n.log):len(n.log)], line{term: l.Term, text: text})
	n.mu.Unlock()
	have := leadership.Set(0)
	for m := range rules.Members().All() {
		if n.peers[rules.Cohort().Node(m).ID].accept(l, log) == nil {
			have = have.With(m)
		}
	}
	done, err := n.acc.Complete(l.Term)
	if err != nil {
		return errors.Join(leadership.ErrUnknownOutcome, err)
	}
	defer done.Done()
	self, _ := rules.Cohort().Member(n.id)
	if !rules.Durable(self, have) {
		return leadership.ErrUnknownOutcome
	}
	return nil
}

func (n *notebook) lines() []line {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log
}

// texts returns what was written, without the markers.
func (n *notebook) texts() []string {
	var ts []string
	for _, l := range n.lines() {
		if l.marker == nil {
			ts = append(ts, l.text)
		}
	}
	return ts
}

// replace needs mu. Logs are never changed in place.
func (n *notebook) replace(log []line) {
	n.log = log
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *notebook) read(context.Context) (acceptor.Reading, error) {
	log := n.lines()
	r := acceptor.Reading{Position: notedTo(log)}
	for _, e := range log {
		if e.marker != nil {
			r.Markers = append(r.Markers, leadership.Sighting{Marker: *e.marker})
		}
	}
	return r, nil
}

func (n *notebook) acceptance(l leadership.Leadership) leadership.Acceptance {
	return leadership.Acceptance{Node: n.id, Incarnation: "disk-1", Term: l.Term, Leader: l.Leader, Position: notedTo(n.lines())}
}

// notedTo carries where each term begins, so that Extends is exact.
func notedTo(log []line) leadership.Position {
	if len(log) == 0 {
		return leadership.Position{}
	}
	p := leadership.LogPoint{Index: uint64(len(log))}
	for i, e := range log {
		if i == 0 || log[i-1].term != e.term {
			p.Eras = append(p.Eras, leadership.Era{Term: e.term, First: uint64(i + 1)})
		}
	}
	return leadership.Position{Term: log[len(log)-1].term, Point: p}
}

func noteOf(log []line, l leadership.Leadership) int {
	for i, e := range log {
		if e.marker != nil && e.marker.Leadership() == l {
			return i
		}
	}
	return -1
}
