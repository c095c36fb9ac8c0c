package reparent_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// kinds are the simulated nodes that what holds for every kind is tested with.
func kinds() map[string]reparenttest.Harness {
	return map[string]reparenttest.Harness{"log": reparenttest.LogStore(), "mariadb": reparenttest.MariaDBLike(), "postgres": reparenttest.PostgreSQLLike()}
}

// cluster is a simulated one on the quiet schedule, and what tests here ask of
// it.
type cluster struct {
	*reparenttest.Cluster
	reg leadership.Registry
	rs  leadership.Ruleset
}

// inSim runs f against a cluster of three of these nodes that n1 leads.
func inSim(t *testing.T, kind reparenttest.Harness, f func(t *testing.T, c *cluster)) {
	t.Helper()
	inSetup(t, kind, reparenttest.Setup{}, f)
}

func inSetup(t *testing.T, kind reparenttest.Harness, s reparenttest.Setup, f func(t *testing.T, c *cluster)) {
	t.Helper()
	reparenttest.Direct(t, kind, s, func(t *testing.T, c *reparenttest.Cluster) {
		f(t, &cluster{c, c.Registry(), c.Ruleset()})
	})
}

// bundle is what a process has of each node, in order.
func bundle(p *reparenttest.Process) (nodes []reparent.Node) {
	for _, id := range p.IDs() {
		nodes = append(nodes, p.Nodes[id])
	}
	return nodes
}

func guard(t *testing.T, p *reparenttest.Process, edit func(*reparent.Config)) *reparent.Guard {
	t.Helper()
	g, err := p.Guard(edit)
	require.NoError(t, err)
	return g
}

// run runs a change in a process.
func (c *cluster) run(p *reparenttest.Process, g *reparent.Guard, ch reparent.Change) (rep *reparent.Report, err error) {
	if derr := c.Do(func() { rep, err = p.Run(context.Background(), g, ch) }); derr != nil {
		return rep, derr
	}
	return rep, err
}

// change runs one change as a process of its own.
func (c *cluster) change(name string, ch reparent.Change, edit func(*reparent.Config)) (*reparent.Report, error) {
	p := c.Process(name)
	g, err := p.Guard(edit)
	if err != nil {
		return nil, err
	}
	return c.run(p, g, ch)
}

func (c *cluster) sweep(g *reparent.Guard) (rep *reparent.SweepReport, err error) {
	if derr := c.Do(func() { rep, err = g.Sweep(context.Background()) }); derr != nil {
		return rep, derr
	}
	return rep, err
}

// writes makes a client write to a node.
func (c *cluster) writes(id leadership.NodeID) (err error) {
	if derr := c.Do(func() { err = c.Append(context.Background(), id) }); derr != nil {
		return derr
	}
	return err
}

// record is what the registry holds.
func (c *cluster) record(t *testing.T) leadership.Record {
	t.Helper()
	rec, err := c.reg.Load(context.Background())
	require.NoError(t, err)
	return rec
}

// same reports whether two logs are one.
func same(a, b []reparenttest.Entry) bool {
	return slices.EqualFunc(a, b, func(x, y reparenttest.Entry) bool { return x.Term == y.Term && x.Value == y.Value })
}
