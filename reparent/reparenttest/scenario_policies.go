package reparenttest

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// policyStories are about how many must be reached, and which.
func policyStories() []scenario {
	zones := func(ms []leadership.Node) {
		for i := range ms {
			ms[i].Zone = []string{"east", "west", "north"}[i/2]
		}
	}
	return []scenario{
		seriesStory(),
		{
			name: "policy/two_of_four_needs_three_reached", covers: []string{"5"}, size: 4, policy: leadership.AtLeast(2),
			needs: Features{Crash: true}, variants: 2,
			script: func(s *script) {
				s.wrote("n1", 1)
				s.crash("n1")
				before := s.granted()
				if s.variant == 0 { // n1 and n2 may be alive and well somewhere
					s.crash("n2")
					s.coordinator("a").do(reparent.Emergency()).never(reparent.Done)
					s.demand(s.granted() == before, "somebody was granted with two of four reached")
					s.restart("n2")
				}
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
			},
		},
		{
			name: "policy/three_of_four_is_revoked_by_two", covers: []string{"5"}, size: 4, policy: leadership.AtLeast(3),
			needs: Features{Partition: true, Crash: true},
			script: func(s *script) {
				a := s.coordinator("a")
				for _, id := range []leadership.NodeID{"n1", "n2"} {
					s.apart(id, a.p)
				}
				e := reparent.Emergency()
				e.Force = true // although two cannot establish anybody
				d := a.do(e).never(reparent.Done)
				revoked := s.left(s.leader().Term, "n3", "n4") // a promise may be late
				w := s.write("n1").wait()
				s.demand(w.err != nil || !revoked, "n1 completed a write with two of four, of which three are needed")
				if s.quiet {
					s.demand(revoked, "n3 and n4 were reached and did not promise")
					s.demand(d.rep.Outcome == reparent.Incomplete || d.rep.Outcome == reparent.NotStarted, "ended %s\n%s", d.rep.Outcome, d.rep)
				}
				s.rejoin("n2")
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
			},
		},
		{
			name: "policy/every_zone_touched_is_not_revoked", covers: []string{"7"}, size: 6, policy: leadership.Zones(2), members: zones,
			needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				// One node of each zone is reached; the others, n1 among them,
				// still span all three.
				a := s.coordinator("a")
				away := []leadership.NodeID{"n1", "n3", "n5"}
				for _, id := range away {
					s.apart(id, append(s.procs("n2", "n4", "n6"), a.p)...)
				}
				before := s.granted()
				d := s.write("n1")
				a.do(reparent.Emergency()).never(reparent.Done)
				s.demand(s.granted() == before, "somebody was granted although n1, n3 and n5 span three zones")
				d.wait()
				if s.variant == 1 {
					s.rejoin("n3")
					s.rejoin("n5")
					s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
				}
			},
		},
		{
			name: "policy/leader_alone_is_enough_and_was_lost", covers: []string{"43"}, policy: leadership.Any(),
			needs: Features{Crash: true},
			script: func(s *script) {
				s.wrote("n1", 1)
				s.crash("n1")
				s.coordinator("a").do(reparent.Emergency()).never(reparent.Done)
			},
		},
		{
			name: "policy/all_and_one_is_down", covers: []string{"43"}, policy: leadership.All(),
			needs: Features{Crash: true},
			script: func(s *script) {
				s.crash("n3")
				d := s.write("n1").wait()
				s.demand(d.err != nil, "a write was acknowledged by all while n3 was down")
				s.coordinator("a").do(reparent.Emergency()).never(reparent.Done)
				s.restart("n3")
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
			},
		},
	}
}
