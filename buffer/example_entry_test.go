package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// The cheapest way in for a caller that has its request at hand: one atomic step
// when everything may be sent, and Do for all else.
func ExampleLane_TryEnter() {
	b, err := buffer.New(buffer.Config{Counted: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	orders := b.Lane("orders")
	send := func(to leadership.Leadership, addr string) error {
		fmt.Println("sent to", to, "at", addr)
		return nil
	}
	request := func(ctx context.Context) error {
		if entry, ok := orders.TryEnter(); ok {
			err := send(entry.To(), entry.Addr())
			entry.Leave()
			if !leadership.NotExecuted(err) {
				return err
			}
		}
		return orders.Do(ctx, buffer.Request{}, func(_ context.Context, to leadership.Leadership, addr string) error {
			return send(to, addr)
		})
	}
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	orders.Learn(n1, "10.0.0.1:7000")
	fmt.Println(request(context.Background()))
	// Output:
	// sent to n1@1.c1 at 10.0.0.1:7000
	// <nil>
}

// When there is no room, somebody gives way, and is told that nothing was executed.
func ExampleOverflow() {
	b, err := buffer.New(buffer.Config{MaxHeld: 1, Overflow: buffer.EvictOldest})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := b.Lane("orders") // nobody is known to lead
	var wg sync.WaitGroup
	request := func(name string) {
		held := orders.Snapshot().Counters.Held
		wg.Go(func() {
			err := orders.Do(context.Background(), buffer.Request{}, nop)
			var full *buffer.OverflowError
			if errors.As(err, &full) {
				fmt.Println(name, "gave way:", full.Evicted, "not executed:", leadership.NotExecuted(err))
			}
		})
		for orders.Snapshot().Counters.Held == held { // until it is held
		}
	}
	request("first")
	request("second")
	for orders.Snapshot().Evicted == 0 { // until it gave way
	}
	b.Close()
	wg.Wait()
	// Output: first gave way: true not executed: true
}
