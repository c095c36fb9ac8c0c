package reparent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// forked leaves n3 with an entry that nobody completed and that the leader's log
// has not.
func forked(t *testing.T, c *cluster) {
	t.Helper()
	rep, err := c.change("first", reparent.Planned("n3"), nil)
	require.NoError(t, err, "%s", rep)
	c.Crash("n1")
	c.Crash("n2")
	for range 4 {
		require.ErrorIs(t, c.writes("n3"), leadership.ErrUnknownOutcome)
	}
	c.Crash("n3")
	c.Restart("n1")
	c.Restart("n2")
	back := reparent.Emergency()
	back.To = "n1"
	rep, err = c.change("fork", back, nil)
	require.NoError(t, err, "%s", rep)
	require.EqualValues(t, "n1", rep.To)
	require.NoError(t, c.writes("n1"))
	c.Restart("n3")
}

// without returns a guard whose nodes offer no Repairer.
func without(t *testing.T, p *reparenttest.Process) *reparent.Guard {
	t.Helper()
	for id, n := range p.Nodes {
		n.Repair = nil
		p.Nodes[id] = n
	}
	return guard(t, p, nil)
}

// Pointed at the leader as it is, a server with a tail of its own breaks, and
// says so to nobody but its log.
func TestASweepRepairsANodeWithATailOfItsOwnBeforeItFollows(t *testing.T) {
	for name, kind := range map[string]reparenttest.Harness{"mariadb": reparenttest.MariaDBLike(), "postgres": reparenttest.PostgreSQLLike()} {
		t.Run(name, func(t *testing.T) {
			inSim(t, kind, func(t *testing.T, c *cluster) {
				forked(t, c)
				p := c.Process("c1")
				rep, err := c.sweep(guard(t, p, nil))
				require.NoError(t, err, "%s", rep)
				require.Equal(t, "repaired", rep.Nodes[2].Did, "%s", rep)
				require.True(t, same(c.Facts("n1").Log, c.Facts("n3").Log))
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
	for name, spoilt := range map[string]reparent.Node{
		"it did not say where its log ends": {ID: "n3", Status: deaf{}},
		"the leader n1 did not say":         {ID: "n1", Status: deaf{}},
		"n1 is no source":                   {ID: "n1", Status: empty{"n1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inSim(t, reparenttest.PostgreSQLLike(), func(t *testing.T, c *cluster) {
				forked(t, c)
				was := c.Facts("n3").Log
				p := c.Process("c1")
				n := p.Nodes[spoilt.ID]
				n.Status = spoilt.Status
				p.Nodes[spoilt.ID] = n
				rep, err := c.sweep(guard(t, p, nil))
				require.ErrorContains(t, rep.Nodes[2].Err, name, "%s", rep)
				require.ErrorIs(t, err, rep.Nodes[2].Err)
				require.Empty(t, rep.Nodes[2].Did)
				require.True(t, same(was, c.Facts("n3").Log), "it was rewound")
			})
		})
	}
}

// A leader that was too slow to say how it is has not said that it leads nothing.
func TestASweepDoesNotPutWordsIntoALeadersMouth(t *testing.T) {
	for name, status := range map[string]reparent.Statuser{
		"it did not say how it is":      deaf{},
		"it says that it leads nothing": empty{"n1"},
	} {
		t.Run(name, func(t *testing.T) {
			inSim(t, reparenttest.PostgreSQLLike(), func(t *testing.T, c *cluster) {
				p := c.Process("c1")
				n := p.Nodes["n1"]
				n.Status = status
				p.Nodes["n1"] = n
				rep, err := c.sweep(guard(t, p, nil))
				require.Error(t, err)
				require.ErrorContains(t, rep.Nodes[0].Err, name)
			})
		})
	}
}

func TestASweepDoesNotPointANodeAtALeaderThatItCannotFollow(t *testing.T) {
	inSim(t, reparenttest.PostgreSQLLike(), func(t *testing.T, c *cluster) {
		forked(t, c)
		was := c.Facts("n3")
		p := c.Process("c1")
		g := without(t, p)
		_, err := c.sweep(g)
		require.ErrorContains(t, err, "n3")
		require.ErrorContains(t, err, "offers no Repairer")
		require.Equal(t, was, c.Facts("n3"), "it was touched")
	})
}

// Who promises and can never follow is no one with whom a marker becomes
// durable: the leader is not taken away for that.
func TestAChangeDoesNotBeginOnNodesThatCanNeverFollow(t *testing.T) {
	inSim(t, reparenttest.PostgreSQLLike(), func(t *testing.T, c *cluster) {
		forked(t, c)
		c.Crash("n2")
		p := c.Process("c1")
		g := without(t, p)
		led := c.Facts("n1").Leads
		rep, err := c.run(p, g, reparent.Refresh())
		var no *reparent.InfeasibleError
		require.ErrorAs(t, err, &no, "%s", rep)
		require.Equal(t, reparent.NotStarted, rep.Outcome)
		require.Equal(t, led, c.Facts("n1").Leads, "the leader was revoked for nothing")
		// With a repair at hand it is one.
		rep, err = c.change("c2", reparent.Refresh(), nil)
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
	c.Isolate(id, true)
}

// What an isolated node promises counts, and it answers a coordinator as if
// nothing were wrong.
func TestAnIsolatedNodeIsNoCandidate(t *testing.T) {
	run := func(c *cluster, ch reparent.Change) (rep *reparent.Report, err error) {
		p := c.Process("c1")
		if derr := c.Do(func() { rep, err = guard(t, p, nil).Run(context.Background(), ch) }); derr != nil {
			return rep, derr
		}
		return rep, err
	}
	t.Run("another is chosen", func(t *testing.T) {
		inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
			require.NoError(t, c.writes("n1"))
			c.isolate(t, "n2")
			rep, err := run(c, reparent.Emergency())
			require.NoError(t, err, "%s", rep)
			require.EqualValues(t, "n3", rep.To, "%s", rep)
		})
	})
	t.Run("nor a follower with whom a marker becomes durable", func(t *testing.T) {
		inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
			require.NoError(t, c.writes("n1"))
			c.isolate(t, "n2")
			c.Crash("n3")
			rep, err := run(c, reparent.Refresh())
			var no *reparent.InfeasibleError
			require.ErrorAs(t, err, &no, "%s", rep)
			require.Equal(t, reparent.NotStarted, rep.Outcome)
			require.Equal(t, c.Grants()[0].Term, c.Facts("n1").Leads, "the leader was revoked for nothing")
		})
	})
}

// An intent that nobody cleared keeps nodes isolated no longer than it has to.
// The promise that frees one is as high as that of whoever counts on it.
func TestG1_ASweepReleasesIsolatedNodesBesideAnUnfinishedChange(t *testing.T) {
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
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
		p := c.Process("c1")
		var err error
		g := guard(t, p, func(cfg *reparent.Config) {
			cfg.Isolate, err = revoke.NewIsolate(&iso, p.Registry, "c1", nil)
			require.NoError(t, err)
		})
		sweep := func() (rep *reparent.SweepReport, err error) {
			require.NoError(t, c.Do(func() { rep, err = g.Sweep(context.Background()) }))
			return rep, err
		}
		c.Crash("n3")
		rep, err := sweep()
		var busy *leadership.BusyError
		require.ErrorAs(t, err, &busy)
		require.ErrorContains(t, err, "it stays isolated")
		require.Empty(t, rep.Nodes[0].Did)
		require.Zero(t, iso.released.Load(), "released before it promised")

		c.Restart("n3")
		rep, err = sweep()
		require.ErrorAs(t, err, &busy)
		require.Equal(t, []reparent.Swept{{Node: "n3", Did: "released"}}, rep.Nodes)
		require.Equal(t, int32(1), iso.released.Load())
		require.Equal(t, counts, c.Facts("n3").Promised, "not what was isolated for, and no promise for others")
		rec, err := c.reg.Load(context.Background())
		require.NoError(t, err)
		require.Empty(t, rec.Held)
		require.Equal(t, later, rec.Intent.Term, "the change of another is left alone")

		rep, err = sweep()
		require.ErrorAs(t, err, &busy)
		require.Empty(t, rep.Nodes, "there was nothing to release")
	})
}

// elsewhere is the place of a log that neither contains another nor is in it.
type elsewhere struct{}

func (elsewhere) Kind() string                                      { return "elsewhere" }
func (elsewhere) String() string                                    { return "here" }
func (elsewhere) Compare(leadership.Point) leadership.Order         { return leadership.Diverged }
func (elsewhere) Extends(leadership.Term, leadership.Position) bool { return false }

// strayed is a follower on which somebody ran a statement of his own.
type strayed struct{ reparent.Statuser }

func (s strayed) Status(ctx context.Context) (leadership.Status, error) {
	got, err := s.Statuser.Status(ctx)
	got.Position.Point = elsewhere{}
	return got, err
}

// Replication is broken there, and the server says that it follows.
func TestASweepRepairsAFollowerThatHoldsWhatItsLeaderHasNot(t *testing.T) {
	inSim(t, reparenttest.MariaDBLike(), func(t *testing.T, c *cluster) {
		require.NoError(t, c.writes("n1"))
		p := c.Process("c1")
		rep, err := c.sweep(guard(t, p, nil))
		require.NoError(t, err)
		require.Equal(t, "follows", rep.Nodes[2].Did, "%s", rep)
		n := p.Nodes["n3"]
		n.Status = strayed{n.Status}
		p.Nodes["n3"] = n
		rep, err = c.sweep(guard(t, p, nil))
		require.NoError(t, err)
		require.Equal(t, "repaired", rep.Nodes[2].Did, "%s", rep)
		require.Equal(t, "follows", rep.Nodes[1].Did, "%s", rep)
	})
}
