package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// wire is a connection of some protocol that names the term of each request.
type wire struct{}

func (wire) Send(_ context.Context, t leadership.Term, request string) error {
	fmt.Println("sent", request, "under", t)
	return nil
}

// dial stands for that of the protocol. n1 is down.
func dial(_ context.Context, addr string) (wire, error) {
	if addr == "10.0.0.1:7000" {
		return wire{}, errors.New("connection refused")
	}
	return wire{}, nil
}

// A client whose requests follow the leader.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry, request, ended := &leadership.MemoryRegistry{}, "an order", make(chan error, 1)
	n2 := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 2, Proposer: "c1"}}
	if _, err := registry.Swap(ctx, 0, leadership.Record{Cluster: "orders", Mode: leadership.Full,
		Fence: n2.Term, Active: n2, Routed: n2, Addr: "10.0.0.2:7000"}); err != nil {
		fmt.Println(err)
		return
	}

	b, err := buffer.New(buffer.Config{MaxHeld: 5000, MaxAge: 5 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	orders := b.Lane("orders")
	go func() { ended <- b.Follow(ctx, registry, orders) }()
	err = orders.Do(ctx, buffer.Request{Bytes: 512, Idempotent: false},
		func(ctx context.Context, to leadership.Leadership, addr string) error {
			conn, err := dial(ctx, addr)
			if err != nil {
				return buffer.NotSent(err)
			}
			return conn.Send(ctx, to.Term, request)
		})
	fmt.Println("error:", err)
	stop()
	fmt.Println("followed until:", <-ended)
	// Output:
	// sent an order under 2.c1
	// error: <nil>
	// followed until: context canceled
}
