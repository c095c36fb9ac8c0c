package leadership_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Whether a request may be sent again is not a matter of guessing from an error:
// an error proves that nothing happened, or it does not.
func ExampleNotExecuted() {
	refused := &leadership.Refusal{Term: leadership.Term{Num: 7, Proposer: "c1"}, Leader: "n2", Reason: "stepped down"}
	for _, err := range []error{
		fmt.Errorf("insert order: %w", refused),
		context.DeadlineExceeded, // sent, perhaps; answered, no
		errors.Join(refused, leadership.ErrUnknownOutcome),
	} {
		fmt.Println(leadership.NotExecuted(err))
	}
	// Output:
	// true
	// false
	// false
}

// A refusal travels in one line: in a header, a status detail, or an error of
// whatever protocol there is.
func ExampleRefusal_MarshalText() {
	sent := &leadership.Refusal{
		Term: leadership.Term{Num: 7, Proposer: "c1"}, Until: leadership.Term{Num: 8, Proposer: "c1"},
		Leader: "n2", Reason: "stepping down", RetryAfter: 50 * time.Millisecond,
	}
	line, err := sent.MarshalText()
	if err != nil {
		fmt.Println(err)
		return
	}
	var received leadership.Refusal
	fmt.Println(received.UnmarshalText(line))
	fmt.Println(received.Error())
	fmt.Println("proof:", leadership.NotExecuted(&received))
	// Output:
	// <nil>
	// refused, not executed: stepping down (at term 7.c1), try n2
	// proof: true
}
