package grpcbuffer

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// evidence is what gRPC tells of a try by call options: OnFinish once per call
// made, Peer only if a stream was created for it on some connection. Together
// they prove what a status code does not. UNAVAILABLE is what a client gets for
// a connection that could not be made and for one that broke under a running
// handler alike.
type evidence struct {
	peer   peer.Peer
	calls  atomic.Int32
	stream bool // a stream is open; set before anybody else looks
}

func (e *evidence) finished(error) { e.calls.Add(1) }

// once reports whether exactly one call was made. Any other number is the doing
// of an interceptor: then the error is about one of several calls, or about
// nobody knows what.
func (e *evidence) once() bool { return e.calls.Load() == 1 }

// created reports whether anything may have been sent.
func (e *evidence) created() bool { return e.stream || !e.once() || e.peer.Addr != nil }

// ours reports whether a handler behind a Server made the answer.
func ours(md metadata.MD) bool { return len(md.Get(TermKey)) > 0 }

// judge says what the error of a try proves.
func judge(err error, n *node, seen *evidence, md metadata.MD) error {
	st := status.Convert(err)
	e := &callError{err: err, status: st}
	if r, ok := RefusalOf(err); ok && seen.once() {
		e.outcome, e.refusal = refused, r
		return e
	}
	if !seen.created() {
		if st.Code() == codes.Unavailable {
			// The next try is paced by the lane, not by the connection's
			// own back-off of up to minutes.
			n.cc.ResetConnectBackoff()
		}
		e.outcome = notSent
		return e
	}
	e.outcome = unknownOutcome
	if ours(md) && seen.once() {
		if d := info(st); d == nil || d.GetReason() != ReasonUnknownOutcome {
			return err
		}
		return e
	}
	switch st.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition,
		codes.Aborted, codes.OutOfRange, codes.DataLoss:
		return err // gRPC never generates them: a server answered
	case codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return err // found before a handler runs, by a server or a proxy
	}
	return e
}
