package buffer

import (
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// ConfigError is returned by New, and by Follow, for an argument that cannot
// be used. Nothing was started.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "buffer: config: " + e.Field + " " + e.Reason }

var errNoContext error = &ConfigError{"ctx", "is nil"}

// RequestError is returned by Lane.Do and Lane.Enter for a request that cannot
// be run: its function or context is nil, its size is negative, its priority is
// not known, or the lane is the zero Lane. Nothing was run.
type RequestError struct{ Lane, Reason string }

func (e *RequestError) Error() string { return fmt.Sprintf("buffer: lane %q: %s", e.Lane, e.Reason) }

// NotExecuted reports true.
func (e *RequestError) NotExecuted() bool { return true }

// TurnError is returned by Turn.Retry for a turn that is nobody's or over, and
// for a Retry without an error or a context. Nothing is waited for then. It says nothing
// about whether the request was executed: Done was told that.
type TurnError struct{ Lane, Reason string }

func (e *TurnError) Error() string { return fmt.Sprintf("buffer: lane %q: %s", e.Lane, e.Reason) }

// Wait is what every error about a held request carries.
type Wait struct {
	// Lane is the key of the lane.
	Lane string
	// Waited is the time from the first hold to the error.
	Waited time.Duration
	// Tries is how often the request was sent or tried to be sent.
	Tries int
	// Unknown is set for an idempotent request of which some try may have
	// been executed. Then the error wraps leadership.ErrUnknownOutcome.
	Unknown bool
	// Last is the error of the last try, nil when there was none. It is shown
	// and not unwrapped: its meaning (a refusal, a bad connection) is not
	// that of the whole.
	Last error
}

// NotExecuted reports whether it is proven that the request was not executed
// and never will be.
func (w *Wait) NotExecuted() bool { return !w.Unknown }

func (w *Wait) text(what string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "buffer: lane %q: %s, held %s", w.Lane, what, w.Waited.Round(time.Microsecond))
	if w.Unknown {
		b.WriteString(", may have been executed")
	} else {
		b.WriteString(", not executed")
	}
	if w.Last != nil {
		fmt.Fprintf(&b, " (last of %d tries: %v)", w.Tries, w.Last)
	}
	return b.String()
}

func (w *Wait) unwrap(errs ...error) []error {
	if w.Unknown {
		errs = append(errs, leadership.ErrUnknownOutcome)
	}
	return errs
}

// OverflowError is returned for a request that found no room, or that made
// room for a later one as Config.Overflow says.
type OverflowError struct {
	Wait
	// Evicted says that the request was held and gave way.
	Evicted bool
	// Held and Bytes are what the lane held then.
	Held  int
	Bytes int64
}

func (e *OverflowError) Error() string {
	what := "the buffer is full"
	if e.Evicted {
		what = "the buffer is full and a later request took its place"
	}
	return e.text(fmt.Sprintf("%s (%d requests, %d bytes in this lane; see MaxHeld, MaxBytes and Share)", what, e.Held, e.Bytes))
}

// Unwrap returns leadership.ErrUnknownOutcome when Unknown is set.
func (e *OverflowError) Unwrap() []error { return e.unwrap() }

// OutageError is returned for requests held, or arriving, when the lane has
// been without a leader that answers for MaxOutage.
type OutageError struct {
	Wait
	// Outage is how long the lane had been holding.
	Outage time.Duration
}

func (e *OutageError) Error() string {
	return e.text(fmt.Sprintf("no leader has answered for %s, longer than MaxOutage", e.Outage.Round(time.Microsecond)))
}

// Unwrap returns leadership.ErrUnknownOutcome when Unknown is set.
func (e *OutageError) Unwrap() []error { return e.unwrap() }

// AgeError is returned for a request that has been held for Max, which is
// Config.MaxAge.
type AgeError struct {
	Wait
	Max time.Duration
}

func (e *AgeError) Error() string { return e.text("held longer than MaxAge " + e.Max.String()) }

// Unwrap returns leadership.ErrUnknownOutcome when Unknown is set.
func (e *AgeError) Unwrap() []error { return e.unwrap() }

// CanceledError is returned for a request whose context ended while it was
// held, or would end too soon for it to be worth holding. Whether it was executed
// is what the lane knows, whatever Cause says of something else.
type CanceledError struct {
	Wait
	// Err is context.Canceled or context.DeadlineExceeded.
	Err error
	// Cause is context.Cause of the request's context; nil when the context
	// has not ended yet and the request was refused early.
	Cause error
}

func (e *CanceledError) Error() string {
	if e.Cause == nil {
		return e.text("refused early, its own deadline comes before it could be served")
	}
	return e.text(e.Cause.Error())
}

// Unwrap returns Err, Cause, and leadership.ErrUnknownOutcome when Unknown is
// set.
func (e *CanceledError) Unwrap() []error {
	if e.Cause == nil {
		return e.unwrap(e.Err)
	}
	return e.unwrap(e.Err, e.Cause)
}

// ClosedError is returned for requests held when the buffer is closed, and
// for those that come later.
type ClosedError struct{ Wait }

func (e *ClosedError) Error() string { return e.text("closed") }

// Unwrap returns leadership.ErrClosed, and leadership.ErrUnknownOutcome when
// Unknown is set.
func (e *ClosedError) Unwrap() []error { return e.unwrap(leadership.ErrClosed) }
