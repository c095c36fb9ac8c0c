package reparenttest

import (
	"context"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// breaker is the power switch and the network of the cluster, in a process of
// its own: it cuts nodes off from all but coordinators. What it was told survives
// everything.
type breaker struct {
	w    *world
	proc *stepsim.Proc
	last map[leadership.NodeID]command // obeyed; guarded by world.mu
}

// command is what the breaker was told of a node.
type command struct {
	term     leadership.Term
	released bool
}

func newBreaker(w *world) *breaker {
	return &breaker{w: w, proc: w.sim.Proc("breaker"), last: map[leadership.NodeID]command{}}
}

func (b *breaker) set(t leadership.Term, id leadership.NodeID, cut bool) error {
	b.w.mu.Lock()
	old := b.last[id]
	if t.Less(old.term) || t == old.term && old.released && cut && !b.w.h.obeysLate {
		b.w.counts["an isolation or a release came too late"]++
		b.w.mu.Unlock()
		return &leadership.StaleTermError{Node: id, Asked: t, Promised: old.term}
	}
	b.last[id] = command{t, !cut}
	b.w.mu.Unlock()
	b.w.hosts[id].proc.Isolated = cut
	kind := Released
	if cut {
		kind = Isolated
	}
	b.w.saw(Event{Kind: kind, Node: id, Leadership: leadership.Leadership{Leader: id, Term: t}})
	return nil
}

// remoteBreaker is the breaker as a coordinator reaches it.
type remoteBreaker struct {
	from *stepsim.Proc
	b    *breaker
}

func (r remoteBreaker) Isolate(ctx context.Context, t leadership.Term, id leadership.NodeID) error {
	_, err := stepsim.Call(ctx, r.from, r.b.proc, "isolate "+string(id)+" "+t.String(), func(context.Context) (struct{}, error) {
		return struct{}{}, r.b.set(t, id, true)
	})
	return err
}

func (r remoteBreaker) Release(ctx context.Context, t leadership.Term, id leadership.NodeID) error {
	_, err := stepsim.Call(ctx, r.from, r.b.proc, "release "+string(id)+" "+t.String(), func(context.Context) (struct{}, error) {
		return struct{}{}, r.b.set(t, id, false)
	})
	return err
}

// isolate is the mechanism over the breaker, in one coordinator's process.
func (p *Process) isolate() (*revoke.Isolate, error) {
	return revoke.NewIsolate(remoteBreaker{p.proc, p.w.breaker}, p.Registry, p.Name, nil)
}

// hasty is an isolation whose nodes are let go as soon as the change is over,
// without a promise of theirs.
type hasty struct {
	*revoke.Isolate
	p *Process
}

func (h hasty) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	err := h.Isolate.Revoke(ctx, ask, report)
	if err == nil {
		h.p.w.sim.Go(func() {
			life := h.p.proc.Life()
			if sleep(life, h.p.proc, 120*time.Millisecond) == nil {
				_ = remoteBreaker{h.p.proc, h.p.w.breaker}.Release(life, ask.Term, ask.Leader)
			}
		})
	}
	return err
}

// release is what a person does when nodes that were isolated are needed: have
// each promise, and let it go.
func (w *world) release(p *stepsim.Proc) {
	ctx := p.Life()
	view := w.process(p)
	rec, err := view.Registry.Load(ctx)
	if err != nil {
		return
	}
	iso, err := view.isolate()
	if err != nil {
		return
	}
	for _, held := range rec.Held {
		n := view.Nodes[held.Node]
		s, err := n.Status.Status(ctx)
		if err != nil {
			continue
		}
		t, err := n.Promise.Promise(ctx, leadership.MaxTerm(leadership.MaxTerm(s.Promised, held.Term), rec.Active.Term))
		if err == nil {
			_ = iso.Release(ctx, t)
		}
	}
}

// last is the target that an isolation leaves unfenced.
func last(ask revoke.Ask) leadership.NodeID {
	ids := slices.DeleteFunc(slices.Clone(ask.Targets), func(id leadership.NodeID) bool { return id == ask.Leader })
	if len(ids) < 3 {
		return ""
	}
	return slices.Max(ids)
}

// butOne is a fence of all followers but one.
type butOne struct{ fence *revoke.Push }

func (b butOne) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	spared := last(ask)
	ask.Targets = slices.DeleteFunc(slices.Clone(ask.Targets), func(id leadership.NodeID) bool { return id == spared })
	return b.fence.Revoke(ctx, ask, report)
}

// peek reads the position of that one, which promises nothing.
type peek struct{ p *Process }

func (k peek) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	id := last(ask)
	h, ok := k.p.w.hosts[id]
	if !ok {
		return nil
	}
	t, err := peekAt(ctx, remote{k.p.proc, h}, ask.Term)
	if err == nil {
		report(t)
	}
	return err
}

func peekAt(ctx context.Context, r remote, t leadership.Term) (leadership.Testimony, error) {
	return ask(ctx, r, "peek", t, func(ctx context.Context, h *Host) (got leadership.Testimony, err error) {
		n, ok := h.node.Client.(*store)
		if !ok || n.out {
			return got, errOut
		}
		read, err := n.quietReading(ctx)
		if err != nil {
			return got, err
		}
		st := n.acc.Status()
		got = leadership.Testimony{
			Node: h.ID, Incarnation: n.disk.incarnation, Term: t, Kind: leadership.Statement, Read: &read.Position,
			Markers: read.Markers, BelowFloor: st.BelowFloor(read.Position), LeaseLeft: n.leaseLeft(), Mechanism: "peek",
		}
		h.w.peeked(got)
		return got, nil
	})
}
