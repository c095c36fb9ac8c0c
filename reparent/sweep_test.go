package reparent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// forked leaves n3 with an entry that nobody completed and that the leader's log
// has not.
func forked(t *testing.T, c *cluster) {
	t.Helper()
	require.NoError(t, c.writes("n1"))
	n3 := c.nodes["n3"]
	n3.p.crash()
	for v := range 4 {
		n3.log = append(n3.log, entry{Term: n3.log[0].Term, Val: 77 + v})
	}
	for range 2 {
		rep, err := c.change("fork", reparent.Refresh(), nil)
		require.NoError(t, err, "%s", rep)
	}
	require.NoError(t, c.writes("n1"))
	n3.p.restart()
}

// without returns a guard whose nodes offer no Repairer.
func (c *cluster) without(t *testing.T, p *proc) *reparent.Guard {
	t.Helper()
	nodes := c.bundle(p)
	for i := range nodes {
		nodes[i].Repair = nil
	}
	g, err := reparent.New("sim", remoteRegistry{p, c}, nodes, reparent.Config{By: p.name, Limits: simLimits(), Nonce: func() string { return "1" }})
	require.NoError(t, err)
	return g
}

// Pointed at the leader as it is, a server with a tail of its own breaks, and
// says so to nobody but its log.
func TestASweepRepairsANodeWithATailOfItsOwnBeforeItFollows(t *testing.T) {
	for name, kind := range map[string]traits{"mariadb": mariadbTraits, "postgres": pgTraits} {
		t.Run(name, func(t *testing.T) {
			inSim(t, kind, func(t *testing.T, c *cluster) {
				forked(t, c)
				p := c.s.proc("c1")
				var rep *reparent.SweepReport
				var err error
				require.NoError(t, c.do(func() { rep, err = c.guard(p, nil).Sweep(context.Background()) }))
				require.NoError(t, err, "%s", rep)
				require.Equal(t, "repaired", rep.Nodes[2].Did, "%s", rep)
				require.Equal(t, position(c.nodes["n1"].log), position(c.nodes["n3"].log))
			})
		})
	}
}

// deaf is a node that does not say how it is.
type deaf struct{}

func (deaf) Status(context.Context) (leadership.Status, error) {
	return leadership.Status{}, errors.New("no answer")
}

// empty is a node that came back with nothing.
type empty struct{ id leadership.NodeID }

func (e empty) Status(context.Context) (leadership.Status, error) {
	return leadership.Status{Node: e.id, Incarnation: "new"}, nil
}

// A repair discards data: nothing less than the word of both says that it is
// needed, and that what it would copy is worth it.
func TestASweepRepairsNobodyOnAGuess(t *testing.T) {
	for name, spoil := range map[string]func(nodes []reparent.Node){
		"it did not say where its log ends": func(nodes []reparent.Node) { nodes[2].Status = deaf{} },
		"the leader n1 did not say":         func(nodes []reparent.Node) { nodes[0].Status = deaf{} },
		"n1 is no source":                   func(nodes []reparent.Node) { nodes[0].Status = empty{"n1"} },
	} {
		t.Run(name, func(t *testing.T) {
			inSim(t, pgTraits, func(t *testing.T, c *cluster) {
				forked(t, c)
				was := position(c.nodes["n3"].log)
				p := c.s.proc("c1")
				nodes := c.bundle(p)
				spoil(nodes)
				g, err := reparent.New("sim", remoteRegistry{p, c}, nodes, reparent.Config{By: p.name, Limits: simLimits(), Nonce: func() string { return "1" }})
				require.NoError(t, err)
				var rep *reparent.SweepReport
				require.NoError(t, c.do(func() { rep, err = g.Sweep(context.Background()) }))
				require.ErrorContains(t, rep.Nodes[2].Err, name, "%s", rep)
				require.ErrorIs(t, err, rep.Nodes[2].Err)
				require.Empty(t, rep.Nodes[2].Did)
				require.Equal(t, was, position(c.nodes["n3"].log), "it was rewound")
			})
		})
	}
}

func TestASweepDoesNotPointANodeAtALeaderThatItCannotFollow(t *testing.T) {
	inSim(t, pgTraits, func(t *testing.T, c *cluster) {
		forked(t, c)
		was := c.nodes["n3"].acc().Status()
		p := c.s.proc("c1")
		g := c.without(t, p)
		var err error
		require.NoError(t, c.do(func() { _, err = g.Sweep(context.Background()) }))
		require.ErrorContains(t, err, "n3")
		require.ErrorContains(t, err, "offers no Repairer")
		require.Equal(t, was, c.nodes["n3"].acc().Status(), "it was touched")
	})
}

// Who promises and can never follow is no one with whom a marker becomes
// durable: the leader is not taken away for that.
func TestAChangeDoesNotBeginOnNodesThatCanNeverFollow(t *testing.T) {
	inSim(t, pgTraits, func(t *testing.T, c *cluster) {
		forked(t, c)
		c.nodes["n2"].p.crash()
		p := c.s.proc("c1")
		g := c.without(t, p)
		led := c.nodes["n1"].acc().Status().Leads
		var rep *reparent.Report
		var err error
		require.NoError(t, c.do(func() { rep, err = g.Run(context.Background(), reparent.Refresh()) }))
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.Equal(t, led, c.nodes["n1"].acc().Status().Leads, "the leader was revoked for nothing")
		// With a repair at hand it is one.
		require.NoError(t, c.do(func() { rep, err = c.guard(c.s.proc("c2"), nil).Run(context.Background(), reparent.Refresh()) }))
		require.NoError(t, err, "%s", rep)
	})
}

// isolate cuts a node off, and records it.
func (c *cluster) isolate(t *testing.T, id leadership.NodeID) {
	t.Helper()
	_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (leadership.Record, error) {
		return r.Hold(leadership.Isolation{Node: id, Term: r.Fence, By: "c0"})
	})
	require.NoError(t, err)
	c.nodes[id].p.cut = true
}

// What an isolated node promises counts, and it answers a coordinator as if
// nothing were wrong.
func TestAnIsolatedNodeIsNoCandidate(t *testing.T) {
	run := func(c *cluster, ch reparent.Change) (rep *reparent.Report, err error) {
		p := c.s.proc("c1")
		p.control = true
		if derr := c.do(func() { rep, err = c.guard(p, nil).Run(context.Background(), ch) }); derr != nil {
			return rep, derr
		}
		return rep, err
	}
	t.Run("another is chosen", func(t *testing.T) {
		inSim(t, logTraits, func(t *testing.T, c *cluster) {
			require.NoError(t, c.writes("n1"))
			c.isolate(t, "n2")
			rep, err := run(c, reparent.Emergency())
			require.NoError(t, err, "%s", rep)
			require.EqualValues(t, "n3", rep.To, "%s", rep)
		})
	})
	t.Run("nor a follower with whom a marker becomes durable", func(t *testing.T) {
		inSim(t, logTraits, func(t *testing.T, c *cluster) {
			require.NoError(t, c.writes("n1"))
			c.isolate(t, "n2")
			c.nodes["n3"].p.crash()
			rep, err := run(c, reparent.Refresh())
			var no *reparent.InfeasibleError
			require.ErrorAs(t, err, &no, "%s", rep)
			require.Equal(t, reparent.NotStarted, rep.Outcome)
			require.Equal(t, c.grants[0].Term, c.nodes["n1"].acc().Status().Leads, "the leader was revoked for nothing")
		})
	})
}

// An intent that nobody cleared keeps nodes isolated no longer than it has to.
// The promise that frees one is as high as that of whoever counts on it.
func TestG1_ASweepReleasesIsolatedNodesBesideAnUnfinishedChange(t *testing.T) {
	inSim(t, logTraits, func(t *testing.T, c *cluster) {
		begin := func(by string) (term leadership.Term) {
			_, err := leadership.Update(context.Background(), c.reg, func(r leadership.Record) (_ leadership.Record, err error) {
				if term, err = leadership.NextTerm(by, r.Fence); err != nil {
					return r, err
				}
				return r.Begin(leadership.Intent{Term: term, By: by, Kind: leadership.KindEmergency, Phase: leadership.Holding}, true)
			})
			require.NoError(t, err)
			return term
		}
		counts := begin("counts-on-it")
		c.isolate(t, "n3")
		later := begin("later")
		var iso isolator
		p := c.s.proc("c1")
		p.control = true
		var err error
		g := c.guard(p, func(cfg *reparent.Config) {
			cfg.Isolate, err = revoke.NewIsolate(&iso, remoteRegistry{p, c}, "c1", nil)
			require.NoError(t, err)
		})
		sweep := func() (rep *reparent.SweepReport, err error) {
			require.NoError(t, c.do(func() { rep, err = g.Sweep(context.Background()) }))
			return rep, err
		}
		c.nodes["n3"].p.crash()
		rep, err := sweep()
		var busy *leadership.BusyError
		require.ErrorAs(t, err, &busy)
		require.ErrorContains(t, err, "it stays isolated")
		require.Empty(t, rep.Nodes[0].Did)
		require.Zero(t, iso.released.Load(), "released before it promised")

		c.nodes["n3"].p.restart()
		rep, err = sweep()
		require.ErrorAs(t, err, &busy)
		require.Equal(t, []reparent.Swept{{Node: "n3", Did: "released"}}, rep.Nodes)
		require.Equal(t, int32(1), iso.released.Load())
		require.Equal(t, counts, c.nodes["n3"].acc().Status().Promised, "not what was isolated for, and no promise for others")
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Empty(t, rec.Held)
		require.Equal(t, later, rec.Intent.Term, "the change of another is left alone")

		rep, err = sweep()
		require.ErrorAs(t, err, &busy)
		require.Empty(t, rep.Nodes, "there was nothing to release")
	})
}
