package grpcbuffer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// Class says how calls of a method enter the gate.
type Class uint8

const (
	// ByShape is the default: unary and client-streaming calls are Single,
	// server-streaming and bidirectional ones are Stream, and the methods of
	// grpc.health.v1.Health are Exempt.
	ByShape Class = iota
	// Single is one request. A drain waits for it.
	Single
	// Unit is a transaction or session. Of a stream, what runs from the return
	// of one RecvMsg, its last with io.EOF or an error included, to the next
	// RecvMsg is one request of it: a drain waits for that, never for the next
	// message, which is then refused with ReasonRestartUnit. The handler must
	// end the stream when it commits, and call RecvMsg only when it is done
	// with the message before: while a goroutine of its own reads ahead, the
	// unit counts as idle.
	Unit
	// Stream is told by Draining and never waited for.
	Stream
	// Exempt does not enter the gate: it is served in every phase.
	Exempt
)

// String returns the name of the class in lower case.
func (c Class) String() string {
	switch c {
	case ByShape:
		return "by-shape"
	case Single:
		return "single"
	case Unit:
		return "unit"
	case Stream:
		return "stream"
	case Exempt:
		return "exempt"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Metadata keys. A Conn sends TermKey with each call, a Server answers with
// both in the trailer, and in the header of a stream.
const (
	// TermKey has the text form of a leadership.Term.
	TermKey = "tenure-term"
	// LeaderKey has a leadership.NodeID.
	LeaderKey = "tenure-leader"
	// awaitKey asks for the header of a stream as soon as it is admitted.
	awaitKey = "tenure-await"
	// attemptsKey is set by gRPC's retry policy (gRFC A6), never by
	// transparent retries.
	attemptsKey = "grpc-previous-rpc-attempts"
)

// ServerOptions configures a Server. The zero value is usable.
type ServerOptions struct {
	// Class says how the calls of a method ("/package.Service/Method") enter
	// the gate; nil means ByShape for all. It is called for each call and must
	// not block. A value that is no Class refuses the call.
	Class func(method string) Class
	// Leadership is who leads, as far as this server knows; what it returns is
	// sent with each answer, so that clients find the leader without the
	// registry. It is called for each call, concurrently, and must not block.
	// nil, or the zero Leadership, tells nothing.
	Leadership func() leadership.Leadership
	// CheckTerm refuses calls that name another term than Leadership does.
	// Leadership must then change only while the gate is drained: it is read
	// after the call was admitted. Calls that name none are let through.
	CheckTerm bool
	// Health, when set, is kept in step with the gate by Run and Stop.
	Health *health.Server
	// Services are the names set in Health; nil means "", the whole server.
	Services []string

	_ struct{}
}

// Server puts a gate in front of the methods of a *grpc.Server. Make one with
// NewServer and install UnaryInterceptor and StreamInterceptor, outermost: the
// zero Server refuses every call, without proof, and its other methods return an
// *ArgumentError. It is safe for concurrent use, starts no goroutine outside
// Stop, and must not be copied.
type Server struct {
	gate *lameduck.Gate
	o    ServerOptions
	// exempt counts what does not enter gate, so that Stop can end it.
	exempt lameduck.Gate
	// refusals are the last of each scope, by pointer: refusing builds nothing.
	refusals [2]atomic.Pointer[refusedError]
	answer   atomic.Pointer[answer]
	live     live
}

// answer is the metadata of a leadership.
type answer struct {
	of leadership.Leadership
	md metadata.MD
}

// NewServer returns a server behind gate. It returns an *ArgumentError when
// gate is nil, or CheckTerm is set without Leadership.
func NewServer(gate *lameduck.Gate, o ServerOptions) (*Server, error) {
	switch {
	case gate == nil:
		return nil, &ArgumentError{"gate", "is nil"}
	case o.CheckTerm && o.Leadership == nil:
		return nil, &ArgumentError{"CheckTerm", "needs Leadership: there is no term to compare with"}
	}
	if o.Services == nil {
		o.Services = []string{""}
	}
	return &Server{gate: gate, o: o}, nil
}

// ArgumentError is returned for an argument or option that cannot be used.
// Nothing was touched.
type ArgumentError struct{ Name, Reason string }

func (e *ArgumentError) Error() string { return "grpcbuffer: " + e.Name + " " + e.Reason }

// NotExecuted reports true.
func (e *ArgumentError) NotExecuted() bool { return true }

var errNotMade error = &ArgumentError{"Server", "was not made by NewServer"}

const healthService = "/grpc.health.v1.Health/"

func (s *Server) class(method string, clientStream, serverStream bool) Class {
	c := ByShape
	if s.o.Class != nil {
		c = s.o.Class(method)
	}
	switch {
	case c != ByShape:
		return c
	case strings.HasPrefix(method, healthService):
		return Exempt
	case serverStream:
		return Stream
	}
	return Single
}

// call is one admitted call.
type call struct {
	unit lameduck.Token // or the whole call, when it is no unit
	part lameduck.Token // the running request of a unit
	gate *lameduck.Gate
	live *live
}

func (c *call) exit() {
	c.part.Exit()
	c.unit.Exit()
	c.live.exit(&c.live.handlers)
}

// enter admits a call, or returns the status error that refuses it.
func (s *Server) enter(ctx context.Context, c Class, method string) (call, error) {
	if s.gate == nil {
		return call{}, status.Error(codes.Internal, errNotMade.Error())
	}
	kind, gate := lameduck.Single, s.gate
	switch c {
	case Single:
	case Unit:
		kind = lameduck.Unit
	case Stream:
		kind = lameduck.Stream
	case Exempt:
		gate = &s.exempt // a single, so that a drain cancels it
	default:
		return call{}, s.refuse(ctx, fmt.Errorf("no such class of calls: %s", c))
	}
	s.live.handlers.Add(1) // before it is admitted: nobody admitted is ever missed
	tok, err := gate.EnterInfo(kind, lameduck.Info{Label: method})
	if err != nil {
		s.live.exit(&s.live.handlers)
		return call{}, s.refuse(ctx, err)
	}
	in := call{unit: tok, gate: gate, live: &s.live}
	if c != Exempt {
		if err := s.checkTerm(ctx); err != nil {
			in.exit()
			return call{}, err
		}
	}
	return in, nil
}

// checkTerm comes after the call was admitted: the leadership changes only
// while the gate is drained, so it is still the same when the handler runs.
func (s *Server) checkTerm(ctx context.Context) error {
	if !s.o.CheckTerm {
		return nil
	}
	sent := metadata.ValueFromIncomingContext(ctx, TermKey)
	if len(sent) == 0 {
		return nil
	}
	asked, err := leadership.ParseTerm(sent[len(sent)-1])
	if err != nil {
		return status.Error(codes.InvalidArgument, TermKey+": "+err.Error())
	}
	serving := s.o.Leadership()
	if asked == serving.Term {
		return nil
	}
	r := &leadership.Refusal{Term: serving.Term, Until: leadership.MaxTerm(asked, serving.Term), Reason: "the call names another term"}
	if asked.Less(serving.Term) {
		r.Leader = serving.Leader
	}
	return s.refuse(ctx, r)
}

// refuse returns the status error for an entry that was not admitted.
func (s *Server) refuse(ctx context.Context, err error) error {
	// An earlier attempt of this very call, made by a retry policy of the
	// client's service config, may have been executed: no proof then.
	if len(metadata.ValueFromIncomingContext(ctx, attemptsKey)) > 0 {
		return status.Error(codes.Unavailable, "this attempt was refused, an earlier one may have been executed: "+err.Error())
	}
	r, ok := err.(*leadership.Refusal)
	if !ok {
		return Refuse(&leadership.Refusal{Reason: err.Error()})
	}
	slot := &s.refusals[r.Scope&1]
	if p := slot.Load(); p != nil && p.refusal == r {
		return p
	}
	e := Refuse(r)
	if p, ok := e.(*refusedError); ok {
		slot.Store(p)
	}
	return e
}

// metadata returns what is sent with answers, built once per leadership.
func (s *Server) metadata() metadata.MD {
	var lead leadership.Leadership
	if s.o.Leadership != nil {
		lead = s.o.Leadership()
	}
	if a := s.answer.Load(); a != nil && a.of == lead {
		return a.md
	}
	md := metadata.Pairs(TermKey, lead.Term.String())
	if lead.Leader != "" {
		md.Set(LeaderKey, string(lead.Leader))
	}
	s.answer.Store(&answer{of: lead, md: md})
	return md
}

// outcome is the error that a handler's caller gets for err. ctx is the
// handler's context, outer the call's.
func (s *Server) outcome(outer, ctx context.Context, err error) error {
	var own *refusedError
	if errors.As(err, &own) {
		if len(metadata.ValueFromIncomingContext(outer, attemptsKey)) > 0 {
			return status.Error(codes.Unavailable, "this attempt was refused, an earlier one may have been executed: "+own.refusal.Error())
		}
		return err
	}
	// Cut by the drain and not by the client: the handler may have done
	// anything before. The refusal that the cause holds is of new work; passed
	// on it would be a false proof.
	if ctx.Err() != nil && outer.Err() == nil {
		var cut *lameduck.CancelledError
		of := errors.As(context.Cause(ctx), &cut) && errors.Is(err, cut.Refusal)
		if of || errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
			return unknown(codes.Unavailable, "the call was cut by a drain, it may have been executed", context.Canceled)
		}
	}
	st, ok := status.FromError(err)
	switch {
	case errors.Is(err, leadership.ErrUnknownOutcome):
		code := codes.Unknown
		if ok {
			code = st.Code()
		}
		return unknown(code, err.Error(), err)
	case ok && info(st) != nil:
		return withoutProof(st).Err()
	}
	return err
}
