package mariadbnode_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/mariadbnode"
	"github.com/tenure-go/tenure/revoke"
)

// mortal is a coordinator that dies: from then on it reaches no node and no
// registry, and nobody hears of it.
type mortal struct {
	leadership.Registry
	dead atomic.Bool
}

var errDead = errors.New("this coordinator is dead")

func (m *mortal) ask(f func() error) error {
	if m.dead.Load() {
		return errDead
	}
	err := f()
	if m.dead.Load() {
		return errDead
	}
	return err
}

func (m *mortal) Load(ctx context.Context) (r leadership.Record, err error) {
	err = m.ask(func() (err error) { r, err = m.Registry.Load(ctx); return err })
	return r, err
}

func (m *mortal) Swap(ctx context.Context, base uint64, next leadership.Record) (r leadership.Record, err error) {
	err = m.ask(func() (err error) { r, err = m.Registry.Swap(ctx, base, next); return err })
	return r, err
}

// mortalNode is a node as a mortal coordinator sees it.
type mortalNode struct {
	*mariadbnode.Node
	m *mortal
}

func (n mortalNode) Status(ctx context.Context) (s leadership.Status, err error) {
	err = n.m.ask(func() (err error) { s, err = n.Node.Status(ctx); return err })
	return s, err
}

func (n mortalNode) Promise(ctx context.Context, t leadership.Term) (got leadership.Testimony, err error) {
	err = n.m.ask(func() (err error) { got, err = n.Node.Promise(ctx, t); return err })
	return got, err
}

func (n mortalNode) Read(ctx context.Context, t leadership.Term) (got leadership.Testimony, err error) {
	err = n.m.ask(func() (err error) { got, err = n.Node.Read(ctx, t); return err })
	return got, err
}

func (n mortalNode) Drain(ctx context.Context, t leadership.Term, d time.Duration) (got revoke.Drained, err error) {
	err = n.m.ask(func() (err error) { got, err = n.Node.Drain(ctx, t, d); return err })
	return got, err
}

func (n mortalNode) StepDown(ctx context.Context, t leadership.Term) (got leadership.Testimony, err error) {
	err = n.m.ask(func() (err error) { got, err = n.Node.StepDown(ctx, t); return err })
	return got, err
}

func (n mortalNode) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	return n.m.ask(func() error { return n.Node.CatchUp(ctx, t, donor, pos) })
}

func (n mortalNode) Install(ctx context.Context, m leadership.Marker) (got leadership.Acceptance, err error) {
	err = n.m.ask(func() (err error) { got, err = n.Node.Install(ctx, m); return err })
	return got, err
}

func (n mortalNode) Grant(ctx context.Context, t leadership.Term) error {
	return n.m.ask(func() error { return n.Node.Grant(ctx, t) })
}

func (n mortalNode) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (got leadership.Acceptance, err error) {
	err = n.m.ask(func() (err error) { got, err = n.Node.Follow(ctx, t, leader); return err })
	return got, err
}

// mortalGuard is a guard that dies at a point of its change: before or after a
// step.
func (c *cluster) mortalGuard(step reparent.Step, after bool) *reparent.Guard {
	m := &mortal{Registry: c.reg}
	var nodes []reparent.Node
	for _, n := range c.nodes {
		r, w := n.Reparent(), mortalNode{n, m}
		r.Status, r.Promise, r.StepDown, r.Candidate, r.Follow = w, w, w, w, w
		nodes = append(nodes, r)
	}
	cfg := reparent.Config{By: "mortal", Limits: reparent.Limits{
		Prepare: 5 * time.Second, Drain: 100 * time.Millisecond, Revoke: time.Second, Install: time.Second, Grant: 300 * time.Millisecond, Undo: 100 * time.Millisecond, Status: 300 * time.Millisecond,
	}}
	if after {
		cfg.Hooks.After = func(e reparent.Event) {
			if e.Step == step && e.Kind == leadership.KindPlanned {
				m.dead.Store(true)
			}
		}
	} else {
		cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
			if e.Step == step && e.Kind == leadership.KindPlanned {
				m.dead.Store(true)
			}
			return nil
		}
	}
	g, err := reparent.New("test", m, nodes, cfg)
	require.NoError(c.t, err)
	return g
}

func TestG5_AnotherCoordinatorFinishesWhatOneThatDiedBegan(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, options{})
	g := c.guard(reparent.Config{})
	c.lead(g, 0)
	lead, row := 0, 0
	var acked []int
	write := func() {
		row++
		require.NoError(t, c.insert(c.app(lead), row))
		acked = append(acked, row)
	}
	for _, step := range []reparent.Step{
		reparent.StepBegin, reparent.StepPrepare, reparent.StepHold, reparent.StepRevoke, reparent.StepPropose,
		reparent.StepInstall, reparent.StepActivate, reparent.StepGrant, reparent.StepRoute,
	} {
		for _, after := range []bool{false, true} {
			write()
			rep, err := c.mortalGuard(step, after).Run(t.Context(), reparent.Planned(c.ids[(lead+1)%3]))
			if step != reparent.StepRoute || !after {
				require.Error(t, err, "%s %v: %v", step, after, rep)
			}
			rep = c.run(g, reparent.Resume())
			lead = int(rep.To[1] - '1')
			write()
			have := c.rows(lead)
			for _, id := range acked {
				require.True(t, have[id], "%s after=%v: row %d is lost", step, after, id)
			}
			_, err = g.Sweep(t.Context())
			require.NoError(t, err)
		}
	}
	for i := range c.servers {
		c.holds(i, acked...)
	}
}
