package reparent_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// A candidate that only coordinators reach has a marker that nobody can fetch
// from it. The undo does without it.
func TestG5_AnUndoDoesWithoutTheCandidateThatCouldNotBeEstablished(t *testing.T) {
	for name, kind := range map[string]traits{"log": logTraits, "mariadb": mariadbTraits, "postgres": pgTraits} {
		t.Run(name, func(t *testing.T) {
			inSim(t, kind, func(t *testing.T, c *cluster) {
				require.NoError(t, c.writes("n1"))
				c.nodes["n1"].p.cut = true // from its peers
				p := c.s.proc("c1")
				p.control = true
				var rep *reparent.Report
				require.NoError(t, c.do(func() { rep, _ = c.guard(p, nil).Run(context.Background(), reparent.Refresh()) }))
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
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1, faults{})
				defer s.close()
				c := newCluster(s, repeat(pgTraits, 4), leadership.AtLeast(2))
				require.NoError(t, c.bootstrap())
				run := func(by string, ch reparent.Change, edit func(nodes []reparent.Node)) (rep *reparent.Report, err error) {
					p := s.proc(by)
					nodes := c.bundle(p)
					edit(nodes)
					g, err := reparent.New("sim", remoteRegistry{p, c}, nodes, reparent.Config{By: by, Limits: simLimits(), Nonce: func() string { return "1" }})
					require.NoError(t, err)
					require.NoError(t, c.do(func() { rep, err = g.Run(context.Background(), ch) }))
					return rep, err
				}
				n3, n4 := c.nodes["n3"], c.nodes["n4"]
				n3.p.crash()
				require.NoError(t, c.writes("n1"))
				n4.p.crash()
				n4.log = slices.Clone(c.nodes["n1"].log)
				for v := range 4 {
					n4.log = append(n4.log, entry{Term: n4.log[0].Term, Val: 77 + v})
				}
				n3.p.restart()
				rep, err := run("c1", reparent.Refresh(), func(nodes []reparent.Node) { nodes[2].Follow, nodes[2].Repair = nil, nil })
				require.NoError(t, err, "%s", rep)
				require.NoError(t, c.writes("n1"))
				n4.p.restart()
				c.nodes["n1"].p.crash()

				ch := reparent.Emergency()
				ch.Waiver = waiver
				rep, err = run("c2", ch, func(nodes []reparent.Node) { nodes[1].Candidate, nodes[2].Candidate = nil, nil })
				var none *establish.NoCandidateError
				require.ErrorAs(t, err, &none, "%s", rep)
				require.Equal(t, reparent.NotStarted, rep.Outcome, "%s", rep)
				require.Empty(t, rep.Notes)
			})
		})
	}
}
