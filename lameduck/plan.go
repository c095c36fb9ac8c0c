package lameduck

import (
	"context"
	"math"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Plan is what a drain may take and what it tells those it refuses. The zero
// Plan closes the gate at once: idle units are ended, whatever runs is
// cancelled and not waited for.
type Plan struct {
	// Announce is how long the gate stays Announced, always in full: it is
	// the time that balancers and routers need to hear of it. 0 skips the
	// phase.
	Announce time.Duration
	// Units caps DrainUnits, which ends early when no unit is open. 0 skips
	// the phase.
	Units time.Duration
	// All caps DrainAll (the grace), which ends early when no request runs.
	// Units that are idle then are ended. At 0 the gate does not wait.
	All time.Duration
	// Cancel caps the wait after contexts were cancelled, which ends early
	// when no request runs. At 0 the gate does not wait.
	Cancel time.Duration

	// Spread is the time over which the streams that are open when the drain
	// begins are told, share by share, so that their clients do not all come
	// back at the same moment elsewhere. 0 tells them at once. It must be below
	// Announce + Units + All. Announce alone always takes its time, so a spread
	// within it is kept; what is left of a longer one when the drain cancels or
	// ends is told at once.
	Spread time.Duration
	// Hooks caps the calls of Options.EndUnit, counted from the end of the last
	// phase; 0 means one second, which does not count in the sum.
	Hooks time.Duration

	// Until is the term from which the refused may expect to succeed
	// elsewhere; zero when the same leadership is to take them again. It must
	// not be below the term served.
	Until leadership.Term
	// Leader is a hint where to go, empty when unknown.
	Leader leadership.NodeID
	// Reason is for people; empty means "draining".
	Reason string
	// RetryAfter is the earliest useful time for another try; 0 leaves it to
	// the caller.
	RetryAfter time.Duration

	// Hold keeps the gate in its phase when the context of Drain ends first.
	// By default it serves again: a coordinator that died must not leave a
	// drained leader behind.
	Hold bool
	// Expire makes an ended (or held) drain undo itself, at the same term,
	// when neither Serve nor Seal came within this time of Drain's return. 0
	// never does.
	Expire time.Duration
	// Survivors is the largest number of survivors listed in the report; 0
	// means 32, negative means none. All are counted.
	Survivors int

	_ struct{}
}

// defaultSurvivors bounds Report.Survivors when the plan does not.
const defaultSurvivors = 32

func (p *Plan) validate() error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"Announce", p.Announce}, {"Units", p.Units}, {"All", p.All},
		{"Cancel", p.Cancel}, {"Spread", p.Spread}, {"Hooks", p.Hooks}, {"RetryAfter", p.RetryAfter}, {"Expire", p.Expire},
	} {
		if f.d < 0 {
			return &PlanError{Field: f.name, Reason: "is negative"}
		}
	}
	if p.Spread > 0 && p.Spread >= sum(p.Announce, p.Units, p.All) {
		return &PlanError{Field: "Spread", Reason: "is not below Announce + Units + All"}
	}
	if !p.Until.IsZero() {
		if err := p.Until.Validate(); err != nil {
			return &PlanError{Field: "Until", Reason: err.Error()}
		}
	}
	if p.Leader != "" {
		if err := p.Leader.Validate(); err != nil {
			return &PlanError{Field: "Leader", Reason: err.Error()}
		}
	}
	return nil
}

// total is the sum of the caps.
func (p *Plan) total() time.Duration { return sum(p.Announce, p.Units, p.All, p.Cancel, p.Hooks) }

// sum saturates.
func sum(ds ...time.Duration) (s time.Duration) {
	for _, d := range ds {
		if d > math.MaxInt64-s {
			return math.MaxInt64
		}
		s += d
	}
	return s
}

// check is everything that can be said against a drain before it is begun.
func (p *Plan) check(ctx context.Context) error {
	if ctx == nil {
		return &PlanError{Field: "ctx", Reason: "is nil"}
	}
	if err := p.validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if need, have := p.total(), time.Until(deadline); need > have {
			return &DeadlineError{Need: need, Have: have}
		}
	}
	return nil
}
