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
