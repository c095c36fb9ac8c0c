package grpcbuffer

import (
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// ErrorDomain is the domain of the google.rpc.ErrorInfo details of this
// package.
const ErrorDomain = "github.com/tenure-go/tenure"

// The reasons of those details.
const (
	// ReasonRefused proves that the call was not executed. The detail's
	// metadata has the text form of the leadership.Refusal under "refusal".
	ReasonRefused = "REFUSED"
	// ReasonRestartUnit proves that the unit (the stream) was not committed
	// and never will be, with the same metadata.
	ReasonRestartUnit = "RESTART_UNIT"
	// ReasonUnknownOutcome says that the call may have been executed.
	ReasonUnknownOutcome = "UNKNOWN_OUTCOME"
)

const refusalKey = "refusal"

// refusedError is a refusal made in this process. Its type is what tells it
// from a status that a handler got from elsewhere and passes on: that one
// proves something about another call.
type refusedError struct {
	refusal *leadership.Refusal
	status  *status.Status
}

func (e *refusedError) Error() string { return e.status.String() }

// GRPCStatus is what the server sends.
func (e *refusedError) GRPCStatus() *status.Status { return e.status }

// Unwrap returns the *leadership.Refusal.
func (e *refusedError) Unwrap() error { return e.refusal }

// Refuse returns the error by which a handler refuses a call that had no
// effect: status UNAVAILABLE with an ErrorInfo that carries r, and a RetryInfo
// when r names a RetryAfter. It is immutable; build one per refusal and return
// it as often as needed. A nil r proves nothing, and so Refuse returns a plain
// UNAVAILABLE.
//
// A handler that returns a refusal in any other form, such as the error of a
// call to another server, is not taken to have refused its own call.
func Refuse(r *leadership.Refusal) error {
	if r == nil {
		return status.Error(codes.Unavailable, "refused for no stated reason")
	}
	return newRefused(r, ReasonRefused, r.Error())
}

func newRefused(r *leadership.Refusal, reason, message string) error {
	text, err := r.MarshalText()
	if err != nil {
		return status.Error(codes.Unavailable, message)
	}
	st, err := status.New(codes.Unavailable, message).WithDetails(&errdetails.ErrorInfo{
		Reason: reason, Domain: ErrorDomain, Metadata: map[string]string{refusalKey: string(text)},
	})
	if err == nil && r.RetryAfter > 0 {
		st, err = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.RetryAfter)})
	}
	if err != nil {
		return status.Error(codes.Unavailable, message)
	}
	return &refusedError{refusal: r, status: st}
}

// stopped is the status of a unit that a drain has ended.
func stopped(err error) error {
	var restart *lameduck.RestartUnitError
	if errors.As(err, &restart) {
		return newRefused(restart.Refusal, ReasonRestartUnit, err.Error())
	}
	return unknown(codes.Unavailable, err.Error(), err)
}

// unknownError is a call that may have been executed.
type unknownError struct {
	status *status.Status
	err    error
}

func (e *unknownError) Error() string              { return e.status.String() }
func (e *unknownError) GRPCStatus() *status.Status { return e.status }
func (e *unknownError) NotExecuted() bool          { return false }
func (e *unknownError) Unwrap() []error            { return []error{e.err, leadership.ErrUnknownOutcome} }

func unknown(code codes.Code, message string, err error) error {
	st := status.New(code, message)
	if with, derr := st.WithDetails(&errdetails.ErrorInfo{Reason: ReasonUnknownOutcome, Domain: ErrorDomain}); derr == nil {
		st = with
	}
	return &unknownError{status: st, err: err}
}

// info returns the first detail of this package's domain.
func info(st *status.Status) *errdetails.ErrorInfo {
	if st == nil || len(st.Proto().GetDetails()) == 0 {
		return nil
	}
	for _, d := range st.Details() {
		if e, ok := d.(*errdetails.ErrorInfo); ok && e.GetDomain() == ErrorDomain {
			return e
		}
	}
	return nil
}

// RefusalOf returns the refusal that err, of a call, carries: proof, by the
// server that was asked, that the call (for a stream classified as a unit: the
// unit) had no effect. It is false for any other error, and for a detail that
// cannot be read. A status UNAVAILABLE without the detail proves nothing. Ask a
// status as a plain client got it only if that client sends a call once; a Conn
// looks after that.
func RefusalOf(err error) (*leadership.Refusal, bool) {
	var call *callError
	if errors.As(err, &call) {
		return call.refusal, call.outcome == refused
	}
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.Unavailable {
		return nil, false
	}
	e := info(st)
	if e == nil || e.GetReason() != ReasonRefused && e.GetReason() != ReasonRestartUnit {
		return nil, false
	}
	r := new(leadership.Refusal)
	if r.UnmarshalText([]byte(e.GetMetadata()[refusalKey])) != nil {
		return nil, false
	}
	return r, true
}

// withoutProof returns st without the details of this package's domain.
func withoutProof(st *status.Status) *status.Status {
	p := st.Proto()
	kept := p.Details[:0:0]
	for i, d := range st.Details() {
		if e, ok := d.(*errdetails.ErrorInfo); ok && e.GetDomain() == ErrorDomain {
			continue
		}
		kept = append(kept, p.Details[i])
	}
	p.Details = kept
	return status.FromProto(p)
}
