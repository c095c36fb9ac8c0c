package handover_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// shop is a leader with a drain and a step-down of its own.
type shop struct{}

func (shop) Drain(context.Context, leadership.Term, time.Duration) (revoke.Drained, error) {
	return revoke.Drained{Finished: 2}, nil
}

func (shop) StepDown(_ context.Context, t leadership.Term) (leadership.Testimony, error) {
	end := leadership.Position{Term: leadership.Term{Num: 1, Proposer: "c"}, Point: leadership.LogPoint{Index: 5}}
	return leadership.Testimony{Node: "n1", Term: t, Kind: leadership.Demoted, Read: &end}, nil
}

// Retire makes it a handover.Retirer.
func (s shop) Retire(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
	return handover.Retire(ctx, s, r)
}

// A node that drains and steps down can do both in one call.
func ExampleRetire() {
	t2 := leadership.Term{Num: 2, Proposer: "c"}
	got, err := shop{}.Retire(context.Background(), handover.Retirement{Term: t2, To: "n2", Drain: time.Second})
	fmt.Println(got.Drained.Finished, "finished,", got.StepDown.Node, got.StepDown.Kind, err)
	// Output: 2 finished, n1 demoted <nil>
}
