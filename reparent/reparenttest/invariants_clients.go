package reparenttest

import (
	"cmp"
	"math"
	"slices"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// appending notes the beginning of an append and returns its value, which no
// other has, and what notes its end. Values are numbered per process, so that
// the order in which goroutines of one step run does not show.
func (w *world) appending(p *stepsim.Proc, at leadership.NodeID) (uint64, func(error)) {
	w.mu.Lock()
	w.values[p]++
	v := valueOf(p, w.values[p])
	w.mu.Unlock()
	return v, w.appends(p.Index(), v, at)
}

// valueOf is what a process appends the n-th time.
func valueOf(p *stepsim.Proc, n uint64) uint64 { return uint64(p.Index())*100_000 + n }

// appends notes the beginning of an append of a value by a client, and returns
// what notes its end.
func (w *world) appends(client int, v uint64, at leadership.NodeID) func(error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &op{client: client, at: string(at), value: v, began: w.now.Load(), ended: math.MaxInt64}
	w.ops = append(w.ops, o)
	return func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		o.ended = w.now.Load()
		switch {
		case err == nil:
			o.class = acknowledged
			w.counts["acknowledged"]++
		case leadership.NotExecuted(err) || isRefusedDial(err):
			o.class = refused
			w.counts["refused"]++
		default:
			o.class = unknown
			w.counts["unknown"]++
		}
		w.told = append(w.told, reply{o.value, o.class})
	}
}

// reading notes the beginning of a read and returns what notes its end.
func (w *world) reading(p *stepsim.Proc, at leadership.NodeID) func([]uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &op{client: p.Index(), at: string(at), began: w.now.Load(), ended: math.MaxInt64}
	w.ops = append(w.ops, o)
	return func(got []uint64, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		o.ended = w.now.Load()
		if err != nil {
			o.class = refused
			return
		}
		w.counts["read"]++
		o.class, o.got, o.n = acknowledged, got, len(got)
		for _, v := range got {
			o.sum = digestOf(o.sum, v)
		}
	}
}

// sawAnswer: I12, as soon as it shows.
func (w *world) sawAnswer(t reply) {
	w.answers[t.value] = t.class
	at, completed := w.at[t.value]
	switch {
	case !w.tells:
	case t.class == acknowledged && !completed:
		w.fail("I12", "value %d was acknowledged, and nobody completed it", t.value)
	case t.class == refused && completed:
		w.fail("I12", "value %d was refused as not executed, and had been completed as entry %d", t.value, at)
	}
}

// checkUnrefused: I12, of what is completed after its client was told.
func (w *world) checkUnrefused(v uint64, e Event) {
	if w.answers[v] == refused {
		w.fail("I12", "%s completes value %d as entry %d, and its client was told that it was not executed", e.Leadership, v, e.Index)
	}
}

// verify checks what clients and coordinators were told against what a leader
// has.
func (w *world) verify(leader leadership.NodeID) error {
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
		return violation("L1", "%s leads, and cannot be read from: %v", leader, rerr)
	}
	return w.history(log)
}

// history checks what clients saw against the final log.
func (w *world) history(log []uint64) error {
	// One client's operations are in its own order.
	slices.SortStableFunc(w.ops, func(a, b *op) int { return cmp.Compare(a.client, b.client) })
	if v := checkHistory(w.ops, log); v != nil && !w.excused[v.Name] {
		return v
	}
	return nil
}

// truthful checks what coordinators said of their changes against what became
// of them.
func (w *world) truthful() error {
	granted := map[leadership.Term]bool{}
	for _, g := range w.grants {
		granted[g.Term] = true
	}
	for _, r := range w.reports {
		if says := untrue(r, granted, w.promised); says != "" && !w.excused["G9"] {
			return violation("G9", "%s:\n%s", says, r)
		}
		if err := w.named(r); err != nil {
			return err
		}
	}
	return nil
}

func handedOver(r *reparent.Report) bool {
	return slices.ContainsFunc(r.Steps, func(s reparent.StepReport) bool { return s.Step == reparent.StepHandOver })
}

// untrue says what is wrong with a report, "" for nothing.
func untrue(r *reparent.Report, granted, promised map[leadership.Term]bool) string {
	switch {
	case r.Outcome == reparent.NotStarted && promised[r.Term]:
		return "reported as not started, and a node promised " + r.Term.String()
	case r.Outcome == reparent.Done && !granted[r.Term]:
		return "reported as done, and " + r.Term.String() + " was never granted"
	case r.Outcome == reparent.Restored && (r.Undo == nil || !granted[r.Undo.Term]):
		return "reported as restored, and nobody was"
	case r.Outcome == reparent.Unsaved && !granted[r.Term]:
		return "reported as unsaved, and " + r.Term.String() + " was never granted"
	case r.Outcome != reparent.Done && r.Outcome != reparent.Unsaved && (r.Outcome != reparent.Superseded || r.Failed != reparent.StepRoute) && r.Outcome != reparent.Unknown && granted[r.Term] &&
		r.Failed != reparent.StepGrant && !handedOver(r): // of which the answer may be lost, and who may grant itself
		return r.Term.String() + " was granted, and is reported as " + string(r.Outcome)
	case r.Undo != nil && slices.ContainsFunc(r.Testimony, func(h reparent.Heard) bool { return h.Kind == leadership.Refused }):
		return "it was told of an attempt above " + r.Term.String() + ", whose leader an undo takes down, and was undone"
	case (r.Err == nil) != (r.Outcome == reparent.Done):
		return "the outcome is " + string(r.Outcome) + ", and the error says otherwise"
	}
	return ""
}
