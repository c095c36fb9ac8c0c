package kv

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// Retire implements handover.Retirer. What is in flight is not waited for: the
// successor carries it on, as in a hand-over. A member that does not lead, or did
// so already for the same term, has nothing to finish and promises.
func (n *Node) Retire(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
	if _, ok := n.cfg.Peers[r.To]; !ok || r.To == n.cfg.ID {
		return handover.Retired{}, &handover.BatonError{Field: "To", Reason: "it is " + string(r.To) + ", and not another member of whom this one has an address"}
	}
	switch st := n.store.acc.Status(); {
	case r.Term.Less(st.Promised):
		return handover.Retired{}, &leadership.StaleTermError{Node: n.cfg.ID, Asked: r.Term, Promised: st.Promised}
	case st.Leads.IsZero() || st.Leads == r.Term:
		return handover.Retire(ctx, n, r)
	}
	stepDown, tail, err := n.letGo(ctx, r.Term, r.To)
	return handover.Retired{StepDown: stepDown, Tail: tail}, err
}
