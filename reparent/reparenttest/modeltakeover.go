package reparenttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// release is the candidate's part, whoever brings the release: the coordinator,
// with all that the node is told, or the leader, and others report.
func (n *store) release(ctx context.Context, relay handover.Relay, told bool, log []Entry, commit int) (handover.Account, error) {
	if n.out {
		return handover.Account{}, errOut
	}
	if err := n.feed(relay, func(in *handover.Incoming) error { return in.TakeRelay(relay) }); err != nil {
		return handover.Account{}, err
	}
	r := relay.Release
	t := r.Baton.Term
	return n.share(ctx, &n.hand.taking, t, func() (handover.Account, error) {
		ctx, cancel := context.WithTimeout(ctx, r.Baton.Within)
		defer cancel()
		err := n.takeOver(ctx, r, told, log, commit)
		n.mu.Lock()
		defer n.mu.Unlock()
		account, told := n.hand.incoming.Account(t)
		return account, errors.Join(err, told)
	})
}

// tookOver joins a take-over that was begun.
func (n *store) tookOver(ctx context.Context, t leadership.Term) (handover.Account, error) {
	n.mu.Lock()
	h := n.hand.taking
	n.mu.Unlock()
	if h == nil || h.term != t {
		return handover.Account{}, errors.New("no release of the term has come")
	}
	if err := n.await(ctx, func() bool { return h.over }); err != nil {
		return handover.Account{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return h.account, h.err
}

// takeOver is the candidate's half.
func (n *store) takeOver(ctx context.Context, r handover.Release, told bool, log []Entry, commit int) error {
	t := r.Baton.Term
	// Entries like any other of that leader; what it cannot take now it fetches.
	if len(log) > 0 {
		_, _ = n.accept(ctx, leadership.Leadership{Leader: r.Baton.From, Term: r.StepDown.Led}, log, commit)
	}
	m, err := n.proposed(ctx, r, told)
	if err != nil {
		return err
	}
	a, err := n.Install(ctx, m)
	if a, err = n.h.accepted(ctx, Installed, &m, a, err); err != nil {
		return err
	}
	if err := n.stage(ctx, t); err != nil {
		return err
	}
	if err := n.feed(a, func(in *handover.Incoming) error { return in.Accept(a) }); err != nil {
		return err
	}
	n.followed(m)
	if err := n.markerDurable(ctx, t); err != nil {
		return err
	}
	n.h.w.count("a leader that took over by itself")
	return n.Grant(ctx, t)
}

// proposed promises and waits until all is proven, if more is to be told. It
// returns the marker.
func (n *store) proposed(ctx context.Context, r handover.Release, told bool) (leadership.Marker, error) {
	t := r.Baton.Term
	w, err := n.Promise(ctx, t)
	if w, err = n.h.testified(ctx, Promised, w, err); err != nil {
		return leadership.Marker{}, err
	}
	if err := n.feed(w, func(in *handover.Incoming) error { return in.Hear(w) }); err != nil {
		return leadership.Marker{}, err
	}
	if n.bugs.unproven {
		return leadership.Marker{Term: t, Leader: n.h.ID, Ruleset: r.Baton.Rulesets[0]}, nil
	}
	for {
		var p *leadership.Proposal
		var why error
		err := n.await(ctx, func() bool {
			if p, why = n.hand.incoming.Propose(t); why == nil {
				h := hasher{n.hand.fed} // what comes from here on is late
				h.term(t)
				n.hand.fed = h.sum
			}
			var revoked *leadership.NotRevokedError
			var discovered *leadership.NotDiscoveredError
			var ready *leadership.NotReadyError
			return told || !errors.As(why, &revoked) && !errors.As(why, &discovered) && !errors.As(why, &ready)
		})
		var behind *handover.BehindError
		switch {
		case err != nil:
			return leadership.Marker{}, errors.Join(err, why)
		case why == nil:
			return p.Marker(), nil
		case !errors.As(why, &behind):
			return leadership.Marker{}, why
		}
		n.h.w.count("catch-up of a candidate that was handed over to")
		if err := n.CatchUp(ctx, t, behind.Donors[0], behind.Selection); err != nil {
			return leadership.Marker{}, err
		}
		w, err := n.Promise(ctx, t)
		if w, err = n.h.testified(ctx, Promised, w, err); err != nil {
			return leadership.Marker{}, err
		}
		if err := n.feed(w, func(in *handover.Incoming) error { return in.Hear(w) }); err != nil {
			return leadership.Marker{}, err
		}
	}
}

// followed asks the members whether they have the marker, beside the entries
// that are sent to them.
func (n *store) followed(m leadership.Marker) {
	n.mu.Lock()
	var ids []leadership.NodeID
	for _, rs := range n.rulesets {
		for _, id := range rs.IDs() {
			if id != n.h.ID && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	n.mu.Unlock()
	for _, id := range ids {
		n.h.Go(func(life context.Context) {
			what := "follow " + m.Term.String()
			done := n.does(what+string(id), 0, 0)
			defer done()
			got, err := insist(life, n, id, 100*time.Millisecond, what, func(ctx context.Context, s *store) (leadership.Acceptance, error) {
				a, err := s.Follow(ctx, m.Term, m.Leader)
				return s.h.accepted(ctx, Followed, nil, a, err)
			})
			if err == nil {
				_ = n.feed(got, func(in *handover.Incoming) error { return in.Accept(got) })
			}
		})
	}
}

// markerDurable waits for the proof that the node may be granted by.
func (n *store) markerDurable(ctx context.Context, t leadership.Term) error {
	if n.bugs.earlyGrant {
		return nil
	}
	var why error
	err := n.await(ctx, func() bool {
		_, why = n.hand.incoming.Installed(t)
		var short *leadership.NotDurableError
		return !errors.As(why, &short)
	})
	return errors.Join(err, why)
}

// stage opens the node to requests ahead of its grant.
func (n *store) stage(ctx context.Context, t leadership.Term) error {
	l := leadership.Leadership{Leader: n.h.ID, Term: t}
	err := n.decides(ctx, func(func()) error { return n.acc.Stage(ctx, t, n.marked(l)) })
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.hand.staged = t
	n.mu.Unlock()
	return n.serve(t)
}
