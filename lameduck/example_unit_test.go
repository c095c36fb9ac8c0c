package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// A transaction that is open when the drain begins may still commit; no new one
// is taken.
func ExampleToken_Continue_commit() {
	gate := new(lameduck.Gate)
	unit, err := gate.Enter(lameduck.Unit) // BEGIN
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan lameduck.Report)
	go func() {
		report, _ := gate.Drain(context.Background(), lameduck.Plan{Units: time.Hour, All: time.Hour})
		ended <- report
	}()
	for changed := gate.Changed(); gate.State().Phase < lameduck.DrainUnits; changed = gate.Changed() {
		<-changed
	}
	_, err = gate.Enter(lameduck.Unit)
	fmt.Println("another:", err)

	commit, err := unit.Continue() // COMMIT
	fmt.Println("commit:", err)
	commit.Exit()
	unit.Exit()
	report := <-ended
	fmt.Println(report.Phase, "after", report.FinishedUnits, "unit")
	// Output:
	// another: refused, not executed: draining
	// commit: <nil>
	// drained after 1 unit
}

// A transaction that stays idle does not hold the drain up. Its next request is
// told, with proof, to begin it again.
func ExampleToken_Continue_restart() {
	gate := new(lameduck.Gate)
	unit, err := gate.Enter(lameduck.Unit)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := gate.Drain(context.Background(), lameduck.Plan{All: time.Hour})
	fmt.Println(report.Phase, err, "with", report.EndedUnits, "unit ended")

	_, err = unit.Continue()
	var restart *lameduck.RestartUnitError
	fmt.Println("restart:", errors.As(err, &restart))
	unit.Exit()
	// Output:
	// drained <nil> with 1 unit ended
	// restart: true
}
