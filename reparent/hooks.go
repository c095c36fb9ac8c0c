package reparent

import (
	"context"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// Step is one step of a change.
type Step string

// The steps, in order. Up to and including Begin nothing but the record is
// touched, and up to Quiet no node is asked to promise anything. Once the marker is
// durable, at the end of Install, a change goes on whatever becomes of the caller,
// and no hook can veto it. What fails before the grant is undone all the same,
// under a new term; what was granted is not. Lease is there only when a node that
// was reached said that it gave a lease.
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
	// error vetoes the change: until Revoke, and before it, that takes nothing
	// from anybody, and the change is NotStarted; before Propose and Install it
	// is undone. For later steps the error is logged and nothing more: the
	// marker is durable, and going on is the shortest way to a leader.
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
