package reparenttest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// remote is a node as the process of a coordinator reaches it.
type remote struct {
	from *stepsim.Proc
	h    *Host
}

// bundle returns the host's node with every call turned into a message from
// the given process. What the node does not offer stays nil.
func (h *Host) bundle(from *stepsim.Proc) reparent.Node {
	r := remote{from, h}
	n := *h.offers
	out := n
	out.ID = h.ID
	if out.Addr == "" {
		out.Addr = "addr-" + string(h.ID)
	}
	out.Status, out.Promise = r, r
	if _, ok := n.Promise.(revoke.Reader); ok {
		out.Promise = slowRemote{r}
	}
	if n.StepDown != nil {
		out.StepDown = r
	}
	if n.HandOver != nil {
		out.HandOver = r
	}
	if n.Retire != nil {
		out.Retire = r
	}
	if n.TakeOver != nil {
		out.TakeOver = r
	}
	if n.Candidate != nil {
		out.Candidate = r
	}
	if n.Follow != nil {
		out.Follow = r
	}
	if n.Repair != nil {
		out.Repair = r
	}
	return out
}

// named tells requests apart by all they say when that is what their names are
// for; to a reader of a trace it would be noise.
func named(p *stepsim.Proc, what string, says ...any) string {
	if !p.Sim().Explored() {
		return what
	}
	return what + fmt.Sprint(says...)
}

// calls remembers the names of calls, each of which is made many times.
type calls struct {
	mu    sync.Mutex // guards names, for moments
	names map[call]string
}

type call struct {
	what string
	term leadership.Term
}

func (c *calls) name(what string, t leadership.Term) string {
	if t.IsZero() {
		return what
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok := c.names[call{what, t}]
	if !ok {
		name = what + " " + t.String()
		if c.names == nil {
			c.names = map[call]string{}
		}
		c.names[call{what, t}] = name
	}
	return name
}

func ask[V any](ctx context.Context, r remote, what string, t leadership.Term, f func(context.Context, *Host) (V, error)) (V, error) {
	what = r.h.w.calls.name(what, t)
	return stepsim.Call(ctx, r.from, r.h.proc, what, func(ctx context.Context) (V, error) {
		defer r.h.w.caught(r.h.ID, what)
		r.h.w.arrives(r.h.ID, t)
		return f(ctx, r.h)
	})
}

func (r remote) Status(ctx context.Context) (leadership.Status, error) {
	return stepsim.Ask(ctx, r.from, r.h.proc, "status", func(ctx context.Context) (leadership.Status, error) {
		return r.h.node.Status.Status(ctx)
	})
}

func (r remote) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.hear(ask(ctx, r, "promise", t, func(ctx context.Context, h *Host) (leadership.Testimony, error) {
		got, err := h.node.Promise.Promise(ctx, t)
		return h.testified(ctx, Promised, got, err)
	}))
}

func (r remote) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	return ask(ctx, r, named(r.from, "drain", d), t, func(ctx context.Context, h *Host) (revoke.Drained, error) {
		return h.node.StepDown.Drain(ctx, t, d)
	})
}

func (r remote) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.hear(ask(ctx, r, "stepdown", t, func(ctx context.Context, h *Host) (leadership.Testimony, error) {
		got, err := h.node.StepDown.StepDown(ctx, t)
		return h.testified(ctx, SteppedDown, got, err)
	}))
}

func (r remote) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	what := "handover"
	if r.from.Sim().Explored() {
		what = named(r.from, what, digestJSON(b))
	}
	got, err := ask(ctx, r, what, b.Term, func(ctx context.Context, h *Host) (handover.Account, error) {
		if h.ID != b.From {
			return h.node.HandOver.HandOver(ctx, b)
		}
		done := h.w.handsOver(h.ID, b.Term)
		got, err := h.node.HandOver.HandOver(ctx, b)
		done(err)
		return got, err
	})
	return r.told(got, err)
}

// told notes what a coordinator got to know from an account.
func (r remote) told(got handover.Account, err error) (handover.Account, error) {
	for _, t := range slices.Concat(got.Basis, got.Late) {
		_, _ = r.hear(t, nil)
	}
	return got, err
}

func (r remote) Retire(ctx context.Context, q handover.Retirement) (handover.Retired, error) {
	got, err := ask(ctx, r, named(r.from, "retire", q.To, q.Drain), q.Term, func(ctx context.Context, h *Host) (handover.Retired, error) {
		got, err := h.node.Retire.Retire(ctx, q)
		got.StepDown, err = h.testified(ctx, SteppedDown, got.StepDown, err)
		return got, err
	})
	_, err = r.hear(got.StepDown, err)
	return got, err
}

func (r remote) TakeOver(ctx context.Context, q handover.Relay) (handover.Account, error) {
	what := "takeover"
	if r.from.Sim().Explored() {
		what = named(r.from, what, digestJSON(q))
	}
	return r.told(ask(ctx, r, what, q.Release.Baton.Term, func(ctx context.Context, h *Host) (handover.Account, error) {
		h.w.mu.Lock()
		h.w.relayed[q.Release.Baton.Term] = true
		h.w.mu.Unlock()
		return h.node.TakeOver.TakeOver(ctx, q)
	}))
}

// hear notes what a coordinator got to know.
func (r remote) hear(got leadership.Testimony, err error) (leadership.Testimony, error) {
	if err == nil {
		w := r.h.w
		w.mu.Lock()
		w.heard = append(w.heard, got)
		w.mu.Unlock()
	}
	return got, err
}

// testified notes what a node is about to answer. A node that died meanwhile
// answers nothing.
func (h *Host) testified(ctx context.Context, k EventKind, got leadership.Testimony, err error) (leadership.Testimony, error) {
	if err == nil && stepsim.Alive(ctx) {
		h.Saw(Event{Kind: k, Testimony: &got})
	}
	return got, err
}

func (h *Host) accepted(ctx context.Context, k EventKind, m *leadership.Marker, got leadership.Acceptance, err error) (leadership.Acceptance, error) {
	if err == nil && stepsim.Alive(ctx) {
		h.Saw(Event{Kind: k, Leadership: leadership.Leadership{Leader: got.Leader, Term: got.Term}, Marker: m, Acceptance: &got})
	}
	return got, err
}

func (r remote) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	_, err := ask(ctx, r, named(r.from, "catchup", donor, pos), t, func(ctx context.Context, h *Host) (struct{}, error) {
		h.w.behind(h.ID, pos)
		h.w.copying(h.ID, t)
		return struct{}{}, h.node.Candidate.CatchUp(ctx, t, donor, pos)
	})
	return err
}

func (r remote) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	return ask(ctx, r, named(r.from, "install", m.Leader, m.Ruleset.Version, len(m.Over)), m.Term, func(ctx context.Context, h *Host) (leadership.Acceptance, error) {
		got, err := h.node.Candidate.Install(ctx, m)
		return h.accepted(ctx, Installed, &m, got, err)
	})
}

func (r remote) Grant(ctx context.Context, t leadership.Term) error {
	_, err := ask(ctx, r, "grant", t, func(ctx context.Context, h *Host) (struct{}, error) {
		err := h.node.Candidate.Grant(ctx, t)
		if err == nil && stepsim.Alive(ctx) { // for nodes that do not tell of it
			h.Saw(Event{Kind: Granted, Leadership: leadership.Leadership{Leader: h.ID, Term: t}})
		}
		return struct{}{}, err
	})
	return err
}

func (r remote) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	return ask(ctx, r, named(r.from, "follow", leader), t, func(ctx context.Context, h *Host) (leadership.Acceptance, error) {
		got, err := h.node.Follow.Follow(ctx, t, leader)
		return h.accepted(ctx, Followed, nil, got, err)
	})
}

func (r remote) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	_, err := ask(ctx, r, named(r.from, "repair", from), t, func(ctx context.Context, h *Host) (struct{}, error) {
		return struct{}{}, h.node.Repair.Repair(ctx, t, from)
	})
	return err
}

// slowRemote reads apart from promising.
type slowRemote struct{ remote }

func (r slowRemote) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.hear(ask(ctx, r.remote, "read", t, func(ctx context.Context, h *Host) (leadership.Testimony, error) {
		got, err := h.node.Promise.(revoke.Reader).Read(ctx, t)
		return h.testified(ctx, ReadBack, got, err)
	}))
}

// remoteRegistry is the registry as a process reaches it.
type remoteRegistry struct {
	from *stepsim.Proc
	w    *world
}

func (r remoteRegistry) Load(ctx context.Context) (leadership.Record, error) {
	done := r.w.loading()
	got, err := stepsim.Ask(ctx, r.from, r.w.regProc, "load", func(ctx context.Context) (leadership.Record, error) {
		defer r.w.caught("registry", "Load")
		return r.w.reg.Load(ctx)
	})
	done(got, err)
	return got, err
}

func (r remoteRegistry) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	what := "swap"
	if r.w.sim.Explored() { // a digest costs more than all the rest
		what = named(r.from, what, base, digestJSON(next))
	}
	got, err := stepsim.Call(ctx, r.from, r.w.regProc, what, func(ctx context.Context) (leadership.Record, error) {
		defer r.w.caught("registry", "Swap")
		got, err := r.w.reg.Swap(ctx, base, next)
		if err == nil {
			r.w.recorded(got)
		}
		return got, err
	})
	if err == nil {
		r.w.wrote(got.Version)
	}
	return got, err
}

func (r remoteRegistry) Wait(ctx context.Context, after uint64) (leadership.Record, error) {
	return stepsim.Call(ctx, r.from, r.w.regProc, "wait", func(ctx context.Context) (leadership.Record, error) {
		defer r.w.caught("registry", "Wait")
		return r.w.reg.Wait(ctx, after)
	})
}
