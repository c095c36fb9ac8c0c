package buffer_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// Nobody leads yet. What frees resources goes first when somebody does, and the
// requests of one account go in the order they came.
func ExamplePriority() {
	b, err := buffer.New(buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	orders := b.Lane("orders")
	var wg sync.WaitGroup
	send := func(name string, req buffer.Request) {
		held := orders.Snapshot().Counters.Held
		wg.Go(func() {
			_ = orders.Do(context.Background(), req, func(context.Context, leadership.Leadership, string) error {
				fmt.Println(name)
				return nil
			})
		})
		for orders.Snapshot().Counters.Held == held { // until it is held
		}
	}
	send("report", buffer.Request{Priority: buffer.MinPriority})
	send("deposit", buffer.Request{Key: "account 7"})
	send("withdraw", buffer.Request{Key: "account 7", Priority: 2})
	send("rollback", buffer.Request{Priority: buffer.MaxPriority})
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	orders.Observe(leadership.Record{Version: 1, Active: n1, Routed: n1})
	wg.Wait()
	// Output:
	// rollback
	// deposit
	// withdraw
	// report
}

// Two tenants may hold 100 requests each whatever the other does. What could not
// be held fails at once, and was not executed.
func ExampleShare() {
	b, err := buffer.New(buffer.Config{
		MaxHeld: 500, MaxBytes: 1 << 20,
		Share: buffer.Share{Held: 100, Bytes: 1 << 18, Lanes: 2},
	})
	if err != nil {
		panic(err)
	}
	one, two := b.Lane("tenant 1"), b.Lane("tenant 2")
	var wg sync.WaitGroup
	flood := func(l *buffer.Lane) {
		for range 1000 {
			wg.Go(func() {
				_ = l.Do(context.Background(), buffer.Request{Bytes: 1}, nop)
			})
		}
		for {
			if s := l.Snapshot(); s.Counters.Held+s.Overflow == 1000 {
				fmt.Println(s.Lane, "holds", s.Held)
				return
			}
		}
	}
	flood(one)
	flood(two)
	b.Close()
	wg.Wait()
	// Output:
	// tenant 1 holds 400
	// tenant 2 holds 100
}
