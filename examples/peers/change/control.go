package change

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/revoke"
)

// drainGrace is how long after a drain a node waits for its step-down.
const drainGrace = 2 * time.Second

func (n *node) read(context.Context) (acceptor.Reading, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return acceptor.Reading{Position: n.log.position(), Markers: n.sightings()}, nil
}

// sightings returns the last two markers of the log. mu is held.
func (n *node) sightings() []leadership.Sighting {
	var out []leadership.Sighting
	for _, i := range n.log.marks[max(0, len(n.log.marks)-2):] {
		out = append(out, leadership.Sighting{Marker: *n.log.entries[i-1].marker, Decided: i <= n.commit})
	}
	return out
}

func (n *node) promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := n.acc.Recruit(ctx, t, n.read)
	n.settle()
	return out, err
}

func (n *node) stepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := n.acc.StepDown(ctx, t, n.read)
	if err == nil {
		// It fails unless a drain has ended; then there is nothing to seal.
		_ = n.gate.Seal(t)
	}
	n.settle()
	return out, err
}

func (n *node) drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	st := n.acc.Status()
	switch {
	case t.Less(st.Promised) || t == st.Leads:
		return revoke.Drained{}, &leadership.StaleTermError{Node: n.id, Asked: t, Promised: st.Promised}
	case st.Leads.IsZero():
		return revoke.Drained{}, nil
	}
	report, err := n.gate.Drain(ctx, lameduck.Plan{All: d, Until: t, Reason: "draining for " + t.String(), Expire: drainGrace})
	out := revoke.Drained{Finished: report.Finished, Survivors: report.Surviving}
	var forced *lameduck.ForcedError
	var phase *lameduck.PhaseError
	switch {
	case errors.As(err, &forced):
		return out, nil
	case errors.As(err, &phase) && phase.Phase.Ended(): // the same call again
		return revoke.Drained{Survivors: n.gate.InFlight().Active}, nil
	}
	return out, err
}

func (n *node) install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	ls, err := newLeading(n, m)
	if err != nil {
		return leadership.Acceptance{}, err
	}
	err = n.acc.Install(ctx, m.Leadership(), func(context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.log.mark(m.Term) == 0 {
			n.log.write(len(n.log.entries), []entry{{term: m.Term, marker: &m}})
		}
		return nil
	})
	if err != nil {
		n.settle()
		return leadership.Acceptance{}, err
	}
	n.begin(ls)
	if err := n.stage(ctx, m.Term); err != nil {
		return leadership.Acceptance{}, err
	}
	return n.acceptance(m.Leadership())
}

// stage takes requests ahead of the grant: they go behind the marker, and are
// complete when it is and the node was granted. The cluster is in mode Full.
func (n *node) stage(ctx context.Context, t leadership.Term) error {
	n.mu.Lock()
	ls := n.leads
	n.mu.Unlock()
	err := n.acc.Stage(ctx, t, func() bool { return ls != nil && ls.own.Term == t })
	if err != nil {
		return err
	}
	if err := n.serve(t); err != nil {
		return err
	}
	n.mu.Lock()
	ls.open = true
	n.mu.Unlock()
	n.c.crown(leadership.Leadership{Leader: n.id, Term: t})
	return nil
}

func (n *node) serve(t leadership.Term) error {
	var served *lameduck.TermOrderError
	if err := n.gate.Serve(t); err != nil && !errors.As(err, &served) {
		return err
	}
	return nil
}

func newLeading(n *node, m leadership.Marker) (*leading, error) {
	var nodes []leadership.Node
	for i := range n.c.nodes {
		nodes = append(nodes, leadership.Node{ID: nodeID(i)})
	}
	cohort, err := leadership.NewCohort(nodes...)
	if err != nil {
		return nil, err
	}
	ls := &leading{own: m.Leadership(), cohort: cohort, next: map[int]int{}, waiting: map[int]chan error{}}
	for _, rs := range append([]leadership.Ruleset{m.Ruleset}, m.Over...) {
		rules, err := rs.CompileIn(cohort, nil)
		if err != nil {
			return nil, err
		}
		ls.forced = append(ls.forced, rules)
	}
	ls.final = ls.forced[:1]
	self, ok := cohort.Member(n.id)
	if !ok {
		return nil, &leadership.IneligibleError{Node: n.id, Reason: "it is not in the marker's ruleset"}
	}
	ls.self = self
	return ls, nil
}

// begin makes ls the leadership of this node, unless it is already there or a
// higher promise came meanwhile, and sends the marker.
func (n *node) begin(ls *leading) {
	n.mu.Lock()
	ls.marker = n.log.mark(ls.own.Term)
	if old := n.leads; ls.marker > 0 && (old == nil || old.own.Term.Less(ls.own.Term)) {
		if old != nil {
			n.end(old, ls.own.Term)
		}
		n.leads = ls
		ls.levels[ls.self] = len(n.log.entries)
		for i := range n.c.nodes {
			if i != n.i {
				// What is not known to be complete some may lack.
				ls.next[i] = min(ls.marker, n.commit+1)
			}
		}
		n.replicate(ls)
	}
	n.mu.Unlock()
	n.settle()
}

func (n *node) grant(ctx context.Context, t leadership.Term) error {
	n.mu.Lock()
	ls := n.leads
	n.mu.Unlock()
	err := n.acc.Grant(ctx, t, func() bool { return ls != nil && ls.own.Term == t })
	if err != nil {
		return err
	}
	if err := n.serve(t); err != nil {
		return err
	}
	n.mu.Lock()
	ls.open, ls.granted = true, true
	n.complete(ls)
	n.mu.Unlock()
	return nil
}

func (n *node) follow(ctx context.Context, t leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
	lead := leadership.Leadership{Leader: l, Term: t}
	err := n.acc.Follow(ctx, lead)
	n.settle()
	if err != nil {
		return leadership.Acceptance{}, err
	}
	for {
		n.mu.Lock()
		changed, has := n.changed, n.log.mark(t) > 0
		n.mu.Unlock()
		if st := n.acc.Status(); st.Source != lead || st.Changing {
			return leadership.Acceptance{}, &leadership.StaleTermError{Node: n.id, Asked: t, Promised: st.Promised}
		}
		if has {
			return n.acceptance(lead)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return leadership.Acceptance{}, context.Cause(ctx)
		}
	}
}

// acceptance states that the marker of l is in this log, which the caller has
// seen, unless more was promised meanwhile.
func (n *node) acceptance(l leadership.Leadership) (leadership.Acceptance, error) {
	n.mu.Lock()
	pos := n.log.position()
	n.mu.Unlock()
	st := n.acc.Status()
	if st.Source != l || st.Changing {
		return leadership.Acceptance{}, &leadership.StaleTermError{Node: n.id, Asked: l.Term, Promised: st.Promised}
	}
	return leadership.Acceptance{Node: n.id, Incarnation: st.Incarnation, Term: l.Term, Leader: l.Leader, Position: pos}, nil
}

func (n *node) status(context.Context) (leadership.Status, error) {
	st := n.acc.Status()
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.log.position()
	return leadership.Status{
		Node: n.id, Incarnation: st.Incarnation, Reachable: true, Promised: st.Promised, Leads: st.Leads,
		Source: st.Source, Position: at, Markers: n.sightings(), BelowFloor: st.BelowFloor(at),
		Draining: !st.Leads.IsZero() && !n.gate.State().Ready(),
	}, nil
}

// gift is what a donor gives: the entries that follow the common prefix.
type gift struct {
	prev    place
	entries []entry
}

func (n *node) donate(pos leadership.Position) gift {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := common(n.log.position(), pos)
	return gift{prev: n.log.at(at), entries: n.log.entries[at:len(n.log.entries):len(n.log.entries)]}
}

// catchUp pulls from the donor what the log is missing. A conflicting tail goes
// only when t is promised here and pos is of a later term than the tail.
func (n *node) catchUp(ctx context.Context, t leadership.Term, donor int, pos leadership.Position) error {
	for {
		n.mu.Lock()
		have, changed := n.log.position(), n.changed
		n.mu.Unlock()
		if have.Extends(pos) {
			return nil
		}
		got, err := call(ctx, n.c.wire, &n.c.wg, n.i, donor, func(context.Context) (gift, error) {
			return n.c.nodes[donor].donate(have), nil
		})
		if err != nil {
			return err
		}
		if len(got.entries) == 0 {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := n.accepts(ctx, t, pos, got); err != nil {
			return err
		}
	}
}

func (n *node) accepts(ctx context.Context, t leadership.Term, pos leadership.Position, got gift) error {
	last := got.entries[len(got.entries)-1].term
	if t.Less(last) {
		return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: last}
	}
	if n.acc.Status().Promised.Less(last) { // an entry binds to its term
		_, err := n.acc.Recruit(ctx, last, nil)
		n.settle()
		if err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.acc.Status()
	if t.Less(st.Promised) || st.Changing {
		return &leadership.StaleTermError{Node: n.id, Asked: t, Promised: st.Promised}
	}
	ok, err := n.log.merge(got.prev, got.entries, func(last place) error {
		if st.Promised != t || !last.term.Less(pos.Term) {
			return &leadership.NotReadyError{Node: n.id, Reason: "its log conflicts with the donor's"}
		}
		return nil
	})
	if err == nil && !ok {
		err = fmt.Errorf("change: the log of %s changed while it was catching up", n.id)
	}
	n.notify()
	return err
}
