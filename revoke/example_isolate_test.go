package revoke_test

import (
	"context"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// breaker cuts nodes off. A real one remembers, for each node and durably, the
// highest term that it obeyed, and refuses commands of lower ones.
type breaker struct{ cut map[leadership.NodeID]bool }

func (b breaker) Isolate(_ context.Context, _ leadership.Term, node leadership.NodeID) error {
	b.cut[node] = true
	return nil
}

func (b breaker) Release(_ context.Context, _ leadership.Term, node leadership.NodeID) error {
	b.cut[node] = false
	return nil
}

// n1 does not answer and is cut off. It is not let go on anybody's word but its
// own promise: else it would lead again, beside its successor.
func ExampleNewIsolate() {
	ctx := context.Background()
	registry, power := &leadership.MemoryRegistry{}, breaker{cut: map[leadership.NodeID]bool{}}
	if _, err := registry.Swap(ctx, 0, leadership.Record{Cluster: "orders", Mode: leadership.Full}); err != nil {
		fmt.Println(err)
		return
	}
	isolate, err := revoke.NewIsolate(power, registry, "c1", nil) // nil: the leader
	if err != nil {
		fmt.Println(err)
		return
	}
	term := leadership.Term{Num: 7, Proposer: "c1"}
	var said leadership.Testimony
	err = isolate.Revoke(ctx, revoke.Ask{Term: term, Targets: []leadership.NodeID{"n1"}, Leader: "n1"},
		func(t leadership.Testimony) { said = t })
	fmt.Println(said.Node, said.Kind, "held:", said.Held, "cut:", power.cut["n1"], err)
	record, _ := registry.Load(ctx)
	fmt.Println("in the record:", record.Held)

	fmt.Println(isolate.Release(ctx, said))
	promise := leadership.Testimony{Node: "n1", Term: term, Kind: leadership.Promised} // its answer, from behind the cut
	fmt.Println(isolate.Release(ctx, promise), "cut:", power.cut["n1"])
	// Output:
	// n1 isolated held: true cut: true <nil>
	// in the record: [{n1 7.c1 c1}]
	// revoke: n1 stays isolated, it is not converted: leadership: cannot release n1: it is not converted: its testimony is isolated, not a promise
	// <nil> cut: false
}
