package reparenttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// errShort says that nobody can lead any more, and that nobody must.
var errShort = errors.New("reparenttest: what is left of the logs may not show all that was completed")

// short reports whether the logs that are left may not show everything that was
// completed: a node lost its storage while another one, which was being repaired,
// had dropped what it had. To lose both is to lose more than the policy allows for.
func (w *world) short() bool {
	var silent uint64
	lost := false
	for _, k := range w.looks {
		gone := w.hosts[k.id].Lost > 0
		if lost = lost || gone; gone || k.known && (k.f.Out || k.f.Floor) {
			silent |= 1 << k.index
		}
	}
	r := w.compiled(w.ruleset)
	_, could := r.Could(r.Leaders(), r.set(silent))
	return lost && could
}

// settled checks the cluster after it was healed: L2 and L3. g is a guard of
// the process that established the leader.
func (w *world) settled(g *reparent.Guard, leader leadership.NodeID) error {
	before := len(w.grants)
	var rep *reparent.SweepReport
	var missing, swept, err error
	for range 8 {
		// What a sweep left is judged between two steps, as everything is.
		if err = w.sim.Do(maxSteps, func() { rep, swept = g.Sweep(context.Background()) }); err != nil {
			break
		}
		if missing = w.stragglers(rep, swept); missing == nil {
			break
		}
		err = w.sim.Do(maxSteps, func() {
			t := time.NewTimer(50*time.Millisecond + 11*time.Nanosecond)
			<-t.C
		})
		if err != nil {
			break
		}
	}
	switch {
	case err != nil:
		return err
	case missing != nil && !w.excused["L3"]:
		return violation("L3", "all faults are over, %s leads, and after eight sweeps: %v", leader, missing)
	case len(w.grants) != before && !w.excused["L2"]:
		return violation("L2", "%s was established, nothing failed and nobody asked, and %s was granted", leader, w.grants[len(w.grants)-1])
	}
	return nil
}

// stragglers says which nodes do not follow, and could.
func (w *world) stragglers(rep *reparent.SweepReport, err error) error {
	if rep == nil || len(rep.Nodes) == 0 {
		return err
	}
	var errs []error
	for _, n := range rep.Nodes {
		if n.Err != nil && w.mayFollow(n.Node) {
			errs = append(errs, fmt.Errorf("%s: %w", n.Node, n.Err))
		}
	}
	return errors.Join(errs...)
}

// mayFollow reports whether a node is able to come back: it has its storage,
// and its adapter can bring it back.
func (w *world) mayFollow(id leadership.NodeID) bool {
	h, k := w.hosts[id], w.look(id)
	able := h.node.Follow != nil && (h.node.Repair != nil || h.node.Truncates)
	if r := w.record(); !r.Ruleset.IsZero() && !r.Ruleset.Has(id) && !(w.h.ours && w.joins) {
		return false // who is no member may or may not be sent anything; our stores ask for it
	}
	return able && h.Lost == 0 && !(k != nil && k.known && k.f.Out)
}

// named: L4. What a change lacked is in its error by name.
func (w *world) named(r *reparent.Report) error {
	var revoked *leadership.NotRevokedError
	var discovered *leadership.NotDiscoveredError
	var durable *leadership.NotDurableError
	var ready *leadership.NotReadyError
	var bad bool
	switch {
	case errors.As(r.Err, &revoked):
		bad = revoked.Counter.Leader == "" || len(revoked.Counter.Could) == 0
	case errors.As(r.Err, &discovered):
		bad = discovered.Counter.Leader == "" || len(discovered.Counter.Could) == 0
	case errors.As(r.Err, &durable):
		bad = len(durable.Missing) == 0
	case errors.As(r.Err, &ready):
		bad = ready.Reason == ""
	default:
		bad = r.Outcome == reparent.Incomplete && (r.Err == nil || r.Failed == "")
	}
	if bad && !w.excused["L4"] {
		return violation("L4", "the change stalled and does not say what is missing:\n%s", r)
	}
	return nil
}
