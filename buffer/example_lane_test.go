package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// A lane is fed by the registry. What goes on in it is seen in hooks and snapshots.
func ExampleBuffer_Follow() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var registry leadership.MemoryRegistry
	released := make(chan error, 1)
	b, err := buffer.New(buffer.Config{Hooks: buffer.Hooks{
		Waited: func(_ string, _ time.Duration, err error) { released <- err }, // into a histogram
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders")
	ended := make(chan error, 1)
	go func() { ended <- b.Follow(ctx, &registry, orders) }()

	var wg sync.WaitGroup
	wg.Go(func() { // nobody leads yet: it is held
		err := orders.Do(ctx, buffer.Request{}, func(_ context.Context, to leadership.Leadership, addr string) error {
			fmt.Println("sent to", to, "at", addr)
			return nil
		})
		fmt.Println("error:", err)
	})
	for orders.Snapshot().Held == 0 { // until it is there
	}
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	if _, err := registry.Swap(ctx, 0, leadership.Record{Cluster: "orders", Mode: leadership.Full,
		Fence: n1.Term, Active: n1, Routed: n1, Addr: "10.0.0.1:7000"}); err != nil {
		fmt.Println(err)
	}
	wg.Wait()
	fmt.Println("released:", <-released)
	s := orders.Snapshot()
	fmt.Println(s.State, s.Leadership, "held so far:", s.Counters.Held)
	stop()
	fmt.Println("Follow:", <-ended)
	// Output:
	// sent to n1@1.c1 at 10.0.0.1:7000
	// error: <nil>
	// released: <nil>
	// serving n1@1.c1 held so far: 1
	// Follow: context canceled
}

// A failed dial proves that nothing was sent. Only who dials can say so.
func ExampleNotSent() {
	b, err := buffer.New(buffer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders")
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	orders.Learn(n1, "10.0.0.1:7000")

	dials := 0
	err = orders.Do(context.Background(), buffer.Request{}, func(context.Context, leadership.Leadership, string) error {
		if dials++; dials == 1 {
			return buffer.NotSent(errors.New("connection refused")) // tried again, with back-off
		}
		return nil // sent, and answered
	})
	fmt.Println("dials:", dials, "error:", err)
	// Output: dials: 2 error: <nil>
}

// What an error proves decides whether a request runs again. An engine's error
// code proves nothing, unless Config.Classify knows better.
func ExampleClassify() {
	refused := &leadership.Refusal{Term: leadership.Term{Num: 1, Proposer: "c1"}}
	for _, err := range []error{
		refused,
		buffer.NotSent(errors.New("connection refused")),
		&net.OpError{Op: "read", Err: errors.New("connection reset by peer")},
		errors.New("duplicate key"),
	} {
		fmt.Println(buffer.Classify(err), "-", err)
	}
	// Output:
	// refused - refused, not executed (at term 1.c1)
	// not-sent - not sent: connection refused
	// maybe-executed - read: connection reset by peer
	// answered - duplicate key
}

// A caller that cannot wait says so by its deadline: it is told at once, and may
// try elsewhere, since nothing was sent.
func ExampleConfig_deadline() {
	b, err := buffer.New(buffer.Config{ExpectedOutage: 2 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders") // nobody is known to lead
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = orders.Do(ctx, buffer.Request{}, func(context.Context, leadership.Leadership, string) error { return nil })
	var canceled *buffer.CanceledError
	fmt.Println(errors.As(err, &canceled), errors.Is(err, context.DeadlineExceeded), leadership.NotExecuted(err))
	// Output: true true true
}

// A dry run holds nobody, and counts what holding would have hidden.
func ExampleConfig_dryRun() {
	b, err := buffer.New(buffer.Config{DryRun: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders")
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	orders.Learn(n1, "10.0.0.1:7000")
	err = orders.Do(context.Background(), buffer.Request{}, func(context.Context, leadership.Leadership, string) error {
		return &leadership.Refusal{Term: n1.Term, Reason: "stepping down"}
	})
	fmt.Println("the caller got:", err)
	orders.Learn(leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 2, Proposer: "c1"}}, "10.0.0.2:7000")
	fmt.Println("hidden otherwise:", orders.Snapshot().Hidden)
	// Output:
	// the caller got: refused, not executed: stepping down (at term 1.c1)
	// hidden otherwise: 1
}
