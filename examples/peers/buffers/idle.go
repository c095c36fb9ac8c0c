package buffers

import (
	"context"
	"fmt"
	"runtime"

	"github.com/tenure-go/tenure/buffer"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

const (
	group  = "Buffer"
	vtgate = "vtgate buffer"
)

// idle is what a request pays while nothing is held.
func idle(o report.Options, ks *keyspaces) ([]report.Row, error) {
	t, err := newLane(buffer.Config{})
	if err != nil {
		return nil, err
	}
	const many = 1000
	keys := make([]string, many)
	shards := newShard(ks.next(), vtConfig(10, 1))
	defer shards.buf.Shutdown()
	for i := range keys {
		keys[i] = fmt.Sprintf("key%d", i)
		laneOf(t.b, keys[i])
	}
	ctx := context.Background()
	pass := func(n int) {
		var r buffer.Route
		for range n {
			to, ok := t.l.Pass()
			if !ok {
				panic("peers: an idle lane holds")
			}
			r = to
		}
		runtime.KeepAlive(r)
	}
	ask := func(name func(i int) string) func(n int) {
		return func(n int) {
			for i := range n {
				done, err := shards.buf.WaitForFailoverEnd(ctx, shards.keyspace, name(i), nil, nil)
				if done != nil || err != nil {
					panic("peers: an idle buffer holds")
				}
			}
		}
	}
	one := func(int) string { return "0" }
	each := func(i int) string { return keys[i%many] }
	byKey := func(name func(i int) string) func(n int) {
		return func(n int) {
			for i := range n {
				if _, ok := t.b.Lane(name(i)).Pass(); !ok {
					panic("peers: an idle lane holds")
				}
			}
		}
	}
	ask(each)(many) // each shard is made when first asked for
	orders := func(int) string { return "orders" }
	sides := []measure.Side{
		measure.Same("handle", pass),
		measure.Same("key", byKey(orders)),
		measure.Same("keys", byKey(each)),
		measure.Same(vtgate, ask(one)),
		measure.Same(vtgate+" keys", ask(each)),
	}
	took := measure.PerOp(3*o.Rounds, 1, o.Chunk(), sides...)
	row := func(name string, ours, theirs int, most float64) report.Row {
		r := report.Row{
			Group: group, Name: name, Unit: "ns CPU", Ours: took[ours].Median(), Allocs: measure.Allocs(sides[ours]),
			Theirs: []report.Theirs{{Name: vtgate, Value: took[theirs].Median(), Allocs: measure.Allocs(sides[theirs])}},
			Ratio:  took[ours].Over(took[theirs]),
			Bar:    report.Bar{Text: fmt.Sprintf("at most %g ns, 0 allocations", most), Want: true},
		}
		r.Met = r.Ours <= most && r.Allocs == 0
		return r
	}
	return []report.Row{
		row("idle check, lane in hand", 0, 3, 3),
		row("idle check by key", 1, 3, 40),
		row("idle check by key, 1000 keys in turn", 2, 4, 40),
	}, nil
}
