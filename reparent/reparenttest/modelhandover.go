package reparenttest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// handing is what a store knows of hand-overs, none of it on disk. Guarded by
// store.mu.
type handing struct {
	incoming *handover.Incoming
	fed      uint64          // digest of all that was fed to incoming, and of where it proposed
	giving   *passing        // the hand-over that this node leads, or led last
	taking   *passing        // the one that it takes over by
	carried  leadership.Term // whose requests in flight were handed over
	staged   leadership.Term // of which requests are taken ahead of the grant
}

// passing is one hand-over at one of its ends, which copies of a message share.
type passing struct {
	term    leadership.Term
	over    bool
	account handover.Account
	err     error
}

// handsOver reports whether stores of these traits offer a hand-over: those whose
// candidate can be given the end of the leader's log.
func (t Traits) handsOver() bool {
	return !t.SlowRead && !t.Blocking && !t.Repairs && !t.Opens && !t.Restarts && !t.Relay
}

var errNotLeading = errors.New("the node does not lead")

// begun is the failure of a hand-over that was begun, whatever the part that
// failed proves of itself.
type begun struct{ error }

func (e begun) Unwrap() error { return e.error }

func (begun) NotExecuted() bool { return false }

// share runs do, unless a copy of the message does already: then it waits for
// what that comes to.
func (n *store) share(ctx context.Context, slot **passing, t leadership.Term, do func() (handover.Account, error)) (handover.Account, error) {
	n.mu.Lock()
	h := *slot
	first := h == nil || h.term.Less(t)
	if first {
		h = &passing{term: t}
		*slot = h
	}
	n.mu.Unlock()
	switch {
	case t.Less(h.term):
		return handover.Account{}, &leadership.StaleTermError{Node: n.h.ID, Asked: t, Promised: h.term}
	case !first:
		if err := n.await(ctx, func() bool { return h.over }); err != nil {
			return handover.Account{}, err
		}
	default:
		account, err := do()
		n.mu.Lock()
		h.account, h.err, h.over = account, err, true
		n.wake()
		n.mu.Unlock()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return h.account, h.err
}

// HandOver implements handover.Leader.
func (n *store) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	if err := b.Validate(n.h.w.h.Catalog); err != nil {
		return handover.Account{}, err
	}
	if b.To == n.h.ID {
		return n.tookOver(ctx, b.Term)
	}
	st := n.acc.Status()
	n.mu.Lock()
	again := n.hand.giving != nil && n.hand.giving.term == b.Term
	n.mu.Unlock()
	switch {
	case again:
	case b.Term.Less(st.Promised):
		return handover.Account{}, &leadership.StaleTermError{Node: n.h.ID, Asked: b.Term, Promised: st.Promised}
	case st.Leads.IsZero() || st.Leads == b.Term:
		if n.bugs.declines {
			return handover.Account{}, &leadership.Refusal{Until: b.Term, Reason: "not leading"}
		}
		return handover.Account{}, errNotLeading // another baton may be why
	}
	return n.share(ctx, &n.hand.giving, b.Term, func() (handover.Account, error) {
		account, err := n.handOver(ctx, b, st.Leads)
		if err != nil {
			err = begun{err}
		}
		return account, err
	})
}

// handOver is the leader's half: from now on it refuses, then it promises, and then
// it tells the others. What is in flight is carried on by the candidate.
func (n *store) handOver(ctx context.Context, b handover.Baton, led leadership.Term) (handover.Account, error) {
	if err := n.refuses(ctx, b.Term, b.To, b.Drain, led); err != nil {
		return handover.Account{}, err
	}
	if n.bugs.earlyRelease {
		at := n.position()
		r := handover.Release{Baton: b, StepDown: leadership.Testimony{Node: n.h.ID, Incarnation: n.disk.incarnation, Term: b.Term, Kind: leadership.Demoted, Read: &at, Led: led}}
		return n.tell(ctx, r)
	}
	got, err := n.StepDown(ctx, b.Term)
	if got, err = n.h.testified(ctx, SteppedDown, got, err); err != nil {
		return handover.Account{}, err
	}
	r, err := b.Release(got)
	if err != nil {
		return handover.Account{}, err
	}
	return n.tell(ctx, r)
}

// refuses ends that the node takes requests, and has those of led that are in
// flight carried on by its successor.
func (n *store) refuses(ctx context.Context, t leadership.Term, to leadership.NodeID, drain time.Duration, led leadership.Term) error {
	_, err := n.gate.Drain(ctx, lameduck.Plan{Until: t, Leader: to, Expire: drain + 200*time.Millisecond})
	var forced *lameduck.ForcedError
	if err != nil && !errors.As(err, &forced) {
		return err
	}
	n.mu.Lock()
	n.hand.carried = led
	n.mu.Unlock()
	return nil
}

// tell sends the release to the candidate, and the others are asked meanwhile.
func (n *store) tell(ctx context.Context, r handover.Release) (handover.Account, error) {
	b, ask := r.Baton, r.Ask()
	for _, id := range b.Others() {
		what := named(n.h.proc, "ask "+b.Term.String(), b.To)
		n.h.Go(func(life context.Context) {
			_, _ = insist(life, n, id, 60*time.Millisecond, what, func(ctx context.Context, s *store) (struct{}, error) {
				return struct{}{}, s.promiseFor(ctx, ask)
			})
		})
	}
	n.mu.Lock()
	log, commit := n.disk.log[:len(n.disk.log):len(n.disk.log)], n.commit
	n.mu.Unlock()
	if len(log)%4 == 3 {
		log = nil // as if it were too long for a message: it has to be fetched
	}
	what := "release " + b.Term.String()
	if n.h.proc.Sim().Explored() {
		h := newHasher()
		h.num(digestJSON(r))
		h.entries(log)
		what += " " + strconv.FormatUint(h.sum, 16) + " " + strconv.Itoa(commit)
	}
	return insist(ctx, n, b.To, 150*time.Millisecond, what, func(ctx context.Context, s *store) (handover.Account, error) {
		return s.release(ctx, handover.Relay{Release: r}, false, log, commit)
	})
}

// insist sends a message three times before it gives up: what it is about is
// done once. What a node answers is final.
func insist[V any](ctx context.Context, n *store, to leadership.NodeID, d time.Duration, what string, f func(ctx context.Context, s *store) (V, error)) (V, error) {
	for tries := 1; ; tries++ {
		got, err := sendFor(ctx, d, n.h, to, what, func(ctx context.Context, peer Node) (V, error) {
			return f(ctx, peer.Client.(*store))
		})
		lost := isRefusedDial(err) || errors.Is(err, leadership.ErrUnknownOutcome)
		if err == nil || !lost || tries == 3 || ctx.Err() != nil {
			return got, err
		}
		if err := n.h.Sleep(ctx, 10*time.Millisecond); err != nil {
			return got, err
		}
	}
}

// promiseFor is a member's part: it promises and tells the candidate.
func (n *store) promiseFor(ctx context.Context, a handover.Ask) error {
	w, err := n.Promise(ctx, a.Term)
	w, err = n.h.testified(ctx, Promised, w, err)
	var stale *leadership.StaleTermError
	if errors.As(err, &stale) {
		w, err = leadership.Testimony{Node: n.h.ID, Term: stale.Promised, Kind: leadership.Refused}, nil
	}
	if err != nil {
		return err
	}
	what := named(n.h.proc, "report "+a.Term.String()+" "+string(n.h.ID), digestJSON(w))
	_, err = insist(ctx, n, a.To, 60*time.Millisecond, what, func(_ context.Context, s *store) (struct{}, error) {
		return struct{}{}, s.feed(w, func(in *handover.Incoming) error {
			if w.Kind == leadership.Refused {
				in.Refuse(a.Term, w.Node, w.Term)
				return nil
			}
			return in.Hear(w)
		})
	})
	return err
}

// feed gives the candidate's side something to think about.
func (n *store) feed(v any, f func(*handover.Incoming) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := hasher{n.hand.fed}
	if n.h.proc.Sim().Explored() {
		h.num(digestJSON(v))
	}
	n.hand.fed = h.sum
	err := f(n.hand.incoming)
	n.wake()
	return err
}

// takes returns the term of which the node takes requests, zero for none.
func (n *store) takes() leadership.Term {
	st := n.acc.Status()
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.hand.staged; st.Leads.IsZero() && !s.IsZero() && st.Accepts == (leadership.Leadership{Leader: n.h.ID, Term: s}) {
		return s
	}
	return st.Leads
}

// gone reports whether a request that was taken under l is answered by nobody any
// more. It is called under mu.
func (n *store) gone(l leadership.Leadership) bool {
	st := n.acc.Status()
	return st.Leads != l.Term && n.hand.carried != l.Term && (n.hand.staged != l.Term || st.Source != l)
}

// digestHandOver adds what a store knows of hand-overs.
func (n *store) digestHandOver(h *hasher) {
	h.num(n.hand.fed)
	h.term(n.hand.carried)
	h.term(n.hand.staged)
	for _, p := range []*passing{n.hand.giving, n.hand.taking} {
		h.flag(p != nil)
		if p != nil {
			h.term(p.term)
			h.flag(p.over)
			h.num(digestJSON(p.account))
			h.flag(p.err == nil)
		}
	}
}
