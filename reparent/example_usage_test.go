package reparent_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// A guard over three nodes, and what it is asked for.
func Example() {
	ctx, registry := context.Background(), &leadership.MemoryRegistry{}
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	nodes := []reparent.Node{c.nodes["n1"].node(), c.nodes["n2"].node(), c.nodes["n3"].node()}

	g, err := reparent.New("orders", registry, nodes, reparent.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := g.Run(ctx, reparent.Adopt(c.rules.Ruleset, "n1")); err != nil { // once
		fmt.Println(err)
		return
	}
	plan, err := g.Plan(ctx, reparent.Planned("n2"))
	fmt.Println("planned:", plan.Choice.To, err)
	report, err := g.Run(ctx, reparent.Planned("n2"))
	fmt.Println(report.Outcome, "leader:", report.Leader(), err)
	report, err = g.Run(ctx, reparent.Emergency())
	fmt.Println(report.Outcome, "another leader:", report.Leader() != "n2", err)
	report, err = g.Run(ctx, reparent.Resume())
	fmt.Println(report.Outcome, err)
	swept, err := g.Sweep(ctx)
	fmt.Println("swept:", len(swept.Nodes), err)
	// Output:
	// planned: n2 <nil>
	// done leader: n2 <nil>
	// done another leader: true <nil>
	// done <nil>
	// swept: 3 <nil>
}

// A report is for people and, as JSON, for programs. It has times and a term of its
// own, so this is compiled and not run.
func ExampleReport() {
	var report *reparent.Report // of Guard.Run
	fmt.Println(report)
	line, err := json.Marshal(report)
	fmt.Println(string(line), err)
}
