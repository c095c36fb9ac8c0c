package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// Work that takes longer than the grace is cancelled, and finds the reason in its
// context.
func ExampleToken_Context() {
	gate := new(lameduck.Gate)
	tok, err := gate.Enter(lameduck.Single)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := tok.Context(context.Background())
	go func() {
		defer tok.Exit()
		<-ctx.Done() // a query that notices
	}()
	report, err := gate.Drain(context.Background(), lameduck.Plan{Cancel: time.Minute, Leader: "n2"})
	fmt.Println(report.Phase, "cancelled:", report.Cancelled, err)
	var why *lameduck.CancelledError
	fmt.Println(errors.As(context.Cause(ctx), &why), why.Refusal.Leader)
	// Output:
	// drained cancelled: 1 <nil>
	// true n2
}

// A transaction that a drain ended while it was idle is rolled back by its host.
func ExampleOptions_endUnit() {
	gate, err := lameduck.New(lameduck.Options{
		EndUnit: func(_ context.Context, unit lameduck.Info) { fmt.Println("roll back", unit.Label) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	unit, err := gate.EnterInfo(lameduck.Unit, lameduck.Info{Label: "session 7"}) // BEGIN, and then nothing
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unit.Exit()
	report, err := gate.Drain(context.Background(), lameduck.Plan{All: time.Minute})
	fmt.Println(report.Phase, "units ended:", report.EndedUnits, err)
	// Output:
	// roll back session 7
	// drained units ended: 1 <nil>
}
