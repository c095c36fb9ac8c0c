package lameduck

import (
	"github.com/tenure-go/tenure/leadership"
)

// refusals are built once per drain and handed out by pointer.
type refusals struct {
	units   *leadership.Refusal
	all     *leadership.Refusal
	restart *RestartUnitError
	cut     *UnitCutError
	// The causes of contexts: that of an ended unit, and any other.
	ended, cancelled *CancelledError
}

func newRefusals(served leadership.Term, p *Plan) *refusals {
	all := &leadership.Refusal{
		Term: served, Until: p.Until, Scope: leadership.ScopeAll,
		Leader: p.Leader, Reason: p.Reason, RetryAfter: p.RetryAfter,
	}
	if all.Reason == "" {
		all.Reason = "draining"
	}
	return refusalsOf(all)
}

// refusalsOf derives the other errors from the refusal of everything.
func refusalsOf(all *leadership.Refusal) *refusals {
	units := *all
	units.Scope = leadership.ScopeUnits
	return &refusals{
		units:     &units,
		all:       all,
		restart:   &RestartUnitError{Refusal: all},
		cut:       &UnitCutError{Refusal: all},
		ended:     &CancelledError{Refusal: all, Idle: true},
		cancelled: &CancelledError{Refusal: all},
	}
}

// until returns the same refusals with Until raised to t.
func (r *refusals) until(t leadership.Term) *refusals {
	all := *r.all
	all.Until = leadership.MaxTerm(all.Until, t)
	return refusalsOf(&all)
}

// view is what an entry needs to know of a gate that does not simply serve:
// the furthest of its own phase and its ancestors'. Immutable.
type view struct {
	phase    Phase
	refusals *refusals
	expire   *expiry // the earliest of any ended drain that counts, nil for none
}

// refusal returns why k is refused, nil when the phase admits it.
func (v *view) refusal(k Kind) *leadership.Refusal {
	switch {
	case v.phase >= DrainAll:
		return v.refusals.all
	case v.phase == DrainUnits && k != Single:
		return v.refusals.units
	}
	return nil
}

// flags are those that a phase puts into every cell. In DrainAll the seal is
// set cell by cell, by the drain.
func (p Phase) flags() uint64 {
	switch p {
	case Serving:
		return 0
	case Announced:
		return flagDraining
	case DrainUnits:
		return flagDraining | flagNoUnits
	case DrainAll:
		return flagDraining | flagNoUnits | flagNoSingles
	}
	return phaseFlags
}

// lock takes the tree's mutex and returns its unlock.
func (g *Gate) lock() (unlock func()) {
	top := g
	for top.parent != nil {
		top = top.parent
	}
	if g.step != nil {
		for !top.mu.TryLock() {
			g.step("lock", 0)
		}
		return top.mu.Unlock
	}
	top.mu.Lock()
	return top.mu.Unlock
}

// apply brings views, flags and notices of g and all below it in line with the
// phases. It is called with the tree locked and returns what to do after it is
// unlocked.
func (g *Gate) apply() (after func()) {
	var closing []chan struct{}
	var inherited *view
	if g.parent != nil {
		inherited = g.parent.view.Load()
	}
	g.applyUnder(inherited, &closing)
	return func() { closeAll(closing) }
}

func (g *Gate) applyUnder(inherited *view, closing *[]chan struct{}) {
	v := g.effective(inherited)
	old := g.view.Load()
	phase, before := phaseOf(v), phaseOf(old)
	// A closing gate says why before it closes, an opening one opens first:
	// see refuse.
	if phase >= before {
		g.view.Store(v)
	}
	var keep uint64
	if phase == DrainAll {
		keep = flagSealed
	}
	for _, c := range g.cells {
		c.setFlags(phase.flags(), keep)
	}
	if e := g.era.Load(); phase < Cancelled && e != nil && e.cause.Load() != nil {
		g.era.Store(new(era))
	}
	if before == Serving && phase != Serving {
		g.announced.Add(1)
	}
	if phase < before {
		g.view.Store(v)
	}
	if g.changed != nil && (phase != before || !same(v, old)) {
		*closing = append(*closing, g.changed)
		g.changed = nil
	}
	g.tell(closing)
	for _, ch := range g.children {
		ch.applyUnder(v, closing)
	}
}

func (g *Gate) effective(inherited *view) *view {
	own := g.own
	switch {
	case own.phase == Serving:
		return inherited
	case inherited == nil:
		return &view{phase: own.phase, refusals: own.refusals, expire: own.expire}
	}
	v := *inherited
	if own.phase >= v.phase {
		v.phase, v.refusals = own.phase, own.refusals
	}
	if v.expire == nil || own.expire != nil && own.expire.at.Before(v.expire.at) {
		v.expire = own.expire
	}
	return &v
}

func phaseOf(v *view) Phase {
	if v == nil {
		return Serving
	}
	return v.phase
}

func same(a, b *view) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// lastRefusal returns the refusals in force, or those of the latest drain when
// none is: a unit that was ended stays so when the drain is undone.
func (g *Gate) lastRefusal() *refusals {
	if v := g.view.Load(); v != nil {
		return v.refusals
	}
	unlock := g.lock()
	defer unlock()
	for p := g; p != nil; p = p.parent {
		if p.own.refusals != nil {
			return p.own.refusals
		}
	}
	return newRefusals(g.term(), &Plan{Reason: "the unit was ended"})
}
