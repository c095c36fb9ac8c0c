package reparenttest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// A mix is a rule of combining rounds taken out. Each must be found.
type mix struct {
	name  string
	h     Harness
	scope Scope
	want  string // invariants, one of which must be named
	// seeds, when above 0, is how many random schedules of the scope with
	// random faults may be tried in place of all schedules.
	seeds uint64
}

func bugged(b bugs) Harness { return Store(Traits{bugs: b}) }

func viewed(view func(p *Process)) Harness {
	h := LogStore()
	h.view = view
	return h
}

func mixes() []mix {
	rivals := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}
	two := leadership.AtLeast(2)
	pairs := Scope{Nodes: 4, Policy: two, Changes: rivals, Writes: 2}
	short := Scope{Nodes: 4, Policy: two, Mode: leadership.Shortcut, Changes: rivals, Writes: 1}
	return []mix{
		{name: "X1 a step-down in memory, and a host that leads again", h: bugged(bugs{resumes: true}),
			scope: Scope{Changes: rivals[:1], Crash: 1}, want: "I6"},
		{name: "X3 who stepped down is made leader again under its old term", h: unfenced(), scope: Scope{Changes: rivals[:1]}, want: "I6 I15"},
		{name: "X4 a fence that does not survive a restart", h: bugged(bugs{volatileFence: true}), scope: Scope{Crash: 1}, want: "I6"},
		{name: "X5 entries are taken whatever their term", h: bugged(bugs{noTermCheck: true}), scope: pairs, want: "I8", seeds: 300},
		{name: "X6 an isolation is taken for a promise, and let go", h: revoking(func(p revoke.Revoker) revoke.Revoker { return unconverted{p} }), scope: pairs, want: "I1 I2 I5 I13", seeds: 300},
		{name: "X7 one coordinator has a registry of its own", h: viewed(ownRegistry), scope: short, want: "I1 I2 I5 I7 I13 I17 G9", seeds: 4000},
		{name: "X8 the leader is granted before it is active", h: viewed(grantsFirst), scope: Scope{Nodes: 4, Policy: two, Mode: leadership.Shortcut, Changes: []reparent.Change{reparent.Emergency(), reparent.Emergency()}}, want: "I1 I2 I5 I7 I17 G9", seeds: 1500},
		{name: "X8 the leader is active before its log is propagated", h: hastyHarness(), scope: Scope{Changes: rivals[:1], Writes: 1}, want: "I11 I2 I1 I13", seeds: 500},
		{name: "X9 positions are read before the block", h: bugged(bugs{earlyRead: true}), scope: Scope{Writes: 2}, want: "I13 I14", seeds: 500},
		{name: "X15 terms of one number are one", h: bugged(bugs{tie: true}), scope: Scope{Changes: []reparent.Change{reparent.Emergency(), reparent.Emergency()}}, want: "I6 I7 I8", seeds: 500},
		{name: "X17 the leader completes on less than the policy", h: bugged(bugs{anyAck: true}), scope: Scope{Writes: 1, Delays: 1}, want: "I11 I20 I22"},
	}
}

// unfenced is a store whose operator makes the old leader writable again, as it
// was, after its step-down.
func unfenced() Harness {
	h := LogStore()
	boot := h.Boot
	h.Boot = func(host *Host) (Node, error) {
		n, err := boot(host)
		s := n.Client.(*store)
		n.StepDown = undoing{n.StepDown, s}
		return n, err
	}
	return h
}

type undoing struct {
	revoke.StepDowner
	n *store
}

func (u undoing) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	old := u.n.disk.rec
	got, err := u.StepDowner.StepDown(ctx, t)
	if err == nil {
		u.n.h.Go(func(life context.Context) {
			_ = u.n.h.Write(life, "undo", func() { u.n.disk.rec = old })
		})
	}
	return got, err
}

func revoking(wrap func(revoke.Revoker) revoke.Revoker) Harness {
	h := LogStore()
	h.Revoke = func(p *Process) (revoke.Revoker, error) {
		push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
		return wrap(push), err
	}
	return h
}

// unconverted asks everybody but the leader, for whom it answers itself: it was
// isolated, is its excuse, which ended as soon as the answer was given.
type unconverted struct{ revoke.Revoker }

func (u unconverted) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	var others []leadership.NodeID
	for _, id := range ask.Targets {
		if id != ask.Leader {
			others = append(others, id)
		}
	}
	var once sync.Once
	ask.Targets = others
	return u.Revoker.Revoke(ctx, ask, func(got leadership.Testimony) {
		report(got)
		once.Do(func() {
			got.Node = ask.Leader
			report(got)
		})
	})
}

func hastyHarness() Harness {
	h := LogStore()
	h.Establish = func(p *Process) (establish.Establisher, error) {
		est, err := establish.NewProposal(p.Candidates(), nil, establish.Options{})
		return hastyEstablisher{est, p}, err
	}
	return h
}

// hastyEstablisher answers for followers that were not asked.
type hastyEstablisher struct {
	establish.Establisher
	p *Process
}

func (h hastyEstablisher) Install(ctx context.Context, p *leadership.Proposal, report func(leadership.Acceptance)) error {
	return h.Establisher.Install(ctx, p, func(got leadership.Acceptance) {
		report(got)
		for _, id := range h.p.IDs() {
			got.Node = id
			report(got)
		}
	})
}

// ownRegistry gives the first coordinator a copy of the registry, which the
// other never sees.
func ownRegistry(p *Process) {
	if p.Name == "c1" {
		p.Registry = &copied{Registry: p.Registry}
	}
}

type copied struct {
	leadership.Registry
	own *leadership.MemoryRegistry
}

func (c *copied) mine(ctx context.Context) (*leadership.MemoryRegistry, error) {
	if c.own != nil {
		return c.own, nil
	}
	r, err := c.Registry.Load(ctx)
	if err != nil {
		return nil, err
	}
	c.own = &leadership.MemoryRegistry{}
	base := r
	for v := uint64(0); v < r.Version; v++ {
		base.Version = v
		if _, err := c.own.Swap(ctx, v, base); err != nil {
			return nil, err
		}
	}
	return c.own, nil
}

func (c *copied) Load(ctx context.Context) (leadership.Record, error) {
	reg, err := c.mine(ctx)
	if err != nil {
		return leadership.Record{}, err
	}
	return reg.Load(ctx)
}

func (c *copied) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	reg, err := c.mine(ctx)
	if err != nil {
		return leadership.Record{}, err
	}
	return reg.Swap(ctx, base, next)
}

// grantsFirst keeps an activation back until the routing.
func grantsFirst(p *Process) { p.Registry = &late{Registry: p.Registry} }

type late struct {
	leadership.Registry
	kept *leadership.Record
}

func (l *late) Load(ctx context.Context) (leadership.Record, error) {
	if l.kept != nil {
		return *l.kept, nil
	}
	return l.Registry.Load(ctx)
}

func (l *late) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	if l.kept != nil {
		l.kept = nil
		return l.Registry.Swap(ctx, base-1, next)
	}
	now, err := l.Registry.Load(ctx)
	if err != nil {
		return now, err
	}
	if now.Version == base && now.Active != next.Active && !now.Active.IsZero() {
		next.Version = base + 1
		l.kept = &next
		return next, nil
	}
	return l.Registry.Swap(ctx, base, next)
}

// random tries random schedules of a scope with random faults.
func (h Harness) random(t *testing.T, s Scope, seeds uint64) (runs uint64, err error) {
	s = s.fill(h)
	for seed := uint64(1); seed <= seeds; seed++ {
		synctest.Test(t, func(*testing.T) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			_, err = h.scopedWith(sim, s, func() bool { return false }, false, func() {
				sim.Use(stepsim.Seed(seed, stepsim.Swarm(seed)))
				sim.Allow(stepsim.Faults{Reorder: true, Drop: 3, Late: 6, Dup: 2, Cut: 2, Pause: 6, Tick: 100})
			})
		})
		if err != nil {
			return seed, err
		}
	}
	return seeds, nil
}

func TestEachUnsafeMixIsFound(t *testing.T) {
	t.Parallel()
	for _, m := range mixes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			var name, says string
			var runs int
			if m.seeds > 0 {
				n, err := m.h.random(t, m.scope, m.seeds)
				runs = int(n)
				if err != nil {
					name, says = violated(err), err.Error()
				}
			} else {
				m.scope.Runs = 6000
				got := m.h.explore(t, m.scope)
				runs = got.Schedules
				if got.Failure != nil {
					name, says = got.Failure.Invariant, got.Failure.Says
				}
			}
			if name == "" {
				t.Fatalf("not found in %d schedules", runs)
			}
			t.Logf("found in schedule %d, after %v: %s %s", runs, time.Since(began).Round(time.Millisecond), name, says)
			if !strings.Contains(m.want, name) {
				t.Errorf("found as %s, want one of %s", name, m.want)
			}
		})
	}
}

func TestNothingIsFoundWhereNoRuleIsTakenOut(t *testing.T) {
	t.Parallel()
	for _, m := range mixes() {
		if m.seeds == 0 {
			continue // a scope of the test of every schedule
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if n, err := LogStore().random(t, m.scope, 150); err != nil {
				t.Errorf("schedule %d: %v", n, err)
			}
		})
	}
}
