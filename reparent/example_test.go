package reparent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// notebooks is a cluster of three notebooks, its guard, and its rules.
func notebooks(ctx context.Context, dir string, reg leadership.Registry) (map[leadership.NodeID]*notebook, *reparent.Guard, *leadership.Rules, error) {
	peers := map[leadership.NodeID]*notebook{}
	var members []leadership.Node
	var nodes []reparent.Node
	for _, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		home := filepath.Join(dir, string(id))
		if err := os.Mkdir(home, 0o755); err != nil {
			return nil, nil, nil, err
		}
		n, err := newNotebook(ctx, home, id, peers)
		if err != nil {
			return nil, nil, nil, err
		}
		members, nodes = append(members, leadership.Node{ID: id}), append(nodes, n.node())
	}
	rs, err := leadership.NewRuleset(leadership.Majority(), members...)
	if err != nil {
		return nil, nil, nil, err
	}
	rules, err := rs.Compile(nil)
	if err != nil {
		return nil, nil, nil, err
	}
	guard, err := reparent.New("notes", reg, nodes, reparent.Config{})
	if err != nil {
		return nil, nil, nil, err
	}
	_, err = guard.Run(ctx, reparent.Bootstrap(rs, "n1"))
	return peers, guard, rules, err
}

func ExampleGuard_Run_planned() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "notes")
	defer os.RemoveAll(dir)
	registry := &leadership.MemoryRegistry{}
	nodes, guard, rules, err := notebooks(ctx, dir, registry)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("n1 writes:", nodes["n1"].Write(rules, "first"))
	report, err := guard.Run(ctx, reparent.Planned("n2"))
	fmt.Println(report.Outcome, "leader:", report.Leader(), "error:", err)
	fmt.Println("n1 refuses, with proof:", leadership.NotExecuted(nodes["n1"].Write(rules, "too late")))
	fmt.Println("n2 writes:", nodes["n2"].Write(rules, "second"))
	fmt.Println("n3 has:", nodes["n3"].texts())
	// Output:
	// n1 writes: <nil>
	// done leader: n2 error: <nil>
	// n1 refuses, with proof: true
	// n2 writes: <nil>
	// n3 has: [first second]
}

// unreachable is a node that does not answer this coordinator.
type unreachable struct{ id leadership.NodeID }

func (u unreachable) err() error { return fmt.Errorf("%s: no route to host", u.id) }

func (u unreachable) Status(context.Context) (leadership.Status, error) {
	return leadership.Status{}, u.err()
}

func (u unreachable) Promise(context.Context, leadership.Term) (leadership.Testimony, error) {
	return leadership.Testimony{}, u.err()
}

// The leader cannot be reached by the coordinator. It is alive all the same,
// and its followers answer it: they refuse, because they promised.
func ExampleGuard_Run_emergency() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "notes")
	defer os.RemoveAll(dir)
	registry := &leadership.MemoryRegistry{}
	nodes, guard, rules, err := notebooks(ctx, dir, registry)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("n1 writes:", nodes["n1"].Write(rules, "first"))
	cut, err := reparent.New("notes", registry, []reparent.Node{
		{ID: "n1", Status: unreachable{"n1"}, Promise: unreachable{"n1"}}, nodes["n2"].node(), nodes["n3"].node(),
	}, reparent.Config{Limits: reparent.Limits{Status: 100 * time.Millisecond, Drain: 500 * time.Millisecond, Revoke: time.Second, Retry: 50 * time.Millisecond}})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := cut.Plan(ctx, reparent.Emergency())
	fmt.Println("plan:", plan.Choice.To, err)
	report, err := cut.Run(ctx, reparent.Emergency())
	fmt.Println(report.Outcome, "leader:", report.Leader(), "error:", err)
	fmt.Println("n1 writes:", nodes["n1"].Write(rules, "zombie"))
	fmt.Println("n2 writes:", nodes["n2"].Write(rules, "second"))

	swept, err := guard.Sweep(ctx) // n1 can be reached again
	for _, n := range swept.Nodes {
		fmt.Println("swept", n.Node, n.Did, n.Err)
	}
	fmt.Println("n1 has:", nodes["n1"].texts(), err)
	// Output:
	// n1 writes: <nil>
	// plan: n2 <nil>
	// done leader: n2 error: <nil>
	// n1 writes: leadership: unknown outcome: it may or may not have happened
	// n2 writes: <nil>
	// swept n1 followed <nil>
	// swept n2 leads <nil>
	// swept n3 follows <nil>
	// n1 has: [first second] <nil>
}
