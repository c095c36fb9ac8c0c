package reparenttest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// Digester is an Inspector that Explore can ask for more: a digest of all,
// durable or not, that the further behaviour of the node rests on, with how far
// what is under way has come where neither a message nor a write shows it. What
// the node sends and writes must be told by the names it gives that, together
// with the request it answers. Schedules that bring a node to the same state by
// other ways are then explored once. A digest that leaves something out makes
// the search miss schedules; without one nothing is missed, and more is run.
type Digester interface {
	Inspector
	// Digest must be equal for equal states and should differ for others:
	// hash/fnv is good.
	Digest() uint64
}

// track lets an explorer tell the states of the nodes apart by what they are,
// where they can say it.
func (w *world) track() {
	w.sim.Content = content
	w.trackRegistry()
	for _, id := range w.ids {
		host := w.hosts[id]
		if _, ok := host.node.Inspect.(Digester); !ok {
			continue
		}
		host.proc.Named = true
		host.proc.State = func() uint64 {
			if d, ok := host.node.Inspect.(Digester); ok {
				return d.Digest()
			}
			return 0
		}
	}
}

// trackRegistry does the same for the registry in memory.
func (w *world) trackRegistry() {
	reg, ok := w.reg.(*leadership.MemoryRegistry)
	if !ok {
		return
	}
	w.regProc.State = func() uint64 {
		r, err := reg.Load(context.Background())
		if err != nil {
			return 1
		}
		return digestJSON(r)
	}
}

// forgets makes a coordinator's hooks tell an explorer what the guard knows
// before each step: until it has decided on whom to establish, what it was told
// since the step before; from then on what it was told in all. It never knows
// the order.
func forgets(p *stepsim.Proc, c *reparent.Config) {
	p.Named = true
	c.Hooks.Before = func(_ context.Context, e reparent.Event) error {
		fresh := true
		switch e.Step {
		case reparent.StepInstall, reparent.StepActivate, reparent.StepLease, reparent.StepGrant, reparent.StepRoute, reparent.StepSettle:
			fresh = false
		}
		p.Unorder(fresh, fmt.Sprint(e.Step, e.Term, e.From, e.To, e.Err))
		return nil
	}
}

// content digests the answers of which everything is known.
func content(v any, err error) (uint64, bool) {
	h := newHasher()
	if err != nil {
		h.str(err.Error())
		return h.sum, true
	}
	switch v := v.(type) {
	case leadership.Testimony, leadership.Acceptance, leadership.Status, leadership.Record, revoke.Drained, handover.Account, handover.Retired:
		return digestJSON(v), true
	case int:
		h.num(uint64(v))
	case bool:
		h.flag(v)
	case struct{}:
	case []Entry:
		h.entries(v)
	default:
		return 0, false
	}
	return h.sum, true
}

// digestJSON digests what is nothing but its fields.
func digestJSON(v any) uint64 {
	h := newHasher()
	b, err := json.Marshal(v)
	h.str(string(b))
	h.flag(err == nil)
	return h.sum
}

// hasher takes in the parts of a state, each ended, so that no two run together.
// It gives the same in every process: a schedule found in one is run in another.
type hasher struct{ sum uint64 }

func newHasher() hasher { return hasher{14695981039346656037} } // FNV-1a

func (h *hasher) num(n uint64) {
	for range 8 {
		h.sum = (h.sum ^ n&0xff) * 1099511628211
		n >>= 8
	}
}

func (h *hasher) str(s string) {
	h.num(uint64(len(s)))
	for i := range len(s) {
		h.sum = (h.sum ^ uint64(s[i])) * 1099511628211
	}
}

func (h *hasher) flag(b bool) {
	if b {
		h.num(1)
	} else {
		h.num(0)
	}
}

func (h *hasher) term(t leadership.Term) {
	h.num(t.Num)
	h.str(t.Proposer)
}

func (h *hasher) leader(l leadership.Leadership) {
	h.str(string(l.Leader))
	h.term(l.Term)
}

func (h *hasher) entries(log []Entry) {
	h.num(uint64(len(log)))
	for _, e := range log {
		h.term(e.Term)
		h.num(e.Value)
		h.flag(e.Marker != nil)
		if m := e.Marker; m != nil {
			h.str(string(m.Leader))
			for _, rs := range append([]leadership.Ruleset{m.Ruleset}, m.Over...) {
				h.num(rs.Version)
				h.str(rs.Policy)
				h.num(uint64(len(rs.Members)))
			}
		}
	}
}

// Digest implements Digester.
func (n *store) Digest() uint64 {
	st, gate := n.acc.Status(), n.gate.State()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := newHasher()
	h.str(n.disk.incarnation)
	h.num(uint64(n.disk.applied))
	h.num(uint64(n.disk.own))
	for _, l := range []leadership.Leadership{n.disk.master, {Term: n.disk.checkpoint}, st.Source, st.Accepts, n.disk.rec.Source, {Term: st.Promised}, {Term: st.Leads}, {Term: n.disk.rec.Promised}, {Term: n.installed}, {Term: n.asked}, {Term: n.loaded}, {Term: gate.Term}, {Term: gate.Sealed}} {
		h.leader(l)
	}
	h.str(st.Floor.String())
	h.num(n.doing.Load())
	for _, f := range []bool{st.Changing, n.disk.have, n.disk.torn, n.disk.adrift, n.out, n.stepping.Load(), n.stopping.Load()} {
		h.flag(f)
	}
	h.entries(n.disk.log)
	for _, t := range n.history {
		h.term(t)
	}
	for _, n := range []int{n.commit, int(gate.Phase), n.gate.InFlight().Active, len(n.rules), len(n.rulesets), len(n.sending)} {
		h.num(uint64(n))
	}
	for _, id := range slices.Sorted(maps.Keys(n.matched)) {
		h.str(string(id))
		h.num(uint64(n.matched[id]))
	}
	h.leader(n.asks)
	for _, id := range slices.Sorted(maps.Keys(n.observers)) {
		h.str(string(id))
		h.leader(n.observers[id])
	}
	n.digestHandOver(&h)
	n.digestLeases(&h)
	return h.sum
}

// digestLeases adds what only leased and lying stores have. Leases end on the
// clock of their holder, or of their giver, so what that shows is a part of it.
func (n *store) digestLeases(h *hasher) {
	h.leader(n.engine)
	h.term(n.renewing)
	for _, id := range slices.Sorted(maps.Keys(n.support)) {
		h.str(string(id))
		h.num(uint64(n.support[id]))
	}
	h.num(uint64(n.holds))
	h.num(uint64(n.given))
	if n.Leased || n.LocalReads {
		h.num(uint64(n.h.Elapsed()))
	}
}

// does notes for an explorer that something is under way until the returned
// function is called.
func (n *store) does(what string, a, b uint64) (done func()) {
	if !n.h.proc.Sim().Explored() {
		return func() {}
	}
	h := newHasher()
	h.str(what)
	h.num(a)
	h.num(b)
	h.num(uint64(time.Since(n.h.w.began)))
	sum := h.sum
	n.doing.Add(sum)
	return func() { n.doing.Add(-sum) }
}
