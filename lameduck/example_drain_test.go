package lameduck_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A leader hands its role over: what runs is finished, what comes later is told
// where to go, with the proof that it was not executed here.
func ExampleGate_Drain_plannedChange() {
	gate, err := lameduck.New(lameduck.Options{Name: "writes", Term: leadership.Term{Num: 5, Proposer: "n1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	write := func() error {
		tok, err := gate.Enter(lameduck.Single)
		if err != nil {
			return err
		}
		defer tok.Exit()
		fmt.Println("written")
		return nil
	}
	if err := write(); err != nil {
		fmt.Println(err)
	}

	report, err := gate.Drain(context.Background(), lameduck.Plan{
		All:    2 * time.Second,
		Cancel: time.Second,
		Until:  leadership.Term{Num: 6, Proposer: "n2"},
		Leader: "n2",
	})
	fmt.Println(report.Phase, err)

	var refusal *leadership.Refusal
	if errors.As(write(), &refusal) {
		fmt.Println("executed:", !refusal.NotExecuted())
		fmt.Println("go to", refusal.Leader, "from term", refusal.Until)
	}
	// Output:
	// written
	// drained <nil>
	// executed: false
	// go to n2 from term 6.n2
}

// A role that is given up for good is sealed, and opened by a higher term only.
func ExampleGate_Seal_andServe() {
	gate, err := lameduck.New(lameduck.Options{Term: leadership.Term{Num: 5, Proposer: "n1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := gate.Drain(context.Background(), lameduck.Plan{Expire: time.Minute}); err != nil {
		fmt.Println(err)
		return
	}
	// The node has promised term 6 to another: the drain no longer expires.
	fmt.Println(gate.Seal(leadership.Term{Num: 6, Proposer: "n2"}))
	_, err = gate.Enter(lameduck.Single)
	fmt.Println(err)

	// It comes back under a term of its own.
	fmt.Println(gate.Serve(leadership.Term{Num: 5, Proposer: "n1"}))
	fmt.Println(gate.Serve(leadership.Term{Num: 7, Proposer: "n1"}))
	fmt.Println(gate.State().Phase, "at", gate.State().Term)
	// Output:
	// <nil>
	// refused, not executed: draining (at term 5.n1)
	// lameduck: term 5.n1 is too low: the gate served 5.n1 and is sealed by 6.n2
	// <nil>
	// serving at 7.n1
}

// A drain that is no longer wanted is undone, at any time before its end.
func ExampleGate_Resume_undo() {
	gate := new(lameduck.Gate)
	announced := gate.Draining()
	ended := make(chan error)
	go func() {
		_, err := gate.Drain(context.Background(), lameduck.Plan{Announce: time.Hour})
		ended <- err
	}()
	<-announced
	fmt.Println("ready:", gate.State().Ready())
	fmt.Println(gate.Resume())
	fmt.Println(<-ended)
	fmt.Println("ready:", gate.State().Ready())
	// Output:
	// ready: false
	// <nil>
	// lameduck: the drain was undone, the gate serves again
	// ready: true
}

// One tenant is drained while the others are served.
func ExampleGate_Child_oneTenant() {
	all := new(lameduck.Gate)
	blue, green := all.Child("blue"), all.Child("green")
	report, err := blue.Drain(context.Background(), lameduck.Plan{})
	fmt.Println(report.Gate, report.Phase, err)
	for _, tenant := range []*lameduck.Gate{blue, green} {
		tok, err := tenant.Enter(lameduck.Single)
		fmt.Println(tenant.Name(), err)
		tok.Exit()
	}
	// Output:
	// blue drained <nil>
	// blue refused, not executed: draining
	// green <nil>
}
