package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A gate in front of every request, and the drain with which its leadership ends.
func Example() {
	ctx, term, next := context.Background(), leadership.Term{Num: 5, Proposer: "c1"}, leadership.Term{Num: 6, Proposer: "c1"}
	gate, err := lameduck.New(lameduck.Options{Name: "writes", Term: term})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := func() error {
		tok, err := gate.Enter(lameduck.Single)
		if err != nil {
			return err
		}
		defer tok.Exit()
		return nil
	}
	fmt.Println("before:", request())
	report, err := gate.Drain(ctx, lameduck.Plan{Units: time.Second, All: 2 * time.Second,
		Cancel: time.Second, Until: next, Leader: "n2", Expire: 5 * time.Second})
	fmt.Println(report.Phase, err)
	var refusal *leadership.Refusal
	fmt.Println("after: refused:", errors.As(request(), &refusal))
	// Output:
	// before: <nil>
	// drained <nil>
	// after: refused: true
}
