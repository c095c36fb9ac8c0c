package kv

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// A change that the leader leads. What is in flight is not waited for: it is in
// the log that the candidate takes over, completes with the marker behind it, and
// is answered here, where its clients wait, once this member is told so.

// handing is one hand-over at one of its two ends. Copies of a message share it.
type handing struct {
	term    leadership.Term
	done    chan struct{} // closed when account and err are set
	account handover.Account
	err     error
}

// share runs do for the term, in the background and until the member stops,
// unless that was begun already, and returns what it comes to.
func (n *Node) share(ctx context.Context, slot **handing, t leadership.Term, do func(context.Context) (handover.Account, error)) (handover.Account, error) {
	n.mu.Lock()
	h := *slot
	switch {
	case n.stopped.Err() != nil:
		n.mu.Unlock()
		return handover.Account{}, errStopped
	case h == nil || h.term.Less(t):
		h = &handing{term: t, done: make(chan struct{})}
		*slot = h
		n.wg.Go(func() {
			defer close(h.done)
			h.account, h.err = do(n.stopped)
		})
	}
	n.mu.Unlock()
	if t.Less(h.term) {
		return handover.Account{}, &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: h.term}
	}
	select {
	case <-h.done:
		return h.account, h.err
	case <-ctx.Done():
		return handover.Account{}, context.Cause(ctx)
	}
}

// errNotLeading proves nothing: an earlier copy of the baton may be why.
var errNotLeading = errors.New("kv: the member does not lead")

// HandOver implements handover.Leader.
func (n *Node) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	if err := b.Validate(nil); err != nil {
		return handover.Account{}, err
	}
	if b.To == n.cfg.ID {
		return n.tookOver(ctx, b.Term)
	}
	if b.From != n.cfg.ID {
		return handover.Account{}, &handover.BatonError{Field: "From", Reason: "it is " + string(b.From) + ", not " + string(n.cfg.ID)}
	}
	if _, ok := n.cfg.Peers[b.To]; !ok {
		return handover.Account{}, &handover.BatonError{Field: "To", Reason: "it is " + string(b.To) + ", of whom this member has no address"}
	}
	n.mu.Lock()
	again := n.giving != nil && n.giving.term == b.Term
	n.mu.Unlock()
	if st := n.store.acc.Status(); !again {
		switch {
		case b.Term.Less(st.Promised):
			return handover.Account{}, &leadership.StaleTermError{Node: n.cfg.ID, Asked: b.Term, Promised: st.Promised}
		case st.Leads.IsZero() || st.Leads == b.Term:
			return handover.Account{}, errNotLeading
		}
	}
	return n.share(ctx, &n.giving, b.Term, func(ctx context.Context) (handover.Account, error) { return n.giveUp(ctx, b) })
}

// giveUp is the leader's half.
func (n *Node) giveUp(ctx context.Context, b handover.Baton) (handover.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Within)
	defer cancel()
	stepDown, tail, err := n.letGo(ctx, b.Term, b.To)
	if err != nil {
		return handover.Account{}, err
	}
	release, err := b.Release(stepDown)
	if err != nil {
		return handover.Account{}, notProof{err}
	}

	asking, enough := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer enough()
	for _, id := range b.Others() {
		wg.Go(func() {
			ask := release.Ask()
			_ = n.insist(asking, id, func(r *Remote) error {
				_, err := r.call(asking, "ask", nodeRequest{Term: b.Term, Ask: &ask})
				return err
			})
		})
	}
	var account handover.Account
	err = n.insist(ctx, b.To, func(r *Remote) (err error) {
		account, err = r.account(ctx, "release", nodeRequest{Term: b.Term, Release: &release, Tail: tail})
		return err
	})
	if err != nil {
		return account, notProof{err}
	}
	return account, nil
}

// letGo has the leader refuse and promise t, and returns the end of its log: what
// to is not known to have.
func (n *Node) letGo(ctx context.Context, t leadership.Term, to leadership.NodeID) (stepDown leadership.Testimony, tail []byte, err error) {
	_, err = n.gate.Drain(ctx, lameduck.Plan{Until: t, Leader: to, Reason: "handing over to " + string(to), RetryAfter: retryAfter, Expire: n.cfg.DrainGrace})
	var forced *lameduck.ForcedError // what runs is carried on
	var phase *lameduck.PhaseError
	switch {
	case err == nil, errors.As(err, &forced):
	case errors.As(err, &phase) && phase.Phase.Ended():
		// Drained already, for an earlier baton or by a coordinator that has gone
		// since: whose step-down comes first, the term decides.
	default:
		// Of this member alone it may prove something; of another baton, which
		// may be about to step it down, nothing.
		return stepDown, nil, notProof{err}
	}
	ls := n.leading()
	if ls == nil {
		return stepDown, nil, errNotLeading
	}
	ls.mu.Lock()
	ls.carried = true
	var level uint64
	if m, ok := ls.cohort.Member(to); ok {
		level = ls.levels[m]
	}
	ls.mu.Unlock()
	n.carried.Store(ls)
	stepDown, err = n.StepDown(ctx, t)
	if err != nil {
		return stepDown, nil, notProof{err}
	}
	var end pullReply
	end.prev, end.entries = n.store.log.Tail(level, maxBatch, batchBytes)
	return stepDown, end.encode(), nil
}

// forget answers what waits and will not be answered here any more. The
// leadership has ended: nothing joins it.
func (ls *leader) forget() {
	ls.mu.Lock()
	waiting := ls.waiting
	ls.waiting = nil
	ls.mu.Unlock()
	for i, p := range waiting {
		p.result <- proposed{index: i, err: errNotCompleted}
	}
}

// notProof is the failure of a hand-over that was begun.
type notProof struct{ error }

func (e notProof) Unwrap() error { return e.error }

// NotExecuted reports false, whatever the part that failed proves of itself.
func (notProof) NotExecuted() bool { return false }

// insist sends until there is an answer. A member's own word is one: only what
// was lost on the way is sent again.
func (n *Node) insist(ctx context.Context, to leadership.NodeID, send func(*Remote) error) error {
	r := NewRemote(to, n.cfg.Peers[to], n.http)
	for {
		err := send(r)
		var lost *RemoteError
		if err == nil || !errors.As(err, &lost) || lost.err == nil || lost.told || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(backOff)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// serveHandOver is the part of the control protocol that belongs to hand-overs.
// It returns errMessage for a call that lacks its argument.
func (n *Node) serveHandOver(ctx context.Context, call string, req nodeRequest) (*handover.Account, error) {
	var a handover.Account
	var err error
	switch {
	case call == "handover" && req.Baton != nil:
		a, err = n.HandOver(ctx, *req.Baton)
	case call == "release" && req.Release != nil:
		a, err = n.succeed(ctx, handover.Relay{Release: *req.Release, Tail: req.Tail}, false)
	case call == "takeover" && req.Relay != nil:
		a, err = n.TakeOver(ctx, *req.Relay)
	case call == "ask" && req.Ask != nil:
		return nil, n.asked(ctx, *req.Ask)
	case call == "report" && req.Testimony != nil:
		return nil, n.reported(req.Term, *req.Testimony)
	default:
		return nil, errMessage
	}
	return &a, err
}
