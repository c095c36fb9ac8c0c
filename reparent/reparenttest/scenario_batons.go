package reparenttest

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// batonStories are about changes that leaders lead, of which more than one is
// under way, or was.
func batonStories() []scenario {
	handsOver := func(h Harness) string {
		if !h.HandsOver {
			return "its nodes do not hand over"
		}
		return ""
	}
	led := func(to leadership.NodeID) reparent.Change {
		c := reparent.Planned(to)
		c.LeaderLed, c.Force = true, true
		return c
	}
	return []scenario{
		{
			// The second comes when the leader is drained for the first, has
			// promised, has released, is superseded, or is told so.
			name: "baton/two_at_one_leader", covers: []string{"2", "9"}, needs: Features{Partition: true}, applies: handsOver, variants: 20,
			script: func(s *script) {
				s.wrote("n1", 1)
				w := s.write("n1") // in flight
				at := []string{"req a>n1 handover", "disk n1 promise", "req n1>n2 release", "disk n2 marker", "rep n2>n1 release"}[s.variant%5]
				s.hold(at)
				a := s.coordinator("a")
				d := a.begin(led("n2"))
				s.waitsOrOver(at, d)
				if s.variant/5%2 == 1 {
					a.die()
				}
				b := s.coordinator("b").begin(led([]leadership.NodeID{"n3", "n2"}[s.variant/10]))
				s.reach(func() bool { return s.sim.Waiting("rep n1>b handover") > 0 || b.over })
				s.free()
				b.wait()
				d.wait()
				w.wait()
				if s.quiet && b.rep.Outcome == reparent.NotStarted && b.rep.Failed == reparent.StepHandOver {
					s.demand(s.leader().Leader == b.rep.From, "b left the leader alone, and it leads no more\n%s", b.rep)
				}
				s.coordinator("c").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "baton/late_at_a_leader_that_leads_again", covers: []string{"38"}, needs: Features{Partition: true}, applies: handsOver, variants: 2,
			script: func(s *script) {
				s.wrote("n1", 1)
				s.hold("req a>n1 handover")
				a := s.coordinator("a")
				d := a.begin(led("n2"))
				s.waitsOrOver("req a>n1 handover", d)
				s.sim.Repeat("req a>n1 handover")
				if s.variant == 1 {
					a.die()
				}
				b := s.coordinator("b")
				c := led("n3")
				b.do(c).ends(reparent.Done)
				b.do(led("n1")).ends(reparent.Done)
				l := s.leader()
				s.free()
				s.sim.Recall()
				s.let(1e8)
				d.wait()
				if s.quiet {
					s.demand(s.leader() == l, "a baton of an older change was taken: %s leads, and not %s", s.leader(), l)
				}
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			// Two releases for one candidate, or one for each of two, and what
			// is left of the older one arrives last.
			name: "baton/release_of_an_older_change_comes_last", covers: []string{"38"}, needs: Features{Partition: true}, applies: handsOver, variants: 12,
			script: func(s *script) {
				s.wrote("n1", 1)
				s.hold("req n1>n2 release")
				d := s.coordinator("a").begin(led("n2"))
				s.waitsOrOver("req n1>n2 release", d)
				s.sim.Repeat("req n1>n2 release")
				s.hold("req n1>n3 ask") // no member has promised, or n3 has
				if s.variant%2 == 1 {
					s.free("req n1>n3 ask")
				}
				b := s.coordinator("b")
				b.do(reparent.Emergency())
				for _, to := range [][]leadership.NodeID{{}, {"n2"}, {"n1"}, {"n3", "n2"}, {"n1", "n2"}, {"n2", "n1"}}[s.variant/2] {
					if s.leader().Leader != to {
						b.do(led(to))
					}
				}
				l := s.leader()
				s.wrote(l.Leader, 2)
				s.free()
				s.sim.Recall()
				s.let(1e8)
				d.wait()
				if s.quiet {
					s.demand(s.leader() == l, "a release of an older change was taken: %s leads, and not %s", s.leader(), l)
				}
				s.wrote(s.leader().Leader, 1)
			},
		},
	}
}
