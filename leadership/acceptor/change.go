package acceptor

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
)

// take waits for the turn to change the record. Nothing was touched when it
// fails.
func (a *Acceptor) take(ctx context.Context) error {
	if a.view.Load() == nil {
		return ErrNotOpen
	}
	if ctx.Err() != nil {
		return &CanceledError{context.Cause(ctx)}
	}
	select { // most often nobody has it, and ctx needs no channel
	case a.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &CanceledError{context.Cause(ctx)}
	}
}

func (a *Acceptor) give() { <-a.turn }

// change applies edit to the record and makes the outcome durable and visible.
// An error of edit refuses the change: asked is the term it was asked with, for
// the report.
//
// edit starts from the record that was last tried to be saved, settled or not.
// So the record never falls back behind one that may be on disk, and whatever
// is saved next settles what came before.
func (a *Acceptor) change(ctx context.Context, asked leadership.Term, edit func(*State) error) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	next := a.want
	if refused := edit(&next); refused != nil {
		// The refusal reports a promise, so that must be on disk first.
		if a.unsettled {
			if err := a.commit(ctx, a.want); err != nil {
				return &PendingError{Node: a.want.Node, Asked: asked, Err: err}
			}
		}
		return refused
	}
	if !a.unsettled && next.equal(a.want) {
		return nil
	}
	return a.commit(ctx, next)
}

// commit shuts the gates below next's promise, waits until nobody is inside,
// saves, and only then lets the new record be seen.
func (a *Acceptor) commit(ctx context.Context, next State) error {
	a.want, a.unsettled = next, true
	v := a.view.Load()
	if v.Promised.Less(next.Promised) {
		a.shut(v)
		if v.gate != nil {
			v.gate.shut(errShut)
			if err := v.gate.wait(ctx); err != nil {
				return &UnsettledError{Node: next.Node, Term: next.Promised, Err: err}
			}
		}
	}
	if err := a.store.Save(ctx, next); err != nil {
		return &UnsettledError{Node: next.Node, Term: next.Promised, Err: err}
	}
	a.unsettled = false
	a.publish(next)
	return nil
}

// shut replaces the view by one that lets nothing through. From here on every
// Confirm of an earlier Admit fails.
func (a *Acceptor) shut(v *view) {
	if v.changing {
		return
	}
	s := *v
	s.open, s.changing = nil, true
	a.show(&s)
}

// publish makes a record visible that is on disk. The caller has the turn.
func (a *Acceptor) publish(rec State) {
	next := view{State: rec}
	self := leadership.Leadership{Leader: rec.Node, Term: rec.Promised}
	old := a.view.Load()
	if old != nil {
		next.floors, next.logged = old.floors, old.known()
		if next.logged.Less(old.Promised) && old.Promised.Less(rec.Promised) {
			next.logged = leadership.Term{} // it may have been given another tail under old.Promised
		}
		if old.Floor.String() != rec.Floor.String() {
			next.floors++
		}
		if old.Promised == rec.Promised {
			next.lead, next.ousted, next.gate, next.stale = old.lead, old.ousted, old.gate, old.stale
		} else {
			next.ousted = old.lead
			if !old.Promised.IsZero() {
				next.stale = &leadership.StaleTermError{Node: rec.Node, Asked: old.Promised, Promised: rec.Promised}
			}
		}
	}
	switch {
	case old != nil && old.Source == rec.Source && old.Promised == rec.Promised:
		next.open = old.open
	case !rec.Source.IsZero() && rec.Source.Leader != rec.Node:
		next.open = newEpoch(rec.Node, rec.Source)
	}
	if rec.Source == self && next.gate == nil {
		next.gate = newGate()
	}
	a.show(&next)
}

// show makes v what others see. The caller has the turn.
func (a *Acceptor) show(v *view) {
	v.prebuild()
	a.view.Store(v)
	a.open.Store(v.open)
	firm := v.open
	if !a.filled.Load() {
		firm = nil
	}
	a.firm.Store(firm)
}

func newEpoch(id leadership.NodeID, l leadership.Leadership) *epoch {
	return &epoch{Leadership: l, lost: UnconfirmedError{Node: id, Leadership: l}}
}

func (v *view) prebuild() {
	r := &GateError{Node: v.Node, Promised: v.Promised, Changing: v.changing}
	if v.open != nil {
		r.Accepts = v.open.Leadership
	}
	if !v.changing {
		r.Leads = v.lead
	}
	v.refusal = r
}

// refuse returns why l may not pass. Asked with the leadership that was served
// last, it does not allocate.
func (v *view) refuse(l leadership.Leadership) error {
	switch {
	case l.Term.Less(v.Promised):
		return v.staleAt(l.Term)
	case l.Term == v.Source.Term && l.Leader != v.Source.Leader && !l.IsZero():
		return &TwoLeadersError{Node: v.Node, Have: v.Source, Got: l}
	}
	return v.refusal
}

func (v *view) staleAt(t leadership.Term) error {
	if v.stale != nil && v.stale.Asked == t {
		return v.stale
	}
	return &leadership.StaleTermError{Node: v.Node, Asked: t, Promised: v.Promised}
}
