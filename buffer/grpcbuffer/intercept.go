package grpcbuffer

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// gated is the context of an admitted call.
type gated struct {
	context.Context
	draining func() <-chan struct{}
}

type drainingKey struct{}

// Value implements context.Context.
func (g *gated) Value(key any) any {
	if key == (drainingKey{}) {
		return g.draining
	}
	return g.Context.Value(key)
}

// Draining returns a channel that is closed once the gate in front of the call
// that ctx belongs to is announced to drain: a stream then tells its client,
// or ends. After an undo, a new call returns a new channel. It is nil for a
// context of another call.
func Draining(ctx context.Context) <-chan struct{} {
	if ctx == nil {
		return nil
	}
	if f, ok := ctx.Value(drainingKey{}).(func() <-chan struct{}); ok {
		return f()
	}
	return nil
}

// UnaryInterceptor admits each call to the gate and runs the handler with a
// context that a drain can cancel, its cause a *lameduck.CancelledError. A call
// that is refused gets UNAVAILABLE with a proof (see Refuse). It is a
// grpc.UnaryServerInterceptor.
//
// An error by which the handler reports that a drain cancelled its context
// reaches the client as ReasonUnknownOutcome, and so does one that matches
// leadership.ErrUnknownOutcome. A proof that the handler did not make itself
// with Refuse is taken out.
func (s *Server) UnaryInterceptor(ctx context.Context, req any, si *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	class := s.class(si.FullMethod, false, false)
	c, err := s.enter(ctx, class, si.FullMethod)
	if err != nil {
		return nil, err
	}
	defer c.exit()
	if class == Unit {
		if c.part, err = c.unit.Continue(); err != nil {
			return nil, s.outcome(ctx, ctx, stopped(err))
		}
	}
	in := &gated{c.unit.Context(ctx), c.gate.Draining}
	resp, err := handler(in, req)
	// Fails only for a context that is not a server's; then there is nobody
	// to tell.
	_ = grpc.SetTrailer(ctx, s.metadata())
	if err != nil {
		return nil, s.outcome(ctx, in, err)
	}
	return resp, nil
}

// StreamInterceptor admits each stream to the gate, as UnaryInterceptor does
// calls. It is a grpc.StreamServerInterceptor.
//
// A Conn asks for the header of a stream as soon as that is admitted; then the
// handler cannot set headers of its own any more (trailers it can), see
// ConnOptions.LateHeader.
func (s *Server) StreamInterceptor(srv any, ss grpc.ServerStream, si *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	outer := ss.Context()
	class := s.class(si.FullMethod, si.IsClientStream, si.IsServerStream)
	c, err := s.enter(outer, class, si.FullMethod)
	if err != nil {
		return err
	}
	w := &serverStream{ServerStream: ss, unit: class == Unit, call: c}
	defer w.end()
	in := &gated{w.call.unit.Context(outer), c.gate.Draining}
	w.ctx = in
	md := s.metadata()
	if len(metadata.ValueFromIncomingContext(outer, awaitKey)) > 0 {
		err = ss.SendHeader(md)
	} else {
		err = ss.SetHeader(md)
	}
	if err != nil {
		return err
	}
	err = handler(srv, w)
	ss.SetTrailer(s.metadata())
	if err != nil {
		return s.outcome(outer, in, err)
	}
	return nil
}

// serverStream is a stream as its handler sees it.
type serverStream struct {
	grpc.ServerStream
	ctx  context.Context
	unit bool

	// mu guards what follows. It is taken by RecvMsg of a unit, before and after
	// the read, and when the handler has returned, which may be while another
	// goroutine of its own reads: gRPC ends such a read only afterwards.
	mu   sync.Mutex
	call call
	over bool // the call was given back
}

// Context returns a context that a drain can cancel.
func (s *serverStream) Context() context.Context { return s.ctx }

// RecvMsg ends one request of a unit and begins the next, whatever it returns:
// a handler commits at the end of its stream, and does something after any other
// error. A unit that was ended meanwhile is told so, and of nothing else.
func (s *serverStream) RecvMsg(m any) error {
	if !s.unit {
		return s.ServerStream.RecvMsg(m)
	}
	s.pause()
	err := s.ServerStream.RecvMsg(m)
	if stop := s.resume(); stop != nil {
		return stop
	}
	return err
}

// pause ends the running request of a unit, if there is one.
func (s *serverStream) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call.part.Exit()
}

// resume begins the next request of a unit. gRPC allows no two RecvMsg at once,
// so there is none yet.
func (s *serverStream) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errReturned
	}
	part, err := s.call.unit.Continue()
	if err != nil {
		return stopped(err)
	}
	s.call.part = part
	return nil
}

// errReturned is what gRPC too says to a read after the handler has returned.
var errReturned = status.Error(codes.Canceled, "grpcbuffer: the stream is over: its handler has returned")

// end gives the call back when the handler has returned.
func (s *serverStream) end() {
	s.mu.Lock()
	c := s.call
	s.call, s.over = call{}, true
	s.mu.Unlock()
	c.exit()
}
