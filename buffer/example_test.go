package buffer_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// A planned change: the old leader refuses, the request is held, and runs at
// the new leader when that is routed. The caller sees latency, not an error.
func ExampleLane_Do_plannedChange() {
	holding := make(chan struct{})
	b, err := buffer.New(buffer.Config{
		MaxAge: 5 * time.Second,
		Hooks: buffer.Hooks{State: func(_ string, s buffer.State, _ leadership.Leadership) {
			if s == buffer.HoldAll {
				close(holding)
			}
		}},
	})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	orders := b.Lane("orders")
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	n2 := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 2, Proposer: "c1"}}
	orders.Observe(leadership.Record{Version: 1, Active: n1, Routed: n1, Addr: "10.0.0.1:7000"})

	var wg sync.WaitGroup
	wg.Go(func() {
		err := orders.Do(context.Background(), buffer.Request{Unit: true},
			func(_ context.Context, to leadership.Leadership, addr string) error {
				if to == n1 { // it is stepping down
					return &leadership.Refusal{Term: n1.Term, Until: n2.Term}
				}
				fmt.Println("ran at", to, addr)
				return nil
			})
		fmt.Println("error:", err)
	})
	<-holding
	fmt.Println(orders.Snapshot().State)
	orders.Observe(leadership.Record{Version: 2, Active: n2, Routed: n2, Addr: "10.0.0.2:7000"})
	wg.Wait()
	fmt.Println(orders.Snapshot().State)
	// Output:
	// hold-all
	// ran at n2@2.c1 10.0.0.2:7000
	// error: <nil>
	// serving
}

// A driver that cannot hand its work to a function takes a turn.
func ExampleLane_Enter() {
	b, err := buffer.New(buffer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders")
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	n2 := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 2, Proposer: "c1"}}
	orders.Learn(n1, "10.0.0.1:4000")

	ctx := context.Background()
	turn, err := orders.Enter(ctx, buffer.Request{Unit: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("begin at", turn.To(), turn.Addr())

	// n1 is stepping down and refuses; n2 follows.
	orders.Learn(n2, "10.0.0.2:4000")
	if err := turn.Retry(ctx, &leadership.Refusal{Term: n1.Term, Until: n2.Term}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("begin at", turn.To(), turn.Addr())
	turn.Answered() // the transaction is open: its slot is free for the next
	turn.Done(nil)  // and committed
	// Output:
	// begin at n1@1.c1 10.0.0.1:4000
	// begin at n2@2.c1 10.0.0.2:4000
}

// A coordinator that steps down a plain database server waits until nobody uses
// it.
func ExampleLane_Quiesced() {
	b, err := buffer.New(buffer.Config{Counted: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	lane := b.Lane("orders")
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	rec := leadership.Record{Version: 1, Active: n1, Routed: n1, Fence: n1.Term}
	lane.Observe(rec)

	ctx := context.Background()
	turn, err := lane.Enter(ctx, buffer.Request{})
	if err != nil {
		fmt.Println(err)
		return
	}
	next := leadership.Term{Num: 2, Proposer: "c1"}
	rec.Version, rec.Fence = 2, next
	rec.Intent = leadership.Intent{Term: next, Phase: leadership.Holding, HoldFor: time.Minute}
	lane.Observe(rec)

	quiet := make(chan error)
	go func() { quiet <- lane.Quiesced(ctx, next) }()
	turn.Done(nil)
	fmt.Println("quiet:", <-quiet == nil)
	// Output: quiet: true
}
