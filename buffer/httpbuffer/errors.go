package httpbuffer

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// ConfigError is returned by New and NewProxy for an argument that cannot be
// used.
type ConfigError struct{ Field, Reason string }

func (e *ConfigError) Error() string { return "httpbuffer: config: " + e.Field + " " + e.Reason }

// RequestError is returned by RoundTrip for a nil request, one without a URL, and
// by the zero Transport. Nothing was sent.
type RequestError struct{ Reason string }

func (e *RequestError) Error() string { return "httpbuffer: " + e.Reason }

// NotExecuted reports true.
func (e *RequestError) NotExecuted() bool { return true }

// TargetError is the last error of a request for whose leadership Options.URL
// knew no place. Nothing was sent.
type TargetError struct {
	To   leadership.Leadership
	Addr string
	Err  error
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("httpbuffer: where is %s (address %q): %v", e.To, e.Addr, e.Err)
}

// Unwrap returns Err.
func (e *TargetError) Unwrap() error { return e.Err }

// LostError is returned for a request that was given a connection and has no
// answer, or none that could be passed on: it may or may not have been
// executed. It wraps leadership.ErrUnknownOutcome.
type LostError struct {
	// Err is what became of the request: an error of the transport, of the
	// buffer when an earlier try is the one that was lost, or of
	// ProxyOptions.ModifyResponse.
	Err error
}

func (e *LostError) Error() string { return fmt.Sprintf("may have been executed: %v", e.Err) }

// Unwrap returns Err and leadership.ErrUnknownOutcome.
func (e *LostError) Unwrap() []error { return []error{e.Err, leadership.ErrUnknownOutcome} }

// NotExecuted reports false, whatever Err says of its own try.
func (e *LostError) NotExecuted() bool { return false }

// ReplayError is returned for a request that has to be sent again and cannot
// be: more of its body is gone than Options.Replay keeps, and it has no
// GetBody.
type ReplayError struct {
	// Err is why the last try failed, a *leadership.Refusal for one. It
	// decides whether the request was executed.
	Err error
}

func (e *ReplayError) Error() string {
	return fmt.Sprintf("httpbuffer: the body is gone, the request cannot be sent again: %v", e.Err)
}

// Unwrap returns Err.
func (e *ReplayError) Unwrap() error { return e.Err }
