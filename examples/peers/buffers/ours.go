package buffers

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func nop(context.Context, leadership.Leadership, string) error { return nil }

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "peers"} }

func lead(node string, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: leadership.NodeID(node), Term: term(n)}
}

// routed is the record in which l leads and nothing is under way.
func routed(version uint64, l leadership.Leadership) leadership.Record {
	return leadership.Record{Version: version, Mode: leadership.Full, Fence: l.Term, Active: l, Routed: l, Addr: string(l.Leader) + ":1"}
}

// announced is routed with a planned change under way that routers hold for.
func announced(version uint64, l leadership.Leadership, to uint64, holdFor time.Duration) leadership.Record {
	r := routed(version, l)
	r.Fence = term(to)
	r.Intent = leadership.Intent{
		Term: term(to), By: "peers", Kind: leadership.KindPlanned,
		Phase: leadership.Holding, HoldFor: holdFor,
	}
	return r
}

// lane is a lane of ours together with the cluster that it follows: each change
// is one version of its record and one term.
type lane struct {
	b       *buffer.Buffer
	l       *buffer.Lane
	version uint64
	node    string
}

func newLane(cfg buffer.Config) (*lane, error) {
	b, err := buffer.New(cfg)
	if err != nil {
		return nil, err
	}
	return laneOf(b, "orders"), nil
}

func laneOf(b *buffer.Buffer, key string) *lane {
	t := &lane{b: b, l: b.Lane(key), version: 1, node: "n1"}
	t.l.Observe(routed(1, lead("n1", 1)))
	return t
}

// leads is the leadership that the lane was last told of.
func (t *lane) leads() leadership.Leadership { return lead(t.node, t.version) }

// announce begins a planned change.
func (t *lane) announce() {
	from := t.leads()
	t.version++
	t.l.Observe(announced(t.version, from, t.version, time.Hour))
}

// route ends it with a leader, which may be the old one.
func (t *lane) route(node string) {
	t.version++
	t.node = node
	t.l.Observe(routed(t.version, t.leads()))
}

// Begin implements measure.Holder.
func (t *lane) Begin() error { t.announce(); return nil }

// Call implements measure.Holder.
func (t *lane) Call(ctx context.Context, _ int) error {
	return t.l.Do(ctx, buffer.Request{Unit: true, Bytes: 1}, nop)
}

// Held implements measure.Holder.
func (t *lane) Held() int { return t.l.Snapshot().Held }

// Release implements measure.Holder.
func (t *lane) Release() error { t.route("n1"); return nil }

// End implements measure.Holder. After a cancelled episode the change is still to end.
func (t *lane) End() error {
	if !t.l.Ready() {
		t.route("n1")
	}
	return nil
}
