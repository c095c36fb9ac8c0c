package grpcbuffer_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// generated stands for a package that protoc has made of a service.
type generated struct{}

type ordersClient struct{ cc grpc.ClientConnInterface }

func (generated) NewOrdersClient(cc grpc.ClientConnInterface) ordersClient { return ordersClient{cc} }

func (c ordersClient) Put(ctx context.Context, order string) (reply string, err error) {
	return reply, c.cc.Invoke(ctx, "/shop.Orders/Put", &order, &reply)
}

var (
	pb   generated
	dial grpcbuffer.Dial
)

// A server that drains, and a client that follows the leader. They need a service,
// so this is compiled and not run.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	gate, healthServer, ended := new(lameduck.Gate), health.NewServer(), make(chan error, 1)
	serving := func() leadership.Leadership { return leadership.Leadership{} } // as the node says
	plan := grpcbuffer.StopPlan{Drain: lameduck.Plan{All: 10 * time.Second, Cancel: time.Second}, Graceful: time.Second}

	front, err := grpcbuffer.NewServer(gate, grpcbuffer.ServerOptions{Health: healthServer, Leadership: serving})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := grpc.NewServer(grpc.UnaryInterceptor(front.UnaryInterceptor),
		grpc.StreamInterceptor(front.StreamInterceptor))
	go func() { ended <- front.Run(ctx) }()
	report, err := front.Stop(ctx, srv, plan)
	fmt.Println(report, err)
	stop()
	fmt.Println(<-ended)

	order := "tea"
	buf, err := buffer.New(buffer.Config{}) // of the client
	if err != nil {
		fmt.Println(err)
		return
	}
	defer buf.Close()
	conn, err := grpcbuffer.NewConn(buf.Lane("orders"), dial, grpcbuffer.ConnOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	client := pb.NewOrdersClient(conn)
	reply, err := client.Put(ctx, order)
	fmt.Println(reply, err)
}
