package grpcbuffer_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// The service of the examples is gRPC's own health service, gated like any
// other: who serves it is the question.
func gated(string) grpcbuffer.Class { return grpcbuffer.Single }

// A server refuses while its gate drains: the client can prove that its call had
// no effect.
func ExampleServer() {
	gate, err := lameduck.New(lameduck.Options{Term: leadership.Term{Num: 1, Proposer: "c1"}})
	if err != nil {
		panic(err)
	}
	front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{Class: gated})
	if err != nil {
		panic(err)
	}
	srv := grpc.NewServer(grpc.UnaryInterceptor(front.UnaryInterceptor), grpc.StreamInterceptor(front.StreamInterceptor))
	healthpb.RegisterHealthServer(srv, health.NewServer())
	lis := bufconn.Listen(1 << 16)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = srv.Serve(lis) })
	cc, err := dialPipe(lis)
	if err != nil {
		panic(err)
	}
	defer cc.Close()
	client := healthpb.NewHealthClient(cc)

	_, err = client.Check(context.Background(), &healthpb.HealthCheckRequest{})
	fmt.Println("serving:", err)
	_, err = gate.Drain(context.Background(), lameduck.Plan{All: time.Second, Until: leadership.Term{Num: 2, Proposer: "c1"}, Leader: "n2"})
	fmt.Println("drained:", err)
	_, err = client.Check(context.Background(), &healthpb.HealthCheckRequest{})
	refusal, proven := grpcbuffer.RefusalOf(err)
	fmt.Println(status.Code(err), proven, refusal.Until, refusal.Leader)

	_, err = front.Stop(context.Background(), srv, grpcbuffer.StopPlan{Graceful: time.Second})
	fmt.Println("stopped:", err)
	// Output:
	// serving: <nil>
	// drained: <nil>
	// Unavailable true 2.c1 n2
	// stopped: <nil>
}

// The old leader refuses, the call is held, and runs at the new leader when that
// is known. The caller sees latency, not an error.
func ExampleConn() {
	term := func(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }
	pipes := map[string]*bufconn.Listener{"n1": bufconn.Listen(1 << 16), "n2": bufconn.Listen(1 << 16)}
	gates := map[string]*lameduck.Gate{}
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, lis := range pipes {
		gates[name] = new(lameduck.Gate)
		front, err := grpcbuffer.NewServer(gates[name], grpcbuffer.ServerOptions{Class: gated})
		if err != nil {
			panic(err)
		}
		srv := grpc.NewServer(grpc.UnaryInterceptor(front.UnaryInterceptor))
		h := health.NewServer()
		h.SetServingStatus("asked of "+name, healthpb.HealthCheckResponse_SERVING)
		healthpb.RegisterHealthServer(srv, h)
		wg.Go(func() { _ = srv.Serve(lis) })
		defer srv.Stop()
	}
	if err := gates["n1"].Serve(term(1)); err != nil {
		panic(err)
	}

	holding := make(chan struct{})
	buf, err := buffer.New(buffer.Config{Hooks: buffer.Hooks{State: func(_ string, s buffer.State, _ leadership.Leadership) {
		if s == buffer.HoldAll {
			close(holding)
		}
	}}})
	if err != nil {
		panic(err)
	}
	defer buf.Close()
	lane := buf.Lane("orders")
	conn, err := grpcbuffer.NewConn(lane, func(_ leadership.Leadership, addr string) (*grpc.ClientConn, error) {
		return dialPipe(pipes[addr])
	}, grpcbuffer.ConnOptions{})
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	client := healthpb.NewHealthClient(conn)
	leads := func(name string, n uint64) {
		l := leadership.Leadership{Leader: leadership.NodeID(name), Term: term(n)}
		lane.Observe(leadership.Record{Version: n, Active: l, Routed: l, Addr: name})
	}

	leads("n1", 1) // Buffer.Follow does this in real life
	_, err = gates["n1"].Drain(context.Background(), lameduck.Plan{All: time.Second, Until: term(2)})
	fmt.Println("n1 has drained:", err)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, err := client.Check(context.Background(), &healthpb.HealthCheckRequest{Service: "asked of n2"})
		fmt.Println("the call:", err)
	}()
	<-holding
	fmt.Println("held")
	if err := gates["n2"].Serve(term(2)); err != nil {
		panic(err)
	}
	leads("n2", 2)
	<-answered
	// Output:
	// n1 has drained: <nil>
	// held
	// the call: <nil>
}

// A handler that finds that its node does not lead refuses by itself.
func ExampleRefuse() {
	refusal := &leadership.Refusal{Term: leadership.Term{Num: 4, Proposer: "c1"}, Leader: "n2", Reason: "stepped down"}
	err := grpcbuffer.Refuse(refusal) // once per term, returned by every handler

	// What the client makes of it:
	received := status.Convert(err).Err()
	r, proven := grpcbuffer.RefusalOf(received)
	fmt.Println(proven, r.Leader)
	_, proven = grpcbuffer.RefusalOf(status.Error(codes.Unavailable, "refused, not executed"))
	fmt.Println(proven)
	// Output:
	// true n2
	// false
}

func dialPipe(lis *bufconn.Listener) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///pipe", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
}
