package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// trio is three notebooks that n1 leads.
type trio struct {
	nodes    map[leadership.NodeID]*notebook
	registry *leadership.MemoryRegistry
	guard    *reparent.Guard
	rules    *leadership.Rules
	dir      string
}

func newTrio(ctx context.Context) (*trio, error) {
	dir, err := os.MkdirTemp("", "notes")
	if err != nil {
		return nil, err
	}
	c := &trio{dir: dir, registry: &leadership.MemoryRegistry{}}
	c.nodes, c.guard, c.rules, err = notebooks(ctx, dir, c.registry)
	return c, err
}

func (c *trio) remove() { _ = os.RemoveAll(c.dir) }

// The first leadership of new nodes. It is for nodes without data, once.
func ExampleBootstrap() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "notes")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	n1, err := newNotebook(ctx, dir, "n1", map[leadership.NodeID]*notebook{})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := reparent.New("notes", &leadership.MemoryRegistry{}, []reparent.Node{n1.node()}, reparent.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = guard.Run(ctx, reparent.Planned("n1"))
	fmt.Println(err)

	rules, err := leadership.NewRuleset(leadership.Any(), leadership.Node{ID: "n1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := guard.Run(ctx, reparent.Bootstrap(rules, "n1"))
	fmt.Println(report.Outcome, "leader:", report.Leader(), err)
	report, err = guard.Run(ctx, reparent.Bootstrap(rules, "n1"))
	var again *reparent.ChangeError
	fmt.Println(report.Outcome, "refused:", errors.As(err, &again))
	// Output:
	// reparent: the registry has no record of this cluster: bootstrap or adopt it
	// done leader: n1 <nil>
	// not started refused: true
}

// A cluster that ran without a guard is taken over as it is: the node that leads
// keeps its data, and leads under the first term.
func ExampleAdopt() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "notes")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	peers := map[leadership.NodeID]*notebook{}
	var nodes []reparent.Node
	for _, id := range []leadership.NodeID{"n1", "n2", "n3"} {
		home := filepath.Join(dir, string(id))
		if err := os.Mkdir(home, 0o755); err != nil {
			fmt.Println(err)
			return
		}
		n, err := newNotebook(ctx, home, id, peers)
		if err != nil {
			fmt.Println(err)
			return
		}
		n.replace([]line{{text: "from before"}})
		nodes = append(nodes, n.node())
	}
	guard, err := reparent.New("notes", &leadership.MemoryRegistry{}, nodes, reparent.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := leadership.NewRuleset(leadership.Majority(), leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := guard.Run(ctx, reparent.Adopt(rules, "n1"))
	fmt.Println(report.Outcome, "leader:", report.Leader(), err)
	fmt.Println("n2 has:", peers["n2"].texts())
	// Output:
	// done leader: n1 <nil>
	// n2 has: [from before]
}

// A follower promised a term of an attempt that nobody finished. It accepts from
// its leader no more, until that leads under a term of its own above it.
func ExampleRefresh() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	if _, err := c.nodes["n3"].Promise(ctx, leadership.Term{Num: 5, Proposer: "gone"}); err != nil {
		fmt.Println(err)
		return
	}
	swept, err := c.guard.Sweep(ctx) // a sweep takes no term, and cannot help
	fmt.Println("a sweep brings n3 back:", err == nil && swept.Nodes[2].Did == "followed")

	report, err := c.guard.Run(ctx, reparent.Refresh())
	fmt.Println(report.Outcome, "leader:", report.Leader(), err)
	fmt.Println("n1 writes:", c.nodes["n1"].Write(c.rules, "first"), "n3 has:", c.nodes["n3"].texts())
	// Output:
	// a sweep brings n3 back: false
	// done leader: n1 <nil>
	// n1 writes: <nil> n3 has: [first]
}

// A coordinator announced that n2 shall lead, and died. Whoever notices finishes
// what it began, or undoes it.
func ExampleResume() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	_, err = leadership.Update(ctx, c.registry, func(r leadership.Record) (leadership.Record, error) {
		term, err := leadership.NextTerm("ops-1", r.Fence)
		if err != nil {
			return r, err
		}
		return r.Begin(leadership.Intent{Term: term, By: "ops-1", Kind: leadership.KindPlanned, From: "n1", To: "n2"}, false)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.guard.Run(ctx, reparent.Planned("n3"))
	var busy *leadership.BusyError
	fmt.Println("busy:", errors.As(err, &busy))

	report, err := c.guard.Run(ctx, reparent.Resume())
	fmt.Println(report.Outcome, "leader:", report.Leader(), err)
	// Output:
	// busy: true
	// done leader: n2 <nil>
}

// Who counts, and how many must have a request, is changed under the leader that
// leads. The old rules are given up only once the new ones hold.
func ExampleSetRuleset() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	next := c.rules.Ruleset
	next.Policy = leadership.All().Spec()
	next.Version = 0 // the next one
	report, err := c.guard.Run(ctx, reparent.SetRuleset(next))
	fmt.Println(report.Outcome, "leader:", report.Leader(), err)
	record, err := c.registry.Load(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("version", record.Ruleset.Version, record.Ruleset.Policy)
	now, err := record.Ruleset.Compile(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("n1 writes:", c.nodes["n1"].Write(now, "first"))
	// Output:
	// done leader: n1 <nil>
	// version 2 all
	// n1 writes: <nil>
}

// A plan asks, and touches nothing. What it says rests on what nodes say of
// themselves.
func ExampleGuard_Plan() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	plan, err := c.guard.Plan(ctx, reparent.Planned("n2"))
	fmt.Println("from", plan.From, "to", plan.Choice.To, err)
	fmt.Println(plan.Steps)
	_, err = c.guard.Plan(ctx, reparent.Planned("n9"))
	fmt.Println(err)
	// Output:
	// from n1 to n2 <nil>
	// [begin prepare hold revoke propose install activate grant route]
	// reparent: the guard has no such node: leadership: node "n9" is not in the cohort
}

// Two of three nodes are gone. The change is refused before anything is touched:
// it could end a leadership and begin none.
func ExampleInfeasibleError() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	alone, err := reparent.New("notes", c.registry, []reparent.Node{
		{ID: "n1", Status: unreachable{"n1"}, Promise: unreachable{"n1"}},
		{ID: "n2", Status: unreachable{"n2"}, Promise: unreachable{"n2"}},
		c.nodes["n3"].node(),
	}, reparent.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := alone.Run(ctx, reparent.Emergency())
	var infeasible *reparent.InfeasibleError
	if errors.As(err, &infeasible) {
		fmt.Println(report.Outcome, "- any of these would do:", infeasible.Missing)
	}
	fmt.Println("n3 promised nothing above", c.nodes["n3"].acc.Status().Promised.Num)
	// Output:
	// not started - any of these would do: [[n1] [n2]]
	// n3 promised nothing above 1
}

// What everybody says of itself, for a dashboard.
func ExampleGuard_View() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	view, err := c.guard.View(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	conditions := leadership.LeaderConditions()
	fmt.Println("leaders:", conditions.Holders(view))
	for _, f := range conditions.Explain(view, "n2") {
		fmt.Println("n2 is", f.Condition, f.Holds)
	}
	// Output:
	// leaders: [n1]
	// n2 is granted false
	// n2 is supported false
	// n2 is routed false
}

// A hook sees every step, and may say no until the marker is durable.
func ExampleHooks() {
	ctx := context.Background()
	c, err := newTrio(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.remove()
	freeze := errors.New("no changes on Fridays")
	guard, err := reparent.New("notes", c.registry, []reparent.Node{c.nodes["n1"].node(), c.nodes["n2"].node(), c.nodes["n3"].node()}, reparent.Config{
		Hooks: reparent.Hooks{Before: func(_ context.Context, e reparent.Event) error {
			if e.Kind == leadership.KindPlanned && e.Step == reparent.StepBegin {
				return freeze
			}
			return nil
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := guard.Run(ctx, reparent.Planned("n2"))
	fmt.Println(report.Outcome, "leader:", report.Leader(), errors.Is(err, freeze))
	// Output: not started leader: n1 true
}
