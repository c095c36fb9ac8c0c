package reparent

import (
	"context"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Step is one step of a change.
type Step string

// The steps, in order. Up to and including Begin nothing but the record is
// touched; the marker being durable, at the end of Install, is the point of no
// return.
const (
	StepCheck    Step = "check"
	StepLoad     Step = "load"
	StepSurvey   Step = "survey"
	StepPlan     Step = "plan"
	StepBegin    Step = "begin"
	StepPrepare  Step = "prepare"
	StepHold     Step = "hold"
	StepQuiet    Step = "quiet"
	StepRevoke   Step = "revoke"
	StepHandOver Step = "hand over" // in place of the next two, or, led by the leader, of Revoke too
	StepPropose  Step = "propose"
	StepInstall  Step = "install"
	StepActivate Step = "activate"
	StepLease    Step = "lease"
	StepGrant    Step = "grant"
	StepRoute    Step = "route"
	StepSettle   Step = "settle"
)

// vetoable are the steps before which a hook may still say no.
func (s Step) vetoable() bool {
	switch s {
	case StepBegin, StepPrepare, StepHold, StepQuiet, StepHandOver, StepRevoke, StepPropose, StepInstall:
		return true
	}
	return false
}

// Event is what hooks are told.
type Event struct {
	Cluster string
	Kind    leadership.Kind
	Step    Step
	Term    leadership.Term
	From    leadership.NodeID
	To      leadership.NodeID // empty until it is chosen
	// Err is what the step came to; nil before it.
	Err error
}

// Hooks are called synchronously, outside of every lock, by the goroutine that
// runs the change. Nil fields are skipped.
type Hooks struct {
	// Before is called before each step. For the steps Begin to Install an
	// error vetoes the change, which then ends like a failure of that step:
	// a change that was holding is undone. For later steps the error is
	// logged and nothing more: past the point of no return, going on is the
	// only way to end the outage.
	Before func(ctx context.Context, e Event) error
	// After is called after each step.
	After func(e Event)
	// Testimony is called for each testimony as it comes, from the goroutine
	// of the mechanism. It must not block.
	Testimony func(t leadership.Testimony)
}

// VetoError is returned when a hook said no.
type VetoError struct {
	Step Step
	Err  error
}

func (e *VetoError) Error() string {
	return fmt.Sprintf("reparent: vetoed before %s: %v", e.Step, e.Err)
}

// Unwrap returns the hook's error.
func (e *VetoError) Unwrap() error { return e.Err }
