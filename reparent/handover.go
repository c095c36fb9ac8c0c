package reparent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// canLeadItself refuses, before anything is touched, a change that the leader is
// to lead and cannot.
func (a *attempt) canLeadItself() error {
	if !a.change.LeaderLed {
		return nil
	}
	bad := func(format string, args ...any) error {
		return &ChangeError{a.change.Kind, "led by the leader: " + fmt.Sprintf(format, args...)}
	}
	switch {
	case a.from == "":
		return bad("the record names no leader")
	case a.from == a.change.To:
		return bad("%s leads already: run Refresh", a.from)
	case a.rec.Mode != leadership.Full:
		return bad("the cluster is in mode %q, in which nobody may be granted before the record names it: run it without LeaderLed", a.rec.Mode)
	}
	for _, id := range []leadership.NodeID{a.from, a.change.To} {
		if n, ok := a.g.nodes[id]; ok && n.HandOver == nil {
			return bad("the adapter of %s offers no HandOver: run it without LeaderLed", id)
		}
	}
	return nil
}

// baton is what the leader needs of what this attempt knows. Whose word of its
// log is disregarded is barred for good: nothing in a log can lift that.
func (a *attempt) baton() handover.Baton {
	b := handover.Baton{
		Term: a.term, From: a.from, To: a.change.To, Mode: a.rec.Mode,
		Rulesets: a.rulesets, Barred: slices.Clone(a.rec.Barred),
		Drain: a.g.cfg.Limits.Drain, Within: a.g.cfg.Limits.Install,
	}
	for _, id := range slices.Sorted(maps.Keys(a.without)) {
		b.Barred = append(b.Barred, leadership.Bar{Node: id, Term: probe(), Reason: a.without[id], By: a.g.cfg.By})
	}
	return b
}

// handOver has the leader lead the change until the marker is durable. What it
// comes to is for the attempt's own round to say, from what the nodes said; if
// that is enough, an error beside it is of no account. When the leader's answer is
// lost, or the leader, the candidate knows as much.
func (a *attempt) handOver(ctx context.Context) (*leadership.Installed, error) {
	limits := a.g.cfg.Limits
	a.targets() // all of them are asked, if not by us
	b := a.baton()
	acc, err := a.pass(ctx, a.from, b, limits.Revoke+limits.Install)
	if err != nil && silent(acc) && leadership.NotExecuted(err) {
		return nil, err
	}
	if err != nil && silent(acc) && promised(err).IsZero() {
		var also error
		// The end of ctx may be why the leader's answer is missing, and the marker
		// may be durable: that is to be known before anything is undone.
		if acc, also = a.pass(context.WithoutCancel(ctx), b.To, b, limits.Status); also != nil {
			err = errors.Join(err, also)
		}
	}
	return a.judge(b, acc, err, a.report, func() (*leadership.Revocation, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.round.Revocation()
	})
}

// judge says what a hand-over came to, by the account and not by the error beside
// it. add takes what the account tells of a node.
func (a *attempt) judge(b handover.Baton, acc handover.Account, err error, add func(leadership.Testimony), revocation func() (*leadership.Revocation, error)) (*leadership.Installed, error) {
	if silent(acc) {
		return nil, begunError{errors.Join(errSilent, err)}
	}
	if acc.Drained != nil {
		a.drained(a.from, *acc.Drained)
	}
	in, why := a.replay(b, acc, add, revocation)
	if why != nil {
		return nil, begunError{errors.Join(err, why)}
	}
	return in, a.alive()
}

// errSilent is returned when an outcome cannot be found out.
var errSilent = errors.New("reparent: neither the leader nor the candidate tells what became of the hand-over")

// pass asks one of the two for the account.
func (a *attempt) pass(ctx context.Context, id leadership.NodeID, b handover.Baton, d time.Duration) (handover.Account, error) {
	n, err := a.node(id)
	if err != nil {
		return handover.Account{}, err
	}
	return a.hear(ctx, id, "hand over", d, func(ctx context.Context) (handover.Account, error) { return n.HandOver.HandOver(ctx, b) })
}

// hear gets an account from a node within d.
func (a *attempt) hear(ctx context.Context, id leadership.NodeID, op string, d time.Duration, ask func(context.Context) (handover.Account, error)) (handover.Account, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	acc, err := ask(ctx)
	if err != nil {
		err = superseded(a.term, &revoke.NodeError{Node: id, Op: op, Err: err})
	}
	return acc, err
}

// silent reports whether an account tells nothing.
func silent(acc handover.Account) bool {
	return len(acc.Basis)+len(acc.Late) == 0
}

// replay finds out from an account whether the candidate is established.
func (a *attempt) replay(b handover.Baton, acc handover.Account, add func(leadership.Testimony), revocation func() (*leadership.Revocation, error)) (*leadership.Installed, error) {
	p, err := acc.Replay(b, add, revocation)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	for _, x := range acc.Accepted {
		a.rep.accepted(x, nil)
	}
	a.mu.Unlock()
	return p.Installed()
}

// begunError is the failure of a hand-over, or of a change, that may have been begun.
type begunError struct{ error }

func (e begunError) Unwrap() error { return e.error }

// NotExecuted reports false, whatever the part that failed proves of itself.
func (begunError) NotExecuted() bool { return false }
