package reparent

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
)

// A coordinator may reach nodes that do not reach each other, and only by trying
// does it learn that a candidate is not among those that can go on together. An
// undo, and the next Emergency or Resume of the same guard, disregard who may be
// to blame for what failed since somebody last led, where the others suffice. Of
// the ways to explain all failures one blames only nodes that are out of reach of
// those that can go on; and an attempt that fails all the same shows that the way
// that it went by explains less than all. So no attempt is made twice, and who can
// go on is found. Nothing rests on it but who is tried.

// failure is an attempt whose marker could not become durable.
type failure struct {
	term leadership.Term
	to   leadership.NodeID
	near []leadership.NodeID // it reached these, which did not suffice
	far  []leadership.NodeID // or it did not get so far: it could not be brought to the logs of these
}

// blames are the ways to explain it, most comprehensive first: who can be
// disregarded at once need not be tried one by one. The last ones are such that
// one of them is right.
func (f failure) blames() [][]leadership.NodeID {
	to := []leadership.NodeID{f.to}
	if len(f.far) > 0 {
		return [][]leadership.NodeID{slices.Concat(to, f.far), f.far, to}
	}
	return [][]leadership.NodeID{slices.Concat(to, f.near), to}
}

// maxFailures bounds how many are remembered, and so how many ways there are.
const maxFailures = 6

// blamed yields every way to explain all failures together.
func blamed(fs []failure) iter.Seq[[]leadership.NodeID] {
	return func(yield func([]leadership.NodeID) bool) { blame(fs, nil, yield) }
}

func blame(fs []failure, ids []leadership.NodeID, yield func([]leadership.NodeID) bool) bool {
	if len(fs) == 0 {
		return yield(ids)
	}
	for _, way := range fs[0].blames() {
		more := slices.Clone(ids)
		for _, id := range way {
			if !slices.Contains(more, id) {
				more = append(more, id)
			}
		}
		if !blame(fs[1:], more, yield) {
			return false
		}
	}
	return true
}

// suspects yields whom to disregard because of what failed before. The one that is
// asked for is never among them.
func (a *attempt) suspects() iter.Seq[[]leadership.NodeID] {
	return func(yield func([]leadership.NodeID) bool) {
		if a.change.Waiver != nil || !a.change.unplanned() && a.change.Kind != leadership.KindResume {
			return
		}
		for ids := range blamed(a.g.failedSince(a.rec.Active.Term)) {
			if len(ids) > 0 && !slices.Contains(ids, a.change.To) && !yield(ids) {
				return
			}
		}
	}
}

// failedSince returns what failed since the leadership of term t was active.
func (g *Guard) failedSince(t leadership.Term) []failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = slices.DeleteFunc(g.failed, func(f failure) bool { return f.term.Compare(t) <= 0 })
	return slices.Clone(g.failed)
}

// learn remembers who could not be established, or that somebody was.
func (a *attempt) learn(ctx context.Context, err error) {
	if a.granted {
		_ = a.g.failedSince(a.term)
		return
	}
	var short *leadership.NotDurableError
	if a.rep.Failed != StepInstall || ctx.Err() != nil || !errors.As(err, &short) {
		return // it had not the time, or another reason
	}
	f := failure{term: a.term, to: a.rep.To}
	var lacks *establish.CatchUpError
	if errors.As(err, &lacks) {
		f.far = a.beyond(a.rep.To)
	} else {
		f.near = slices.Clone(a.rep.Accepted)
	}
	a.g.mu.Lock()
	defer a.g.mu.Unlock()
	if !a.heeded {
		a.g.failed = nil // what was known was not asked for, or of no use
	}
	a.g.failed = append(a.g.failed, f)
	a.g.failed = a.g.failed[max(0, len(a.g.failed)-maxFailures):]
}

// beyond names the nodes with logs that the node's own does not contain.
func (a *attempt) beyond(id leadership.NodeID) (ids []leadership.NodeID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	reads := a.round.Reads()
	i := slices.IndexFunc(reads, func(p leadership.NodePosition) bool { return p.Node == id })
	for _, p := range reads {
		if i < 0 || !reads[i].Position.Extends(p.Position) {
			ids = append(ids, p.Node)
		}
	}
	return ids
}
