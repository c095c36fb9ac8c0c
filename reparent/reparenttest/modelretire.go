package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// Retire implements handover.Retirer. Under every other term it waits for nothing
// and has the successor carry on what is in flight, where that can; which terms
// depends on who that is.
func (n *store) Retire(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
	n.h.w.count("a leader that retired")
	led := n.acc.Status().Leads
	if !n.handsOver() || (r.Term.Num+uint64(n.h.w.index(r.To)))%2 == 1 || led.IsZero() {
		return handover.Retire(ctx, n, r)
	}
	if err := n.current(r.Term); err != nil {
		return handover.Retired{}, err
	}
	if err := n.refuses(ctx, r.Term, r.To, r.Drain, led); err != nil {
		return handover.Retired{}, begun{err}
	}
	if n.bugs.earlyRetire {
		at := n.position()
		return handover.Retired{StepDown: leadership.Testimony{Node: n.h.ID, Incarnation: n.disk.incarnation, Term: r.Term, Kind: leadership.Demoted, Read: &at, Led: led}}, nil
	}
	got, err := n.StepDown(ctx, r.Term)
	if err != nil {
		return handover.Retired{}, begun{err}
	}
	return handover.Retired{StepDown: got}, nil
}

// TakeOver implements handover.Successor.
func (n *store) TakeOver(ctx context.Context, r handover.Relay) (handover.Account, error) {
	n.h.w.count("a successor that was relayed to")
	if len(r.Heard) > 0 {
		n.h.w.count("a spare promise")
	}
	return n.release(ctx, r, true, nil, 0)
}
