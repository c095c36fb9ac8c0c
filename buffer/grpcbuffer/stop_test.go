package grpcbuffer_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
)

func watch(t *testing.T, n *node) healthpb.Health_WatchClient {
	t.Helper()
	ss, err := healthpb.NewHealthClient(n.dial()).Watch(bg, &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	m, err := ss.Recv()
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, m.GetStatus())
	return ss
}

// The control: what Stop is for. With a health watch open, GracefulStop alone
// has not ended after ten times as long as Stop takes.
func TestStopEndsWithAnOpenHealthWatchWhereGracefulStopDoesNot(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(3)
	ss := watch(t, n)
	start := time.Now()
	rep, err := n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Drain: lameduck.Plan{Announce: time.Millisecond, All: patience}, Graceful: patience})
	took := time.Since(start)
	require.NoError(t, err)
	require.True(t, rep.Graceful, "%+v", rep)
	require.Equal(t, lameduck.Drained, rep.Drain.Phase)
	m, err := ss.Recv()
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, m.GetStatus(), "told before it was ended")
	_, err = ss.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err), "so that a watcher asks again, elsewhere")

	plain := newNode(t, "n2", &service{})
	plain.serve(3)
	watch(t, plain)
	ended := background(t, plain.srv.GracefulStop)
	select {
	case <-ended:
		require.Fail(t, "the control is none: GracefulStop ended with a watch open")
	case <-time.After(max(10*took, 200*time.Millisecond)):
	}
	plain.srv.Stop() // ends the watch and with it GracefulStop
}

// The control: Stop of gRPC after its GracefulStop hangs while a handler
// ignores its context, https://github.com/grpc/grpc-go/issues/9393. It was fixed
// in v1.85: then the control ends, and this test says so and goes on.
func TestG8_StopIsBoundedWhileAHandlerIgnoresItsContext(t *testing.T) {
	t.Parallel()
	const bound = 50 * time.Millisecond
	for name, plan := range map[string]grpcbuffer.StopPlan{
		// The drain finds the handler, GracefulStop is not even tried.
		"forced": {Drain: lameduck.Plan{All: bound, Cancel: bound}, Graceful: patience, Force: 10 * bound},
		"zero":   {Force: 10 * bound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newStubborn(t)
			n := newNode(t, "n1", &service{unary: h.call})
			n.serve(3)
			c := n.client()
			call := background(t, func() { _, _ = c.UnaryCall(bg, text("x")) })
			within(t, "the handler", h.entered)
			start := time.Now()
			rep, err := n.front.Stop(bg, n.srv, plan)
			require.Less(t, time.Since(start), patience/2)
			var stuck *grpcbuffer.StuckError
			require.ErrorAs(t, err, &stuck)
			require.Equal(t, 1, stuck.Handlers)
			require.Zero(t, stuck.Waiting, "Stop without GracefulStop waits for no handler")
			require.Equal(t, lameduck.Forced, rep.Drain.Phase)
			require.Equal(t, testpb.TestService_UnaryCall_FullMethodName, rep.Drain.Survivors[0].Label)
			within(t, "the call, cut", call)
			select {
			case <-stuck.Done():
				require.Fail(t, "done before the handler was")
			default:
			}
			h.let()
			within(t, "what was left", stuck.Done())
		})
	}
}

// Under this option it is gRPC's Stop itself that waits for handlers.
func TestStopIsBoundedUnderWaitForHandlers(t *testing.T) {
	t.Parallel()
	h := newStubborn(t)
	n := newNode(t, "n1", &service{unary: h.call})
	n.srv = grpc.NewServer(grpc.WaitForHandlers(true), grpc.UnaryInterceptor(n.front.UnaryInterceptor))
	testpb.RegisterTestServiceServer(n.srv, n.service)
	n.serveOn(n.srv)
	n.serve(3)
	c := n.client()
	background(t, func() { _, _ = c.UnaryCall(bg, text("x")) })
	within(t, "the handler", h.entered)
	_, err := n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Force: 50 * time.Millisecond})
	var stuck *grpcbuffer.StuckError
	require.ErrorAs(t, err, &stuck)
	require.Equal(t, 1, stuck.Handlers)
	require.Equal(t, 1, stuck.Waiting)
	h.let()
	within(t, "what was left", stuck.Done())
}

// A handler the drain does not wait for, a stream's, reaches GracefulStop.
func TestStopDuringGracefulStopIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 100 * time.Millisecond
	h := newStubborn(t)
	asStream := func(o *grpcbuffer.ServerOptions) {
		o.Class = func(string) grpcbuffer.Class { return grpcbuffer.Stream }
	}
	n := newNode(t, "n1", &service{unary: h.call}, asStream)
	n.serve(3)
	c := n.client()
	background(t, func() { _, _ = c.UnaryCall(bg, text("x")) })
	within(t, "the handler", h.entered)
	start := time.Now()
	rep, err := n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Drain: lameduck.Plan{All: patience}, Graceful: bound, Force: bound})
	require.Less(t, time.Since(start), patience/2)
	var stuck *grpcbuffer.StuckError
	require.ErrorAs(t, err, &stuck)
	require.False(t, rep.Graceful)
	require.Equal(t, lameduck.Drained, rep.Drain.Phase)
	require.Equal(t, 1, stuck.Handlers)
	require.Positive(t, stuck.Waiting)
	h.let()
	within(t, "what was left", stuck.Done())

	// The control: the same by hand.
	h = newStubborn(t)
	n = newNode(t, "n2", &service{unary: h.call})
	n.serve(3)
	c = n.client()
	background(t, func() { _, _ = c.UnaryCall(bg, text("x")) })
	within(t, "the handler", h.entered)
	graceful := background(t, n.srv.GracefulStop)
	stopped := background(t, n.srv.Stop)
	hangs := 0
	for _, ch := range []<-chan struct{}{graceful, stopped} {
		select {
		case <-ch:
		case <-time.After(2 * bound):
			hangs++
		}
	}
	require.Positive(t, hangs, "the control is none")
	if hangs == 1 {
		t.Log("this version of gRPC has the fix of #9393: only GracefulStop waits for the handler")
	}
	h.let()
}

func TestAStopCanBeUndoneWhileTheGateDrains(t *testing.T) {
	t.Parallel()
	h := newStubborn(t)
	n := newNode(t, "n1", &service{unary: h.call})
	n.serve(3)
	c := n.client()
	call := background(t, func() {
		_, err := c.UnaryCall(bg, text("x"))
		require.NoError(t, err)
	})
	within(t, "the handler", h.entered)
	ss := watch(t, n)
	var err error
	stop := background(t, func() {
		_, err = n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Drain: lameduck.Plan{All: patience}})
	})
	m, werr := ss.Recv()
	require.NoError(t, werr)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, m.GetStatus())
	eventually(t, "draining", func() bool { return n.gate.State().Phase == lameduck.DrainAll })
	require.NoError(t, n.gate.Resume())
	within(t, "Stop", stop)
	require.ErrorIs(t, err, lameduck.ErrResumed)
	m, werr = ss.Recv()
	require.NoError(t, werr)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, m.GetStatus())
	h.let()
	within(t, "the call", call)
	n.unary = nil
	_, err = c.UnaryCall(bg, text("y"))
	require.NoError(t, err)
}

func TestAStopWhoseContextEndsWhileTheGateDrainsLeavesTheServerServing(t *testing.T) {
	t.Parallel()
	h := newStubborn(t)
	n := newNode(t, "n1", &service{unary: h.call})
	n.serve(3)
	c := n.client()
	background(t, func() { _, _ = c.UnaryCall(bg, text("x")) })
	within(t, "the handler", h.entered)
	ctx, cancel := context.WithCancel(bg)
	var err error
	stop := background(t, func() {
		_, err = n.front.Stop(ctx, n.srv, grpcbuffer.StopPlan{Drain: lameduck.Plan{All: patience}})
	})
	eventually(t, "draining", func() bool { return n.gate.State().Phase == lameduck.DrainAll })
	cancel()
	within(t, "Stop", stop)
	var broken *lameduck.BrokenOffError
	require.ErrorAs(t, err, &broken)
	m, err := healthpb.NewHealthClient(n.dial()).Check(bg, &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, m.GetStatus())
	h.let()
}

// The drain is over, so nothing is undone: the end of the context cuts.
func TestAStopWhoseContextEndsAfterTheDrainCuts(t *testing.T) {
	t.Parallel()
	h := newStubborn(t)
	n := newNode(t, "n1", &service{unary: h.call}, func(o *grpcbuffer.ServerOptions) {
		o.Class = func(method string) grpcbuffer.Class {
			if method == testpb.TestService_UnaryCall_FullMethodName {
				return grpcbuffer.Stream
			}
			return grpcbuffer.ByShape
		}
	})
	n.serve(3)
	c := n.client()
	call := background(t, func() { _, _ = c.UnaryCall(bg, text("x")) })
	within(t, "the handler", h.entered)
	ss := watch(t, n)
	n.stepDown(4)
	ctx, cancel := context.WithCancel(bg)
	var err error
	var rep grpcbuffer.StopReport
	stop := background(t, func() {
		rep, err = n.front.Stop(ctx, n.srv, grpcbuffer.StopPlan{Graceful: patience, Force: 10 * time.Millisecond})
	})
	for _, err := ss.Recv(); err == nil; _, err = ss.Recv() { // GracefulStop has begun when it ends
	}
	cancel()
	within(t, "Stop", stop)
	require.ErrorAs(t, err, new(*grpcbuffer.StuckError))
	require.Less(t, rep.GracefulFor, patience)
	require.Equal(t, lameduck.Serving, rep.Drain.Phase, "the gate had been drained before")
	within(t, "the call, cut", call)
	h.let()
}

func TestBadStopPlansTouchNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(3)
	var bad *grpcbuffer.ArgumentError
	_, err := n.front.Stop(bg, nil, grpcbuffer.StopPlan{})
	require.ErrorAs(t, err, &bad)
	_, err = n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Graceful: -1})
	require.ErrorAs(t, err, &bad)
	_, err = n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Force: -1})
	require.ErrorAs(t, err, &bad)
	var plan *lameduck.PlanError
	_, err = n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Drain: lameduck.Plan{All: -1}})
	require.ErrorAs(t, err, &plan)
	_, err = n.client().UnaryCall(bg, text("x"))
	require.NoError(t, err)
}

func TestTwoStopsAtOnceAreOneStop(t *testing.T) {
	t.Parallel()
	n := newNode(t, "n1", &service{})
	n.serve(3)
	n.stepDown(4)
	errs := make([]error, 4)
	var ends []<-chan struct{}
	for i := range errs {
		ends = append(ends, background(t, func() {
			_, errs[i] = n.front.Stop(bg, n.srv, grpcbuffer.StopPlan{Graceful: patience})
		}))
	}
	for i, end := range ends {
		within(t, "Stop", end)
		require.NoError(t, errs[i])
	}
}
