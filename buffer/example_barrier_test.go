package buffer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// A plain database server is stepped down only when no router has a request in
// flight. The coordinator's part is what reparent does with Config.Barrier.
func ExampleBuffer_Join() {
	var barrier leadership.MemoryBarrier
	var registry leadership.MemoryRegistry
	b, err := buffer.New(buffer.Config{Counted: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders")

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	joined, left := make(chan error, 1), make(chan error, 1)
	go func() {
		left <- b.Join(ctx, &barrier, &registry, buffer.Router{ID: "api-1", Suspended: func(err error) { joined <- err }}, orders)
	}()
	fmt.Println("joined:", <-joined)
	orders.Observe(routed(1, lead("n1", 7))) // which Follow does

	turn, err := orders.Enter(ctx, buffer.Request{})
	fmt.Println("sending to", turn.To(), err)

	// A change of term 8 is announced, and its coordinator waits.
	change := term(8)
	orders.Observe(intent(2, lead("n1", 7), 8, leadership.Holding, 10*time.Second))
	soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	call, _ := barrier.Wait(soon, change)
	cancel()
	fmt.Println(call)

	turn.Done(nil)
	call, err = barrier.Wait(ctx, change)
	fmt.Println(call, err)

	stop()
	fmt.Println("left:", <-left)
	// Output:
	// joined: <nil>
	// sending to n1@7.c1 <nil>
	// quiet for 8.c1: none; late: api-1
	// quiet for 8.c1: api-1 <nil>
	// left: context canceled
}
