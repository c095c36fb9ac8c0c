package reparenttest

import (
	"fmt"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// nextValue numbers values per process, so that the order in which goroutines
// of one step run does not show.
func (o *oracle) nextValue(p *stepsim.Proc) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.values[p]++
	v := uint64(p.Index())*100_000 + o.values[p]
	o.answers[v] = pending
	return v
}

// answered classes what a client was told.
func (o *oracle) answered(v uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.answers[v] = acknowledged
		o.counts["acknowledged"]++
	case leadership.NotExecuted(err) || isRefusedDial(err):
		o.answers[v] = refused
		o.counts["refused"]++
	default:
		o.answers[v] = unknown
		o.counts["unknown"]++
	}
}

// readOp is one confirmed read of a client.
type readOp struct {
	at   leadership.NodeID
	must map[uint64]bool // acknowledged before it began
	got  []uint64
}

// reading notes the beginning of a read and returns what notes its end.
func (o *oracle) reading(at leadership.NodeID) func([]uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	must := map[uint64]bool{}
	for v, a := range o.answers {
		if a == acknowledged {
			must[v] = true
		}
	}
	return func(got []uint64, err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if err == nil {
			o.counts["read"]++
			o.reads = append(o.reads, readOp{at, must, got})
		}
	}
}

// verify checks what clients were told against the log that a leader has.
func (w *World) verify(leader leadership.NodeID) error {
	if w.err != nil {
		return w.err
	}
	if err := w.truthful(); err != nil {
		return err
	}
	// Values are taken through the client's own interface: nothing else is
	// known of a user's node.
	var log []uint64
	p := w.sim.Proc("verifier")
	var rerr error
	if err := w.sim.Do(maxSteps, func() {
		log, rerr = w.readAll(p, leader)
	}); err != nil {
		return err
	}
	if rerr != nil {
		return &Violation{"L1", fmt.Sprintf("%s leads, and cannot be read from: %v", leader, rerr)}
	}
	return w.history(log)
}

// history checks the final log and every read against what clients were told:
// each acknowledged value once, no refused one, every read a prefix of the log
// that holds what was acknowledged before it began. It takes time linear in
// the sizes of all reads.
func (w *World) history(log []uint64) error {
	at := make(map[uint64]int, len(log))
	for i, v := range log {
		if j, twice := at[v]; twice {
			return &Violation{"G2", fmt.Sprintf("value %d is in the log twice, at %d and %d", v, j+1, i+1)}
		}
		at[v] = i
		if _, known := w.answers[v]; !known {
			return &Violation{"G2", fmt.Sprintf("value %d is in the log, and nobody wrote it", v)}
		}
	}
	for v, a := range w.answers {
		_, in := at[v]
		switch {
		case a == acknowledged && !in:
			return &Violation{"G2", fmt.Sprintf("value %d was acknowledged and is lost", v)}
		case a == refused && in:
			return &Violation{"G9", fmt.Sprintf("value %d was refused as not executed and is in the log", v)}
		}
	}
	for _, r := range w.reads {
		for i, v := range r.got {
			if i >= len(log) || log[i] != v {
				return &Violation{"I23", fmt.Sprintf("a read at %s showed value %d at %d, which the log has not there", r.at, v, i+1)}
			}
		}
		for v := range r.must {
			if at[v] >= len(r.got) {
				return &Violation{"I23", fmt.Sprintf("a read at %s did not show value %d, acknowledged before it began", r.at, v)}
			}
		}
	}
	return nil
}

// truthful checks what coordinators said of their changes against what became
// of them.
func (w *World) truthful() error {
	granted := map[leadership.Term]bool{}
	for _, g := range w.grants {
		granted[g.Term] = true
	}
	bad := func(r *reparent.Report, format string, args ...any) error {
		return &Violation{"G9", fmt.Sprintf(format, args...) + ":\n" + r.String()}
	}
	for _, r := range w.reports {
		switch {
		case r.Outcome == reparent.NotStarted && w.promised[r.Term]:
			return bad(r, "reported as not started, and a node promised %s", r.Term)
		case r.Outcome == reparent.Done && !granted[r.Term]:
			return bad(r, "reported as done, and %s was never granted", r.Term)
		case r.Outcome == reparent.Restored && (r.Undo == nil || !granted[r.Undo.Term]):
			return bad(r, "reported as restored, and nobody was")
		case r.Outcome != reparent.Done && r.Outcome != reparent.Incomplete && r.Outcome != reparent.Unknown && granted[r.Term] && r.Failed != reparent.StepGrant:
			return bad(r, "%s was granted, and is reported as %s", r.Term, r.Outcome)
		case (r.Err == nil) != (r.Outcome == reparent.Done):
			return bad(r, "outcome %s with error %v", r.Outcome, r.Err)
		}
	}
	return nil
}
