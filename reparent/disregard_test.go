package reparent_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// A candidate that only coordinators reach has a marker that nobody can fetch
// from it. The undo does without it.
func TestG5_AnUndoDoesWithoutTheCandidateThatCouldNotBeEstablished(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			inSim(t, kind, func(t *testing.T, c *cluster) {
				require.NoError(t, c.writes("n1"))
				c.Isolate("n1", true)
				rep, err := c.change("c1", reparent.Refresh(), nil)
				require.Error(t, err)
				require.Equal(t, reparent.Restored, rep.Outcome, "%s", rep)
				require.NotEqualValues(t, "n1", rep.Leader(), "%s", rep)
				require.Contains(t, strings.Join(rep.Undo.Notes, "\n"), "what n1 says of its log is disregarded")
				require.NoError(t, c.writes(rep.Leader()))
			})
		})
	}
}

// What n1 completed with n2 is on no other node that answers. With n2 nobody can
// lead: n2 and n3 cannot be established, n4 has a tail that needs a repair before.
// Without it n4 could, with n3: a waiver says that n1 is gone, not that n2 is.
func TestG2_NobodyIsDisregardedWhoseLogIsNeeded(t *testing.T) {
	for name, waiver := range map[string]*leadership.Waiver{
		"without a waiver": nil,
		"with one":         {Gone: []leadership.NodeID{"n1"}, Loss: true, Reason: "rack burnt down", By: "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			inSetup(t, reparenttest.PostgreSQLLike(), reparenttest.Setup{Nodes: 4, Policy: leadership.AtLeast(2)}, func(t *testing.T, c *cluster) {
				rep, err := c.change("first", reparent.Planned("n4"), nil)
				require.NoError(t, err, "%s", rep)
				others := []leadership.NodeID{"n1", "n2", "n3"}
				for _, id := range others {
					c.Crash(id)
				}
				for range 4 {
					require.ErrorIs(t, c.writes("n4"), leadership.ErrUnknownOutcome)
				}
				c.Crash("n4")
				for _, id := range others {
					c.Restart(id)
				}
				edit := func(p *reparenttest.Process, id leadership.NodeID, f func(n *reparent.Node)) {
					n := p.Nodes[id]
					f(&n)
					p.Nodes[id] = n
				}
				p, ch := c.Process("second"), reparent.Emergency()
				edit(p, "n3", func(n *reparent.Node) { n.Follow, n.Repair = nil, nil })
				ch.To = "n1"
				rep, err = c.run(p, guard(t, p, nil), ch)
				require.NoError(t, err, "%s", rep)
				require.NoError(t, c.writes("n1"))
				c.Crash("n1")
				c.Restart("n4")

				p, ch = c.Process("third"), reparent.Emergency()
				edit(p, "n2", func(n *reparent.Node) { n.Candidate = nil })
				edit(p, "n3", func(n *reparent.Node) { n.Candidate = nil })
				ch.Waiver = waiver
				rep, err = c.run(p, guard(t, p, nil), ch)
				var none *establish.NoCandidateError
				require.ErrorAs(t, err, &none, "%s", rep)
				require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
				require.Empty(t, rep.Notes)
			})
		})
	}
}

// lone follows nobody.
type lone struct{}

func (lone) Follow(context.Context, leadership.Term, leadership.NodeID) (leadership.Acceptance, error) {
	return leadership.Acceptance{}, errors.New("not now")
}

// blunt promises, and does not say where its log ends.
type blunt struct{ revoke.Promiser }

func (b blunt) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	got, err := b.Promiser.Promise(ctx, t)
	got.Read, got.Markers = nil, nil
	return got, err
}

// n1 has a draft that makes n3 a member in place of n2, and n2 the marker of a
// later term, which needs n1 to become durable: n1 is disregarded, and repaired.
func TestG5_WhoIsDisregardedIsRepairedWhereItIsNeeded(t *testing.T) {
	for name, kind := range map[string]reparenttest.Harness{"mariadb": reparenttest.MariaDBLike(), "postgres": reparenttest.PostgreSQLLike()} {
		t.Run(name, func(t *testing.T) {
			inSetup(t, kind, reparenttest.Setup{Members: 2}, func(t *testing.T, c *cluster) {
				require.NoError(t, c.writes("n1"))
				edit := func(p *reparenttest.Process, f func(n *reparent.Node)) {
					for id, n := range p.Nodes {
						f(&n)
						p.Nodes[id] = n
					}
				}
				fails := func(by string, ch reparent.Change, f func(n *reparent.Node)) {
					p := c.Process(by)
					edit(p, f)
					rep, err := c.run(p, guard(t, p, nil), ch)
					require.Error(t, err)
					require.Equal(t, reparent.Incomplete, rep.Outcome, "%s", rep)
				}
				was := c.Ruleset()
				fails("draft", reparent.SetRuleset(leadership.Ruleset{
					Policy: was.Policy, Members: []leadership.Node{{ID: "n1"}, {ID: "n3"}},
				}), func(n *reparent.Node) { n.Follow = lone{} })
				fails("later", reparent.Resume(), func(n *reparent.Node) {
					n.Follow = lone{}
					if n.ID == "n1" {
						n.Promise, n.Candidate = blunt{n.Promise}, nil
					}
				})
				at := func(id leadership.NodeID) leadership.Term {
					log := c.Facts(id).Log
					return log[len(log)-1].Term
				}
				require.True(t, at("n1").Less(at("n2")), "n1 ends at %s, n2 at %s", at("n1"), at("n2"))

				rep, err := c.change("last", reparent.Resume(), nil)
				require.NoError(t, err, "%s", rep)
				require.NoError(t, c.writes(rep.To))
			})
		})
	}
}

// What n1 completed with n2 is nowhere else, n1 is declared gone, and n2 could not be
// established a moment ago. Without both n3 and n4 could lead, and would have lost it.
func TestG2_NobodyIsDisregardedForAnEarlierFailureBesideAWaiver(t *testing.T) {
	inSetup(t, reparenttest.LogStore(), reparenttest.Setup{Nodes: 4, Policy: leadership.AtLeast(2)}, func(t *testing.T, c *cluster) {
		c.Crash("n3")
		c.Crash("n4")
		require.NoError(t, c.writes("n1"))
		c.Gone("n1")
		c.Restart("n3")
		c.Restart("n4")
		c.Isolate("n2", true)
		p := c.Process("c1")
		g := guard(t, p, nil)
		rep, err := c.run(p, g, reparent.Emergency())
		require.Error(t, err)
		require.EqualValues(t, "n2", rep.To, "%s", rep)
		require.Equal(t, reparent.StepInstall, rep.Failed, "%s", rep)

		ch := reparent.Emergency()
		ch.Waiver = &leadership.Waiver{Gone: nodes("n1"), Loss: true, Reason: "rack burnt down", By: "alice"}
		rep, err = c.run(p, g, ch)
		require.Error(t, err, "%s", rep)
		require.EqualValues(t, "n2", rep.To, "%s", rep)
		require.Empty(t, rep.Notes)
	})
}
