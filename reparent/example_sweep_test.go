package reparent_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/reparent"
)

// A straggler follows again. A sweep takes no term and changes no leader, so it may
// be run at any time.
func ExampleGuard_Sweep() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	without, err := reparent.New("notes", c.registry, []reparent.Node{
		c.nodes["n1"].node(), c.nodes["n2"].node(), {ID: "n3", Status: unreachable{"n3"}, Promise: unreachable{"n3"}},
	}, reparent.Config{Limits: reparent.Limits{Linger: time.Millisecond}})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := without.Run(ctx, reparent.Planned("n2"))
	fmt.Println(report.Outcome, "stragglers:", report.Stragglers, err)

	swept, err := c.guard.Sweep(ctx) // n3 can be reached again
	for _, n := range swept.Nodes {
		fmt.Println(n.Node, n.Did)
	}
	fmt.Println(err)
	// Output:
	// done stragglers: [n3] <nil>
	// n1 follows
	// n2 leads
	// n3 followed
	// <nil>
}
