package grpcbuffer

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// outcome is what is known of a failed call, in the order of how little.
type outcome uint8

const (
	// refused: a server proved that it had no effect.
	refused outcome = iota
	// notSent: gRPC created no stream for it.
	notSent
	// gaveUp: the buffer's error knows.
	gaveUp
	// unknownOutcome: it may have been executed.
	unknownOutcome
)

// callError is a failed call with what is known of it.
type callError struct {
	err     error
	status  *status.Status
	refusal *leadership.Refusal
	outcome outcome
}

func (e *callError) Error() string { return e.err.Error() }

// GRPCStatus makes status.FromError and status.Code work. It carries no
// details of this package: a proof is about this call, and a handler that
// returns the error of a call it made must not prove anything about its own.
func (e *callError) GRPCStatus() *status.Status {
	if info(e.status) != nil {
		return withoutProof(e.status)
	}
	return e.status
}

// NotExecuted reports whether it is proven that the call had no effect.
func (e *callError) NotExecuted() bool {
	switch e.outcome {
	case refused, notSent:
		return true
	case gaveUp:
		return leadership.NotExecuted(e.err)
	}
	return false
}

// Unwrap returns what happened, the refusal, and leadership.ErrUnknownOutcome,
// as far as they apply.
func (e *callError) Unwrap() []error {
	errs := []error{e.err}
	if e.outcome == refused {
		errs = append(errs, e.refusal)
	}
	if e.outcome == unknownOutcome {
		errs = append(errs, leadership.ErrUnknownOutcome)
	}
	return errs
}

// again reports whether the lane may send the call once more. UNAVAILABLE is
// the only code that another try can be expected to change.
func (e *callError) again(idempotent bool) bool {
	switch e.outcome {
	case refused:
		return true
	case notSent:
		return e.status.Code() == codes.Unavailable
	case unknownOutcome:
		return idempotent && e.status.Code() == codes.Unavailable
	}
	return false
}

// held gives an error of the buffer a gRPC status.
func held(err error) error {
	if e, ok := err.(*callError); ok {
		return e // it came back as it was
	}
	code := codes.Unavailable
	var full *buffer.OverflowError
	var canceled *buffer.CanceledError
	var request *buffer.RequestError
	switch {
	case errors.As(err, &full):
		code = codes.ResourceExhausted
	case errors.As(err, &canceled):
		code = status.FromContextError(canceled.Err).Code()
	case errors.As(err, &request):
		code = codes.InvalidArgument
	}
	return &callError{err: err, status: status.New(code, err.Error()), outcome: gaveUp}
}

// afterLoss takes the proof out of err when an earlier try of the same call may
// have been executed: it is about the last one.
func afterLoss(lost bool, err error) error {
	if !lost || !leadership.NotExecuted(err) {
		return err
	}
	return &callError{err: err, status: status.Convert(err), outcome: unknownOutcome}
}
