package reparenttest

import (
	"context"
	"slices"
	"strings"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// partitionStories are about leaders that were cut off, sleep, or see other
// nodes than the coordinator does.
func partitionStories() []scenario {
	return []scenario{
		{
			name: "partition/leader_sleeps_through_a_change_with_answers_queued", covers: []string{"3", "S1"},
			needs: Features{Pause: true}, variants: 2,
			script: func(s *script) {
				s.wrote("n1", 1)
				n1 := s.hosts["n1"].proc
				d := s.write("n1")
				if s.variant == 0 { // the followers have it, their answers are on the way
					s.hold("rep *>n1 *")
					s.reach(func() bool { return s.sim.Waiting("rep *>n1 *") > 0 })
				}
				n1.Pause()
				e := s.write("n1") // arrives while it sleeps
				s.let(5e7)
				s.coordinator("a").do(reparent.Emergency()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 2)
				s.free()
				n1.Resume()
				d.wait()
				e.wait()
				s.let(1e8)
			},
		},
		{
			name: "partition/leader_with_a_set_that_is_not_durable", covers: []string{"4"}, size: 5,
			needs: Features{Partition: true},
			script: func(s *script) {
				s.wrote("n1", 1)
				a := s.coordinator("a")
				for _, id := range []leadership.NodeID{"n1", "n2"} {
					s.apart(id, append(s.procs("n3", "n4", "n5"), a.p)...)
				}
				d, r := s.write("n1"), s.reads("n1")
				a.do(reparent.Emergency()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				d.wait()
				r.wait()
				s.demand(d.err != nil, "a leader with two of five acknowledged a write")
				s.demand(r.err != nil || s.h.localReads, "a leader with two of five confirmed a read")
			},
		},
		{
			name: "partition/leader_with_a_set_that_is_durable_and_no_majority", covers: []string{"4", "5"}, size: 4, policy: leadership.AtLeast(2),
			needs: Features{Partition: true},
			script: func(s *script) {
				a := s.coordinator("a")
				for _, id := range []leadership.NodeID{"n1", "n2"} {
					s.apart(id, append(s.procs("n3", "n4"), a.p)...)
				}
				before := s.granted()
				d := s.write("n1")
				a.do(reparent.Emergency()).never(reparent.Done)
				s.demand(s.granted() == before, "somebody was granted although n1 and n2 can complete without the others")
				d.wait()
				if s.quiet {
					s.demand(d.err == nil, "n1 and n2 are two of four and could not complete: %v", d.err)
				}
			},
		},
		{
			name: "partition/leader_sees_one_follower_and_the_coordinator_the_other", covers: []string{"S8"},
			needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				a := s.coordinator("a")
				s.apart("n1", append(s.procs("n3"), a.p)...)
				if s.variant == 1 {
					s.apart("n2", a.p)
				}
				d := s.write("n1")
				e := a.do(reparent.Emergency())
				if s.variant == 1 {
					s.demand(e.rep.Outcome != reparent.Done, "established with n3 alone")
				} else if s.quiet {
					s.demand(e.rep.Outcome == reparent.Done, "n2 and n3 are a majority, and the change ended %s\n%s", e.rep.Outcome, e.rep)
				}
				d.wait()
			},
		},
		{
			name: "partition/one_way_and_then_the_other", covers: []string{"S8"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				n1 := s.hosts["n1"].proc
				for _, id := range s.ids[1:] {
					if s.variant == 0 { // it hears nobody
						s.sim.Cut(s.hosts[id].proc, n1)
					} else { // nobody hears it
						s.sim.Cut(n1, s.hosts[id].proc)
					}
				}
				d := s.write("n1")
				if e := s.coordinator("a").do(reparent.Planned("n2")); e.rep.Outcome != reparent.Done {
					// The best log is at n1, from which nobody can copy it when
					// nobody hears it: the undo does without it, the others suffice.
					e := s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done, reparent.Restored, reparent.Incomplete)
					s.demand(!s.quiet || e.rep.Outcome != reparent.Incomplete, "nobody leads, and n2 and n3 reach each other\n%s", e.rep)
				}
				d.wait()
			},
		},
		{
			name: "partition/flapping_link_and_an_operator", covers: []string{"36"}, needs: Features{Partition: true},
			script: func(s *script) {
				n1, n2 := s.hosts["n1"].proc, s.hosts["n2"].proc
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				for range 10 {
					s.sim.Cut(n1, n2)
					s.let(1e7)
					s.sim.Join(n1, n2)
					s.let(1e7)
				}
				d.wait()
				e := s.coordinator("b").do(reparent.Planned("n3"))
				if s.quiet {
					s.demand(e.rep.Outcome == reparent.Done, "once the link is whole the operator does not get through\n%s", e.rep)
				}
			},
		},
		{
			name: "partition/exactly_what_is_needed_is_down", covers: []string{"43"}, needs: Features{Crash: true}, variants: 2,
			script: func(s *script) {
				s.wrote("n1", 1)
				s.crash("n1")
				s.crash("n2")
				d := s.coordinator("a").do(reparent.Emergency()).never(reparent.Done)
				if s.quiet {
					s.demand(d.err != nil && (containsAny(d.err.Error(), "n1", "n2")), "the error does not say who is missing: %v", d.err)
				}
				s.restart([]leadership.NodeID{"n1", "n2"}[s.variant])
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "partition/stranded_follower_and_a_refresh", covers: []string{"34"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				s.ask("abandoned", func(ctx context.Context, p *Process) error {
					_, err := p.Nodes["n3"].Promise.Promise(ctx, high(7))
					return err
				}).wait()
				s.wrote("n1", 1) // with n2
				if s.variant == 1 {
					s.apart("n1", s.procs("n2")...)
					da, db := s.coordinator("a").begin(reparent.Refresh()), s.coordinator("b").begin(reparent.Emergency())
					da.wait()
					db.wait()
					return
				}
				s.coordinator("a").do(reparent.Refresh()).ends(reparent.Done)
				s.apart("n2")
				s.wrote("n1", 1) // n3 is back
			},
		},
	}
}

func containsAny(s string, subs ...string) bool {
	return slices.ContainsFunc(subs, func(sub string) bool { return strings.Contains(s, sub) })
}
