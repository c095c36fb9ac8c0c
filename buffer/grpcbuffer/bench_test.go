package grpcbuffer_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

var (
	info = &grpc.UnaryServerInfo{FullMethod: testpb.TestService_UnaryCall_FullMethodName}
	null = func(context.Context, any) (any, error) { return nil, nil }
)

// The interceptors alone, without a server: what a call and a refusal cost, and
// what it would cost to build the refusal each time.
func BenchmarkServer(b *testing.B) {
	newServer := func(b *testing.B) (*lameduck.Gate, *grpcbuffer.Server) {
		gate := new(lameduck.Gate)
		front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{})
		require.NoError(b, err)
		return gate, front
	}
	b.Run("admit", func(b *testing.B) {
		_, front := newServer(b)
		ctx, cancel := context.WithCancel(bg) // as that of a call is
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = front.UnaryInterceptor(ctx, nil, info, null)
		}
	})
	b.Run("refuse", func(b *testing.B) {
		gate, front := newServer(b)
		_, err := gate.Drain(bg, drained)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = front.UnaryInterceptor(bg, nil, info, null)
		}
	})
	b.Run("refuse-built-each-time", func(b *testing.B) {
		r := &leadership.Refusal{Term: term(3), Until: term(9), Leader: "n2", Reason: "retired"}
		b.ReportAllocs()
		for b.Loop() {
			_ = grpcbuffer.Refuse(r)
		}
	})
	b.Run("read-refusal", func(b *testing.B) {
		err := status.Convert(grpcbuffer.Refuse(&leadership.Refusal{Term: term(3), Until: term(9), Leader: "n2", Reason: "retired"})).Err()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = grpcbuffer.RefusalOf(err)
		}
	})
}

// A whole unary call over loopback: bare gRPC, behind a gate, through a lane,
// and both.
func BenchmarkUnaryCall(b *testing.B) {
	call := func(b *testing.B, c testpb.TestServiceClient) {
		req := text("x")
		_, err := c.UnaryCall(bg, req)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.UnaryCall(bg, req); err != nil {
				b.Fatal(err)
			}
		}
	}
	through := func(b *testing.B, n *node) testpb.TestServiceClient {
		r := newRouter(b, buffer.Config{}, grpcbuffer.ConnOptions{}, dialInsecure)
		r.lane.Observe(n.routed(1))
		return r
	}
	bare := func(b *testing.B) *node {
		n := &node{t: b, id: "n1", service: &service{}}
		n.srv = grpc.NewServer()
		testpb.RegisterTestServiceServer(n.srv, n.service)
		n.serveOn(n.srv)
		return n
	}
	gated := func(b *testing.B) *node {
		n := newNode(b, "n1", &service{})
		n.serve(1)
		return n
	}
	b.Run("bare", func(b *testing.B) { call(b, bare(b).client()) })
	b.Run("gate", func(b *testing.B) { call(b, gated(b).client()) })
	b.Run("lane", func(b *testing.B) { call(b, through(b, bare(b))) })
	b.Run("both", func(b *testing.B) { call(b, through(b, gated(b))) })
}
