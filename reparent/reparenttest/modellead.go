package reparenttest

import (
	"context"
	"errors"

	"github.com/tenure-go/tenure/leadership"
)

func (n *store) acceptance(l leadership.Leadership) leadership.Acceptance {
	return leadership.Acceptance{Node: n.h.ID, Incarnation: n.disk.incarnation, Term: l.Term, Leader: l.Leader, Position: n.position()}
}

// errStopping is what a server answers that is about to restart. A leadership
// that it took before would be over with that.
var errStopping = errors.New("the server is shutting down")

// Install implements establish.Candidate.
func (n *store) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	if n.stopping.Load() && !n.bugs.hastyInstall {
		return leadership.Acceptance{}, errStopping
	}
	l := m.Leadership()
	rulesets, rules, err := rulesOf(n.h, &m)
	if err != nil {
		return leadership.Acceptance{}, err
	}
	err = n.decides(ctx, func(next func()) error {
		return n.acc.Install(ctx, l, func(ctx context.Context) error {
			next()
			return n.marks(ctx, m)
		})
	})
	if err != nil {
		return leadership.Acceptance{}, err
	}
	n.mu.Lock()
	if n.installed != m.Term {
		n.installed, n.matched = m.Term, map[leadership.NodeID]int{n.h.ID: len(n.disk.log)}
		n.sending = map[leadership.NodeID]bool{}
		n.rulesets, n.rules = rulesets, rules
	}
	n.mu.Unlock()
	n.push(l)
	if n.bugs.selfGrant || n.lies.ungated {
		_ = n.Grant(ctx, m.Term)
	}
	if n.Blocking && !n.suffices() {
		if err := n.await(ctx, func() bool { return len(n.matched) > 1 }); err != nil {
			return leadership.Acceptance{}, err
		}
	}
	return n.acceptance(l), nil
}

// marks writes the marker, unless it is there.
func (n *store) marks(ctx context.Context, m leadership.Marker) error {
	if err := n.load(ctx, m.Term); err != nil {
		return err
	}
	give, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	log := n.entries()
	if markerAt(log, m.Leadership()) >= 0 {
		return nil
	}
	n.saw(Event{Kind: Installing, Leadership: m.Leadership(), Marker: &m})
	err = n.write(ctx, "marker "+m.Term.String(), len(log), []Entry{{Term: m.Term, Marker: &m}})
	n.mu.Lock()
	n.disk.own = 0 // what it has of its own, it gives to all
	n.mu.Unlock()
	return err
}

// marked reports whether the marker of l is in the log.
func (n *store) marked(l leadership.Leadership) func() bool {
	return func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return markerAt(n.disk.log, l) >= 0
	}
}

// suffices reports whether what this node alone has is durable: its ruleset has
// nobody else, say. An adapter then has the server wait for nobody, for nobody
// would come.
func (n *store) suffices() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.supported(map[leadership.NodeID]bool{n.h.ID: true}, n.rules)
}

func (n *store) follows(ctx context.Context, l leadership.Leadership) error {
	return n.decides(ctx, func(func()) error { return n.acc.Follow(ctx, l) })
}

// Follow implements establish.Follower.
func (n *store) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	l := leadership.Leadership{Leader: leader, Term: t}
	if err := n.follows(ctx, l); err != nil {
		return leadership.Acceptance{}, err
	}
	n.pointAt(l)
	n.subscribe(l)
	err := n.await(ctx, func() bool { return markerAt(n.disk.log, l) >= 0 || n.bugs.falseAccept })
	if p := n.acc.Status().Promised; err == nil && p != t {
		err = &leadership.StaleTermError{Node: n.h.ID, Asked: t, Promised: p}
	}
	return n.acceptance(l), err
}

// Grant implements establish.Candidate.
func (n *store) Grant(ctx context.Context, t leadership.Term) error {
	l := leadership.Leadership{Leader: n.h.ID, Term: t}
	err := n.decides(ctx, func(func()) error { return n.acc.Grant(ctx, t, n.marked(l)) })
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.history = append(n.history, t)
	n.mu.Unlock()
	n.saw(Event{Kind: Granted, Leadership: l})
	n.promoted(t)
	n.push(l)
	return n.serve(t)
}
