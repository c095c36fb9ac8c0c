package reparent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Quiet is what a change that steps a leader down found at Config.Barrier.
type Quiet struct {
	leadership.RollCall
	// Claimed says that the change did not cost a request of any router an error
	// by stepping the leader down (G7): every router with a lease was quiet then,
	// none had lost its lease with requests in flight, routers still held, and the
	// drain cut nothing off. What it costs them to wait is bounded by their own
	// caps.
	Claimed bool `json:"claimed"`
	// Reason is why that is not claimed.
	Reason string `json:"reason,omitempty"`
}

// String returns the roll call, and why nothing is claimed.
func (q *Quiet) String() string {
	s := q.RollCall.String()
	if !q.Claimed {
		s += "; that no request failed (G7) is not claimed: " + q.Reason
	}
	return s
}

func (q *Quiet) disclaim(format string, args ...any) {
	q.Claimed = false
	if q.Reason == "" {
		q.Reason = fmt.Sprintf(format, args...)
	}
}

// stepsDown reports whether a leader that serves is about to be stepped down, so
// that requests may be in flight that only routers know of.
func (a *attempt) stepsDown() bool {
	return a.change.orderly() || a.change.Kind == leadership.KindResume && a.change.Revoke == nil && a.leads()
}

// quiet waits until no router has a request in flight. Routers hold for the
// attempt's term already, so that none begins one meanwhile; no node has been
// asked for anything, so that to give up costs nothing. What was asked of routers
// was asked for an intent: when that no longer stands, their answers are worth
// nothing, and so it is looked at again after they have come.
func (a *attempt) quiet(ctx context.Context) error {
	wctx, cancel := context.WithTimeoutCause(ctx, a.g.cfg.Limits.Quiet, errLate)
	defer cancel()
	call, err := a.g.cfg.Barrier.Wait(wctx, a.term)
	if call.Term.IsZero() {
		call.Term = a.term
	}
	q := &Quiet{RollCall: call, Claimed: true}
	a.rep.Quiet = q
	switch {
	case err != nil && len(call.Late) > 0:
		q.disclaim("%d routers were late", len(call.Late))
	case err != nil:
		q.disclaim("the barrier could not be asked: %v", err)
	case len(call.Late) > 0:
		q.disclaim("%d routers were late, says a barrier that did not wait for them", len(call.Late))
	case len(call.Lapsed) > 0:
		q.disclaim("%d routers lost their lease, nobody knows what they had in flight", len(call.Lapsed))
	}
	if err != nil && a.change.orderly() && !a.change.GoOnIfLate {
		return err
	}
	return a.write(ctx, func(r leadership.Record) (leadership.Record, error) { return r.Advance(a.term) })
}

// errLate is the cause of a wait for routers that has used up its limit.
var errLate = errors.New("reparent: Limits.Quiet is over")

// claim settles what may be said about requests once the revocation has ended: if
// the leader was stepped down, it was before now.
func (a *attempt) claim() {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.rep.Quiet
	if q == nil {
		return
	}
	if took := time.Since(a.holding); took >= a.g.cfg.Limits.HoldFor {
		q.disclaim("the leader stepped down %s after routers were told to hold, which they do for %s", short(took), short(a.g.cfg.Limits.HoldFor))
	}
	if d := a.rep.Drained; d != nil && d.Survivors > 0 {
		q.disclaim("the drain cut off %d", d.Survivors)
	}
}
