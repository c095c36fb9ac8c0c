package grpcbuffer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// drained is a plan that refuses at once, with everything a refusal can say.
var drained = lameduck.Plan{Until: leadership.Term{Num: 9, Proposer: "c1"}, Leader: "n2", Reason: "ünfit = & retired", RetryAfter: 1500 * time.Millisecond}

func TestTheRefusalOfTheGateReachesTheClientAsItWas(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(3)
	_, err := n.gate.Drain(bg, drained)
	require.NoError(t, err)
	want := &leadership.Refusal{Term: term(3), Until: term(9), Leader: "n2", Reason: "ünfit = & retired", RetryAfter: 1500 * time.Millisecond}

	_, err = n.client().UnaryCall(bg, text("x"))
	require.Equal(t, codes.Unavailable, status.Code(err))
	r, ok := grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
	require.Equal(t, want, r)
	require.Zero(t, n.calls.Load())
	var retry *errdetails.RetryInfo
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.RetryInfo); ok {
			retry = i
		}
	}
	require.Equal(t, 1500*time.Millisecond, retry.GetRetryDelay().AsDuration())

	ss, err := n.client().FullDuplexCall(bg)
	require.NoError(t, err)
	_, err = ss.Recv()
	r, ok = grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
	require.Equal(t, want, r)
	require.Zero(t, n.calls.Load())
}

func TestUnitsAndStreamsAreRefusedWhileSinglesPass(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{}, func(o *grpcbuffer.ServerOptions) {
		o.Class = func(method string) grpcbuffer.Class {
			if method == testpb.TestService_StreamingInputCall_FullMethodName {
				return grpcbuffer.Unit
			}
			return grpcbuffer.ByShape
		}
	})
	n.serve(3)
	open, err := n.gate.Enter(lameduck.Unit) // keeps the drain in DrainUnits
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(bg)
	background(t, func() { _, _ = n.gate.Drain(ctx, lameduck.Plan{Units: patience}) })
	defer cancel()
	defer open.Exit()
	eventually(t, "the gate refuses units", func() bool { return n.gate.State().Phase == lameduck.DrainUnits })

	_, err = n.client().UnaryCall(bg, text("x"))
	require.NoError(t, err)
	ss, err := n.client().FullDuplexCall(bg)
	require.NoError(t, err)
	_, err = ss.Recv()
	r, ok := grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
	require.Equal(t, leadership.ScopeUnits, r.Scope)
	up, err := n.client().StreamingInputCall(bg)
	require.NoError(t, err)
	_, err = up.CloseAndRecv()
	_, ok = grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
}

func TestADrainDoesNotWaitForStreamsAndTellsThem(t *testing.T) {
	t.Parallel()
	told := make(chan struct{})
	n := newNode(t, "n1", &service{tail: func(ss grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
		if err := ss.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
		<-grpcbuffer.Draining(ss.Context())
		close(told)
		<-ss.Context().Done()
		return nil
	}})
	n.serve(3)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	ss, err := n.client().StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
	require.NoError(t, err)
	_, err = ss.Recv()
	require.NoError(t, err)
	rep, err := n.gate.Drain(bg, lameduck.Plan{All: patience})
	require.NoError(t, err)
	require.Equal(t, 1, rep.Streams)
	within(t, "the stream is told", told)
	require.Nil(t, grpcbuffer.Draining(bg))
}

func TestADrainWaitsForTheRequestOfAUnitAndNotForItsNextMessage(t *testing.T) {
	t.Parallel()
	working, work := make(chan struct{}), make(chan struct{})
	handlerErr := make(chan error, 1)
	n := newNode(t, "n1", &service{talk: func(ss grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
		for {
			if _, err := ss.Recv(); err != nil {
				handlerErr <- err
				return err
			}
			working <- struct{}{}
			<-work
			if err := ss.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
				return err
			}
		}
	}}, func(o *grpcbuffer.ServerOptions) {
		o.Class = func(string) grpcbuffer.Class { return grpcbuffer.Unit }
	})
	n.serve(3)
	ss, err := n.client().FullDuplexCall(bg)
	require.NoError(t, err)
	send := func() { require.NoError(t, ss.Send(&testpb.StreamingOutputCallRequest{})) }
	send()
	within(t, "the first request", working)
	var rep lameduck.Report
	var derr error
	done := background(t, func() { rep, derr = n.gate.Drain(bg, lameduck.Plan{All: patience, Until: term(4)}) })
	eventually(t, "draining", func() bool { return n.gate.State().Phase == lameduck.DrainAll })
	select {
	case <-done:
		require.Fail(t, "the drain did not wait for a request of a unit")
	default:
	}
	work <- struct{}{} // the request ends, the stream stays open
	within(t, "the drain", done)
	require.NoError(t, derr)
	require.Equal(t, 1, rep.EndedUnits)
	_, err = ss.Recv()
	require.NoError(t, err)
	send()
	_, err = ss.Recv()
	r, ok := grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
	require.Equal(t, term(4), r.Until)
	require.Error(t, <-handlerErr)
}

func TestADrainWaitsForAUnaryUnitAndRefusesTheNextEarly(t *testing.T) {
	t.Parallel()
	h := newStubborn(t)
	n := newNode(t, "n1", &service{unary: h.call}, func(o *grpcbuffer.ServerOptions) {
		o.Class = func(string) grpcbuffer.Class { return grpcbuffer.Unit }
	})
	n.serve(3)
	c := n.client()
	call := background(t, func() {
		_, err := c.UnaryCall(bg, text("x"))
		require.NoError(t, err)
	})
	within(t, "the handler", h.entered)
	var rep lameduck.Report
	drain := background(t, func() { rep, _ = n.gate.Drain(bg, lameduck.Plan{Units: patience, All: patience}) })
	eventually(t, "draining", func() bool { return n.gate.State().Phase == lameduck.DrainUnits })
	_, err := c.UnaryCall(bg, text("y"))
	r, ok := grpcbuffer.RefusalOf(err)
	require.True(t, ok, err)
	require.Equal(t, leadership.ScopeUnits, r.Scope)
	h.let()
	within(t, "the call", call)
	within(t, "the drain", drain)
	require.Equal(t, lameduck.Drained, rep.Phase)
	require.Equal(t, 1, rep.FinishedUnits)
}

// A handler that does nothing wrong gives its context's cause as its error. The
// refusal in it is of new work, not of this call, which ran.
func TestG9_ACallCutByADrainIsUnknownWhateverItsHandlerReturns(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]func(context.Context) error{
		"its error":     func(ctx context.Context) error { return ctx.Err() },
		"its cause":     context.Cause,
		"cause wrapped": func(ctx context.Context) error { return fmt.Errorf("put: %w", context.Cause(ctx)) },
		"cause refused": func(ctx context.Context) error {
			var cut *lameduck.CancelledError
			errors.As(context.Cause(ctx), &cut)
			return fmt.Errorf("put: %w", cut.Refusal)
		},
		"status": func(ctx context.Context) error { return status.FromContextError(ctx.Err()).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered := make(chan struct{})
			n := newNode(t, "n1", &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				close(entered)
				<-ctx.Done()
				return nil, result(ctx)
			}})
			n.serve(3)
			c := n.client()
			var err error
			done := background(t, func() { _, err = c.UnaryCall(bg, text("x")) })
			within(t, "the handler", entered)
			_, derr := n.gate.Drain(bg, lameduck.Plan{Cancel: patience})
			require.NoError(t, derr)
			within(t, "the call", done)
			_, ok := grpcbuffer.RefusalOf(err)
			require.False(t, ok, err)
			require.Equal(t, codes.Unavailable, status.Code(err))
			require.Equal(t, grpcbuffer.ReasonUnknownOutcome, reason(err))
		})
	}
}

func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok && i.GetDomain() == grpcbuffer.ErrorDomain {
			return i.GetReason()
		}
	}
	return ""
}

// What another server refused says nothing about the call that asked it.
func TestG9_AProofAboutAnotherCallIsNotPassedOn(t *testing.T) {
	t.Parallel()
	proof := grpcbuffer.Refuse(&leadership.Refusal{Until: term(4)})
	far := status.Convert(proof).Err() // as a client gets it
	var own error
	n := newNode(t, "n1", &service{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) { return nil, own }})
	n.serve(3)
	c := n.client()

	own = far
	_, err := c.UnaryCall(bg, text("x"))
	_, ok := grpcbuffer.RefusalOf(err)
	require.False(t, ok)
	require.Equal(t, codes.Unavailable, status.Code(err))
	own = fmt.Errorf("wrapped: %w", far)
	_, err = c.UnaryCall(bg, text("x"))
	_, ok = grpcbuffer.RefusalOf(err)
	require.False(t, ok)
	own = leadership.ErrUnknownOutcome
	_, err = c.UnaryCall(bg, text("x"))
	require.Equal(t, grpcbuffer.ReasonUnknownOutcome, reason(err))

	own = proof // the handler's own word
	_, err = c.UnaryCall(bg, text("x"))
	r, ok := grpcbuffer.RefusalOf(err)
	require.True(t, ok)
	require.Equal(t, term(4), r.Until)
}

// A retry policy of the client's hides an attempt that was lost.
func TestG9_ALaterAttemptOfARetryPolicyIsRefusedWithoutProof(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(3)
	_, err := n.gate.Drain(bg, drained)
	require.NoError(t, err)
	ctx := metadata.AppendToOutgoingContext(bg, "grpc-previous-rpc-attempts", "1")
	_, err = n.client().UnaryCall(ctx, text("x"))
	_, ok := grpcbuffer.RefusalOf(err)
	require.False(t, ok)
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestCallsOfAnotherTermAreRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{}, func(o *grpcbuffer.ServerOptions) { o.CheckTerm = true })
	n.serve(5)
	call := func(text string) (*leadership.Refusal, error) {
		_, err := n.client().UnaryCall(metadata.AppendToOutgoingContext(bg, grpcbuffer.TermKey, text), &testpb.SimpleRequest{})
		r, _ := grpcbuffer.RefusalOf(err)
		return r, err
	}
	_, err := call(term(5).String())
	require.NoError(t, err)
	r, err := call(term(4).String())
	require.Error(t, err)
	require.Equal(t, &leadership.Refusal{Term: term(5), Until: term(5), Leader: "n1", Reason: r.Reason}, r)
	r, err = call(term(6).String())
	require.Error(t, err)
	require.Equal(t, &leadership.Refusal{Term: term(5), Until: term(6), Reason: r.Reason}, r)
	_, err = call("nonsense")
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = n.client().UnaryCall(bg, text("x"))
	require.NoError(t, err, "a client that names no term")
	require.Zero(t, n.gate.InFlight())
}

func TestAnswersNameTheLeader(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(5)
	var trailer metadata.MD
	_, err := n.client().UnaryCall(bg, text("x"), grpc.Trailer(&trailer))
	require.NoError(t, err)
	require.Equal(t, []string{"5.c1"}, trailer.Get(grpcbuffer.TermKey))
	require.Equal(t, []string{"n1"}, trailer.Get(grpcbuffer.LeaderKey))
	ss, err := n.client().StreamingOutputCall(bg, &testpb.StreamingOutputCallRequest{})
	require.NoError(t, err)
	md, err := ss.Header()
	require.NoError(t, err)
	require.Equal(t, []string{"5.c1"}, md.Get(grpcbuffer.TermKey))
}

func TestBadServerArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	var bad *grpcbuffer.ArgumentError
	_, err := grpcbuffer.NewServer(nil, grpcbuffer.ServerOptions{})
	require.ErrorAs(t, err, &bad)
	_, err = grpcbuffer.NewServer(new(lameduck.Gate), grpcbuffer.ServerOptions{CheckTerm: true})
	require.ErrorAs(t, err, &bad)
	require.True(t, leadership.NotExecuted(err))
	require.Equal(t, codes.Unavailable, status.Code(grpcbuffer.Refuse(nil)))
	_, ok := grpcbuffer.RefusalOf(grpcbuffer.Refuse(nil))
	require.False(t, ok)

	n := newNode(t, "n1", &service{}, func(o *grpcbuffer.ServerOptions) {
		o.Class = func(string) grpcbuffer.Class { return 77 }
	})
	_, err = n.client().UnaryCall(bg, text("x"))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Zero(t, n.calls.Load())
}

func TestHealthFollowsTheGate(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(3)
	ctx, cancel := context.WithCancelCause(bg)
	var err error
	done := background(t, func() { err = n.front.Run(ctx) })
	ss, werr := healthpb.NewHealthClient(n.dial()).Watch(bg, &healthpb.HealthCheckRequest{})
	require.NoError(t, werr)
	next := func() healthpb.HealthCheckResponse_ServingStatus {
		m, err := ss.Recv()
		require.NoError(t, err)
		return m.GetStatus()
	}
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, next())
	drain := background(t, func() { _, _ = n.gate.Drain(bg, lameduck.Plan{Announce: patience}) })
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, next())
	require.Equal(t, lameduck.Announced, n.gate.State().Phase)
	require.NoError(t, n.gate.Resume())
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, next())
	within(t, "the drain", drain)
	// One that nobody undoes, and that nobody asks for: it expires.
	_, derr := n.gate.Drain(bg, lameduck.Plan{Expire: 10 * time.Millisecond})
	require.NoError(t, derr)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, next())
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, next())
	cause := errors.New("enough")
	cancel(cause)
	within(t, "Run", done)
	require.ErrorIs(t, err, cause)
}

func TestRefusingBuildsNothing(t *testing.T) {
	gate := new(lameduck.Gate)
	front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{})
	require.NoError(t, err)
	_, err = gate.Drain(bg, drained)
	require.NoError(t, err)
	info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_UnaryCall_FullMethodName}
	call := func() error {
		_, err := front.UnaryInterceptor(bg, nil, info, nil)
		return err
	}
	first := call()
	require.Error(t, first)
	require.Same(t, first, call())
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = call() }))
}
