package grpcbuffer_test

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
)

// feed sends what happens until its gate is announced to drain.
type feed struct {
	healthpb.UnimplementedHealthServer
}

func (feed) Watch(_ *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}); err != nil {
		return err
	}
	select {
	case <-grpcbuffer.Draining(stream.Context()):
		return stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}) // goodbye
	case <-stream.Context().Done():
		return context.Cause(stream.Context())
	}
}

// A stream is told of a drain, and never delays it.
func ExampleDraining() {
	gate := new(lameduck.Gate)
	front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{
		Class: func(string) grpcbuffer.Class { return grpcbuffer.Stream },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := grpc.NewServer(grpc.StreamInterceptor(front.StreamInterceptor))
	healthpb.RegisterHealthServer(srv, feed{})
	lis := bufconn.Listen(1 << 16)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer srv.Stop()
	wg.Go(func() { _ = srv.Serve(lis) })
	cc, err := dialPipe(lis)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cc.Close()

	ctx := context.Background()
	stream, err := healthpb.NewHealthClient(cc).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := stream.Recv()
	fmt.Println(first.GetStatus(), err)
	report, err := gate.Drain(ctx, lameduck.Plan{})
	fmt.Println(report.Phase, err)
	last, err := stream.Recv()
	fmt.Println(last.GetStatus(), err)
	_, err = stream.Recv()
	fmt.Println(err)
	// Output:
	// SERVING <nil>
	// drained <nil>
	// NOT_SERVING <nil>
	// EOF
}
