package reparenttest

import (
	"errors"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// rulesetStories are about who counts, and by which policy, while that changes.
func rulesetStories() []scenario {
	rules := func(s *script, policy string, without ...leadership.NodeID) reparent.Change {
		rs := leadership.Ruleset{Policy: policy}
		for _, m := range s.ruleset.Members {
			if !contains(without, m.ID) {
				rs.Members = append(rs.Members, m)
			}
		}
		return reparent.SetRuleset(rs)
	}
	return []scenario{
		{
			name: "ruleset/leader_dies_at_each_point_of_a_change", covers: []string{"30", "S9"}, size: 4, policy: leadership.AtLeast(3),
			needs: Features{Crash: true}, variants: 60,
			script: func(s *script) {
				s.reforms = true
				s.wrote("n1", 1)
				to := []reparent.Change{rules(s, "at-least(2)"), rules(s, "all"), rules(s, "majority", "n4")}[s.variant%3]
				d := s.coordinator("a").begin(to)
				n := 0
				s.reach(func() bool {
					if s.sim.Waiting("* n1 *")+s.sim.Waiting("req *>n1 *")+s.sim.Waiting("rep n1>* *") > 0 {
						n++
					}
					return n > s.variant/3 || d.over
				})
				s.crash("n1")
				s.coordinator("b").do(reparent.Emergency()) // with the ruleset that it finds
				d.wait()
				s.restart("n1")
				s.coordinator("c").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			name: "ruleset/coordinator_that_knows_only_the_old_one", covers: []string{"30"}, size: 4, policy: leadership.AtLeast(3),
			needs: Features{Partition: true, Crash: true}, variants: 2,
			script: func(s *script) {
				s.reforms = true
				stale := s.coordinator("stale") // Config.Ruleset is the first one
				s.coordinator("a").do(rules(s, "at-least(2)")).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				// By the old ruleset two of four revoke; by the new one n1 could
				// go on with the fourth.
				s.sim.Isolate(s.regProc)
				s.apart("n1", append(s.procs("n2", "n3"), stale.p)...)
				if s.variant == 0 {
					s.apart("n4", append(s.procs("n2", "n3"), stale.p)...)
				}
				w := s.write("n1")
				d := stale.do(reparent.Emergency())
				w.wait()
				if s.variant == 0 {
					s.demand(d.rep.Outcome != reparent.Done, "established by the old ruleset while n1 and n4 suffice by the new one")
				}
			},
		},
		{
			name: "ruleset/undecided_one_of_an_abandoned_attempt", covers: []string{"30"}, size: 4, policy: leadership.AtLeast(2),
			needs: Features{Crash: true, Partition: true}, variants: 2,
			script: func(s *script) {
				s.reforms = true
				a := s.coordinator("a")
				s.hold("req n1>* entries")
				d := a.begin(rules(s, "at-least(3)"))
				s.reach(func() bool { return s.seen(Installing) > 1 || d.over })
				s.let(2e7) // the marker of the new ruleset is on n1, and nowhere else
				a.die()
				s.crash("n1")
				s.sim.Discard("req n1>* entries", false)
				s.free()
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
				to := s.leader().Leader
				s.wrote(to, 1)
				s.restart("n1")
				if s.variant == 1 {
					s.crash(to)
				}
				s.coordinator("c").do(reparent.Emergency()).ends(reparent.Done)
			},
		},
		{
			name: "ruleset/second_change_while_one_is_undecided", covers: []string{"31"}, size: 4, policy: leadership.AtLeast(2),
			variants: 2,
			script: func(s *script) {
				s.reforms = true
				s.hold("req n1>* entries")
				a := s.coordinator("a")
				d := a.begin(rules(s, "at-least(3)"))
				s.reach(func() bool { return s.seen(Installing) > 1 || d.over })
				s.let(1e6)
				if s.variant == 1 {
					a.die()
				}
				e := s.coordinator("b").do(rules(s, "all"))
				if s.quiet && s.variant == 0 {
					var busy *leadership.BusyError
					s.demand(errors.As(e.err, &busy), "a second ruleset while one is undecided: %v", e.err)
				}
				s.free()
				d.wait()
			},
		},
		{
			name: "ruleset/member_removed_with_the_only_copy_of_a_tentative_entry", covers: []string{"32", "22"}, size: 4,
			needs: Features{Partition: true, Crash: true},
			script: func(s *script) {
				s.reforms = true
				s.hold("req n1>n2 entries", "req n1>n3 entries")
				w := s.write("n1") // n1 and n4 have it, which is no majority
				s.let(5e6)
				d := s.coordinator("a").begin(rules(s, "majority", "n4"))
				s.let(1e7)
				s.free()
				d.wait()
				w.wait()
				s.crash("n1")
				s.coordinator("b").do(reparent.Emergency())
				s.demand(d.rep.Outcome != reparent.Done || s.leader().Leader != "n4", "n4 was removed, and leads")
			},
		},
		{
			name: "ruleset/leader_removes_itself", covers: []string{"32"}, size: 4,
			script: func(s *script) {
				s.reforms = true
				d := s.coordinator("a").do(rules(s, "majority", "n1"))
				if d.rep.Outcome == reparent.Done {
					s.demand(s.leader().Leader != "n1", "n1 was removed, and leads")
					w := s.write("n1").wait()
					s.demand(w.err != nil, "n1 was removed, and acknowledged a write")
				}
			},
		},
		{
			name: "ruleset/down_to_two_and_to_one", covers: []string{"32"},
			script: func(s *script) {
				s.reforms = true
				s.coordinator("a").do(rules(s, "majority", "n3")).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				s.coordinator("b").do(rules(s, "majority", "n2", "n3")).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				s.coordinator("c").do(rules(s, "majority")).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "ruleset/old_configuration_cannot_elect_after_a_growth", covers: []string{"30"}, size: 5,
			needs: Features{Partition: true, Crash: true},
			script: func(s *script) {
				s.reforms = true
				s.coordinator("a").do(rules(s, "majority", "n4", "n5")).ends(reparent.Done)
				if d := s.coordinator("b").do(rules(s, "majority")).ends(reparent.Done); d.rep.Outcome != reparent.Done {
					return
				}
				l := s.leader().Leader
				s.wrote(l, 1)
				s.sim.Isolate(s.regProc)
				c := s.coordinator("c")
				for _, id := range []leadership.NodeID{"n3", "n4", "n5"} {
					s.apart(id, append(s.procs("n1", "n2"), c.p)...)
				}
				d := c.do(reparent.Emergency())
				s.demand(d.rep.Outcome != reparent.Done, "two of five established somebody")
			},
		},
	}
}

func contains(ids []leadership.NodeID, id leadership.NodeID) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}
