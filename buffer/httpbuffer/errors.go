package httpbuffer

import (
	"errors"
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
	// Err is what Options.URL returned. One that says whether something was
	// executed is found by errors.Is only: it is not the leader's word.
	Err error
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

// muted is an error of a base that says of another call whether it was executed.
// net/http returns the cause of a context as it is, and that may be the refusal
// of a gate in front of the client, or how another call of a group has ended. It
// is shown, and errors.Is finds it, but not errors.As nor leadership.NotExecuted.
type muted struct{ err error }

func (e *muted) Error() string { return "about another call: " + e.err.Error() }

func (e *muted) Is(target error) bool { return errors.Is(e.err, target) }

func mute(err error) error {
	if speaks(err) {
		return &muted{err}
	}
	return err
}

// speaks reports whether err, or what it wraps, says whether something was
// executed.
func speaks(err error) bool {
	var p interface{ NotExecuted() bool }
	return errors.As(err, &p)
}

// refuses reports whether a lane may take err for the word of its leader.
func refuses(err error) bool {
	var r *leadership.Refusal
	var s *leadership.StaleTermError
	return errors.As(err, &r) || errors.As(err, &s)
}
