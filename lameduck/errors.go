package lameduck

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

var (
	// ErrTooLate is returned by Resume after the drain has ended: whoever
	// drained may already have acted on it. Only Serve with a higher term, or
	// the expiry named by the plan, opens the gate again.
	ErrTooLate = errors.New("lameduck: too late to resume: the drain has ended")
	// ErrResumed is returned by Drain when Resume or Serve undid it.
	ErrResumed = errors.New("lameduck: the drain was undone, the gate serves again")
	// ErrDraining is returned by Drain when another Drain of the same gate runs.
	ErrDraining = errors.New("lameduck: the gate is being drained by another call")
	// ErrNotUnit is returned by Continue on a token that belongs to no unit.
	ErrNotUnit = errors.New("lameduck: only a unit has continuations")
	// ErrExited is returned by Continue on a token whose unit has exited.
	ErrExited = errors.New("lameduck: the unit has exited")
	// ErrCellClosed is returned by Enter on a cell after Close.
	ErrCellClosed = errors.New("lameduck: the cell is closed")
	// ErrCellInUse is returned by Close on a cell that still counts something.
	ErrCellInUse = errors.New("lameduck: the cell is in use")
)

// RestartUnitError is returned by Continue when the unit was idle and a drain
// ended it. It proves that the continuation was not executed and, provided
// that the host exits a unit when it commits it, that the unit was not
// committed and never will be: run the whole unit again, elsewhere.
type RestartUnitError struct {
	// Refusal says where and when; never nil.
	Refusal *leadership.Refusal
}

func (e *RestartUnitError) Error() string {
	s := "lameduck: the unit was ended by a drain before it committed, restart it"
	if e.Refusal != nil {
		s += ": " + e.Refusal.Error()
	}
	return s
}

// Unwrap returns the refusal.
func (e *RestartUnitError) Unwrap() error {
	if e.Refusal == nil {
		return nil // and not an error that holds a nil pointer
	}
	return e.Refusal
}

// NotExecuted reports true.
func (e *RestartUnitError) NotExecuted() bool { return true }

// UnitCutError is returned by Continue when a drain cut the unit while another
// continuation of it was running: that one may have committed, so the outcome
// of the unit is unknown. It matches leadership.ErrUnknownOutcome.
type UnitCutError struct {
	// Refusal says why; never nil.
	Refusal *leadership.Refusal
}

func (e *UnitCutError) Error() string {
	s := "lameduck: the unit was cut while one of its requests was running, its outcome is unknown"
	if e.Refusal != nil {
		s += ": " + e.Refusal.Reason
	}
	return s
}

// Is reports whether target is leadership.ErrUnknownOutcome. The refusal is
// deliberately not part of the chain: it would prove too much.
func (e *UnitCutError) Is(target error) bool { return target == leadership.ErrUnknownOutcome }

// NotExecuted reports false.
func (e *UnitCutError) NotExecuted() bool { return false }

// CancelledError is the cause (context.Cause) of a token's context that a drain
// has cancelled. It proves nothing, NotExecuted of package leadership is false:
// what runs with the context may have had any effect, and net/http, database
// drivers and handlers return the cause as the error of what they were doing. It
// matches context.Canceled, in whose place it stands, but not
// leadership.ErrUnknownOutcome: nor does it claim that anything has run.
type CancelledError struct {
	// Refusal says why; never nil. It is a proof only of what tries to enter the
	// gate now, so it is not part of the chain: do not return it as the error of
	// what was cancelled.
	Refusal *leadership.Refusal
	// Idle is true for the context of a unit that was ended while none of its
	// requests ran. What proves that the unit was not committed is the
	// *RestartUnitError of Continue; here the same would be taken for a proof
	// about whatever else was done with the context.
	Idle bool
}

func (e *CancelledError) Error() string {
	s := "lameduck: cancelled by a drain"
	if e.Idle {
		s = "lameduck: cancelled by a drain that ended the unit"
	}
	if e.Refusal != nil {
		s += ": " + e.Refusal.Reason
	}
	return s
}

// Is reports whether target is context.Canceled.
func (e *CancelledError) Is(target error) bool { return target == context.Canceled }

// NotExecuted reports false.
func (e *CancelledError) NotExecuted() bool { return false }

// PlanError is returned by Drain for a plan that cannot be kept. Nothing was
// touched.
type PlanError struct{ Field, Reason string }

func (e *PlanError) Error() string { return "lameduck: bad plan: " + e.Field + " " + e.Reason }

// NotExecuted reports true.
func (e *PlanError) NotExecuted() bool { return true }

// DeadlineError is returned by Drain when the caps of the plan add up to more,
// Need, than the context allows, Have. Nothing was touched.
type DeadlineError struct{ Need, Have time.Duration }

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("lameduck: the plan may take %v but the context ends in %v", e.Need, e.Have)
}

// NotExecuted reports true.
func (e *DeadlineError) NotExecuted() bool { return true }

// PhaseError is returned for an operation that the gate's phase does not
// allow. Nothing was touched.
type PhaseError struct {
	Op    string
	Phase Phase
}

func (e *PhaseError) Error() string {
	return fmt.Sprintf("lameduck: cannot %s a gate that is %s", e.Op, e.Phase)
}

// NotExecuted reports true.
func (e *PhaseError) NotExecuted() bool { return true }

// TermOrderError is returned by Serve and Seal for a term that is not above
// those the gate has seen. Nothing was touched.
type TermOrderError struct{ Asked, Served, Sealed leadership.Term }

func (e *TermOrderError) Error() string {
	return fmt.Sprintf("lameduck: term %s is too low: the gate served %s and is sealed by %s", e.Asked, e.Served, e.Sealed)
}

// NotExecuted reports true.
func (e *TermOrderError) NotExecuted() bool { return true }

// KindError is returned by Enter for a value that is no Kind.
type KindError struct{ Kind Kind }

func (e *KindError) Error() string {
	return "lameduck: no such kind of work: " + strconv.Itoa(int(e.Kind))
}

// NotExecuted reports true.
func (e *KindError) NotExecuted() bool { return true }

// CapacityError is returned by Enter and Continue when one cell counts as many
// as its field can hold. Use more cells.
type CapacityError struct {
	Kind Kind
	Max  int
}

func (e *CapacityError) Error() string {
	return fmt.Sprintf("lameduck: one cell cannot count more than %d of kind %s", e.Max, e.Kind)
}

// NotExecuted reports true.
func (e *CapacityError) NotExecuted() bool { return true }

// ForcedError is returned by Drain, together with the report, when the caps
// ran out and requests still ran. Their outcome is unknown to the gate.
type ForcedError struct{ Survivors int }

func (e *ForcedError) Error() string {
	return fmt.Sprintf("lameduck: forced: %d requests are still running", e.Survivors)
}

// BrokenOffError is returned by Drain when its context ended first.
type BrokenOffError struct {
	// Phase is how far the drain had come.
	Phase Phase
	// Held is true when the gate stays in that phase (Plan.Hold); otherwise it
	// serves again.
	Held bool
	// Err is the context's cause, joined with its error unless it matches that.
	Err error
}

func (e *BrokenOffError) Error() string {
	then := "the gate serves again"
	if e.Held {
		then = "the gate stays in it"
	}
	return fmt.Sprintf("lameduck: the drain was broken off in phase %s, %s: %v", e.Phase, then, e.Err)
}

// Unwrap returns Err.
func (e *BrokenOffError) Unwrap() error { return e.Err }
