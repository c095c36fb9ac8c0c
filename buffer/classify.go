package buffer

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/tenure-go/tenure/leadership"
)

// Class is what an error proves about the request it is about.
type Class uint8

const (
	// Unclassified: no opinion. Only Config.Classify returns it.
	Unclassified Class = iota
	// Answered: the request reached a leader that took it and answered. The
	// error is the application's and is returned as it is.
	Answered
	// MaybeExecuted: the request was sent and nothing more is known. It is
	// returned as it is unless the request is Idempotent.
	MaybeExecuted
	// NotSentYet: not a byte of the request left, as after a failed dial. It
	// is tried again with back-off, and never starts a hold by itself.
	NotSentYet
	// Refused: a node proved that it did not execute the request. It is held
	// or sent elsewhere.
	Refused
)

// String returns "answered", "maybe-executed", "not-sent", "refused" or
// "unclassified".
func (c Class) String() string {
	switch c {
	case Answered:
		return "answered"
	case MaybeExecuted:
		return "maybe-executed"
	case NotSentYet:
		return "not-sent"
	case Refused:
		return "refused"
	}
	return "unclassified"
}

// notSent marks an error of a request that never left.
type notSent struct{ err error }

func (e *notSent) Error() string     { return "not sent: " + e.err.Error() }
func (e *notSent) Unwrap() error     { return e.err }
func (e *notSent) NotExecuted() bool { return true }

// NotSent marks err, typically of a dial, as proof that nothing of the request
// was sent, whatever err is. NotSent(nil) is nil. Use it only where the code that
// failed had not written yet: the buffer sends such a request again.
func NotSent(err error) error {
	if err == nil {
		return nil
	}
	return &notSent{err}
}

// ended is satisfied by this package's own errors about held requests.
type ended interface{ text(what string) string }

// Classify is the default classification, in this order:
//
//   - an error of this package (a buffer behind this one) is Answered: that
//     buffer has spent its patience already;
//   - a *leadership.Refusal or *leadership.StaleTermError is Refused, and any
//     other error for which leadership.NotExecuted holds, NotSent among them,
//     is NotSentYet. A refusal proves non-execution only when the error as a
//     whole does;
//   - leadership.ErrUnknownOutcome, context errors, io.EOF,
//     io.ErrUnexpectedEOF, net.ErrClosed and any net.Error are MaybeExecuted;
//   - anything else is Answered.
//
// It never looks at the text of an error nor at an engine's error codes: a
// code says which rule was broken, not how much had run before. Nor does it know
// the request's context: a lane takes what that context's cause says for no proof,
// see Lane.Do.
func Classify(err error) Class {
	var own ended
	if errors.As(err, &own) {
		return Answered
	}
	if leadership.NotExecuted(err) {
		if _, ok := refusalIn(err); ok {
			return Refused
		}
		return NotSentYet
	}
	var ne net.Error
	switch {
	case errors.Is(err, leadership.ErrUnknownOutcome),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.As(err, &ne):
		return MaybeExecuted
	}
	return Answered
}

// refusalIn finds what a refusal says about where and when to try again.
func refusalIn(err error) (leadership.Refusal, bool) {
	var r *leadership.Refusal
	if errors.As(err, &r) && r != nil {
		return *r, true
	}
	var s *leadership.StaleTermError
	if errors.As(err, &s) && s != nil {
		return leadership.Refusal{Term: s.Asked, Until: s.Promised}, true
	}
	return leadership.Refusal{}, false
}

// classify applies Config.Classify, then Classify.
func (b *Buffer) classify(err error) Class {
	if b.cfg.Classify != nil {
		if c := b.cfg.Classify(err); c > Unclassified && c <= Refused {
			return c
		}
	}
	return Classify(err)
}
