package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// logStories are about which log is taken, and what becomes of the others.
func logStories() []scenario {
	// alone makes n1 write what nobody else gets, and dies.
	alone := func(s *script, id leadership.NodeID, times int) {
		s.hold("req " + string(id) + ">* entries")
		for range times {
			s.write(id)
			s.let(1e6)
		}
		s.crash(id)
		s.sim.Discard("req "+string(id)+">* entries", false)
		s.free()
	}
	return []scenario{
		{
			name: "log/answer_in_flight_while_a_follower_promises", covers: []string{"19"}, variants: 3,
			script: func(s *script) {
				// n2 has the entry before it promises; its answer reaches n1
				// before, during or after the change.
				s.hold("rep n2>n1 entries", "rep n3>n1 entries")
				w := s.write("n1")
				s.waits("rep n2>n1 entries")
				d := s.coordinator("a").begin(reparent.Emergency())
				switch s.variant {
				case 0:
					s.reach(func() bool { return s.seen(Promised) > 4 })
				case 1:
					s.reach(func() bool { return s.seen(Installing) > 1 })
				default:
					s.reach(func() bool { return d.over })
				}
				s.free()
				d.wait()
				w.wait()
			},
		},
		{
			name: "log/slow_write_ends_after_the_promise", covers: []string{"19"},
			script: func(s *script) {
				s.hold("disk n2 accept", "disk n3 accept")
				w := s.write("n1")
				s.waits("disk n2 accept")
				d := s.coordinator("a").begin(reparent.Emergency())
				s.let(3e7)
				s.free()
				d.wait()
				w.wait()
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
			},
		},
		{
			name: "log/long_tail_of_an_old_term_loses_to_a_short_one_of_a_new", covers: []string{"20", "S7"}, needs: Features{Crash: true},
			script: func(s *script) {
				alone(s, "n1", 3)
				s.coordinator("a").do(reparent.Emergency()).ends(reparent.Done)
				to := s.leader().Leader
				s.wrote(to, 1)
				s.restart("n1")
				s.crash(to) // n1, with the longer log, and one other
				s.coordinator("b").do(reparent.Emergency()).ends(reparent.Done)
			},
		},
		{
			name: "log/three_abandoned_attempts_leave_three_tails", covers: []string{"20"}, size: 5, needs: Features{Crash: true, Partition: true}, variants: 6,
			script: func(s *script) {
				alone(s, "n1", 1)
				for i, id := range []leadership.NodeID{"n2", "n3"} {
					a := s.coordinator([]string{"a", "b"}[i])
					s.hold("req " + string(id) + ">* entries")
					e := reparent.Emergency()
					e.To = id
					d := a.begin(e)
					s.reach(func() bool { return s.seen(Installing) > 1+i || d.over })
					s.let(5e6)
					a.die()
					s.crash(id)
					s.sim.Discard("req "+string(id)+">* entries", false)
					s.free()
					s.restart([]leadership.NodeID{"n1", "n2"}[i])
				}
				away := []leadership.NodeID{"n1", "n2", "n4", "n5", "n1", "n2"}[s.variant]
				if s.variant >= 3 {
					s.restart("n3")
				}
				if s.hosts[away].proc.Up() && s.variant != 2 {
					s.crash(away)
				}
				s.coordinator("c").do(reparent.Emergency())
				s.coordinator("d").do(reparent.Resume()).ends(reparent.Done, reparent.Incomplete, reparent.NotStarted, reparent.Restored)
			},
		},
		{
			name: "log/old_entry_copied_by_a_later_leader_counts_with_its_marker_only", covers: []string{"20"}, needs: Features{Crash: true, Partition: true},
			script: func(s *script) {
				alone(s, "n1", 1) // an entry of the first term, on n1 alone
				a := s.coordinator("a")
				s.hold("req n2>* entries")
				e := reparent.Emergency()
				e.To = "n2"
				d := a.begin(e)
				s.reach(func() bool { return s.seen(Installing) > 1 || d.over })
				s.let(5e6)
				a.die()
				s.crash("n2")
				s.sim.Discard("req n2>* entries", false)
				s.free()
				s.restart("n1")
				e.To = "n1"
				s.hold("disk n3 accept") // the marker does not reach n3's disk yet
				b := s.coordinator("b")
				d = b.begin(e)
				s.let(1e8)
				b.die()
				s.crash("n1")
				s.free()
				s.restart("n2")
				s.coordinator("c").do(reparent.Emergency())
			},
		},
		{
			name: "log/best_log_is_where_nobody_may_lead", covers: []string{"21"}, needs: Features{Crash: true, Partition: true}, variants: 3,
			members: func(ms []leadership.Node) { ms[1].Ineligible = true }, size: 3,
			script: func(s *script) {
				s.hold("req n1>n3 entries")
				s.write("n1").wait() // on n1 and n2
				s.crash("n1")
				s.sim.Discard("req n1>n3 entries", false)
				s.free()
				a := s.coordinator("a")
				switch s.variant {
				case 0:
					s.demand(a.do(reparent.Emergency()).ends(reparent.Done).rep.To != "n2", "n2 may not lead, and does")
				case 1: // the donor dies while it is copied from
					s.hold("rep n2>n3 fetch")
					d := a.begin(reparent.Emergency())
					s.reach(func() bool { return s.sim.Waiting("rep n2>n3 fetch") > 0 || d.over })
					s.crash("n2")
					s.free()
					d.wait()
					s.restart("n2")
					s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				default: // it promises somebody else meanwhile
					s.hold("rep n2>n3 fetch")
					d := a.begin(reparent.Emergency())
					s.reach(func() bool { return s.sim.Waiting("rep n2>n3 fetch") > 0 || d.over })
					s.coordinator("b").do(reparent.Emergency())
					s.free()
					d.wait()
				}
			},
		},
		{
			name: "log/candidate_dies_around_its_marker", covers: []string{"23"}, needs: Features{Crash: true}, variants: 12,
			script: func(s *script) {
				s.wrote("n1", 1)
				s.hold("disk n2 marker")
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				if !s.reach(func() bool { return s.sim.Waiting("disk n2 marker") > 0 || d.over }) || d.over {
					return
				}
				s.free()
				n := 0
				s.reach(func() bool { n++; return n > s.variant })
				s.crash("n2")
				d.wait()
				s.restart("n2")
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "log/late_grant_under_a_lower_term", covers: []string{"24"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				s.hold("req a>n2 grant")
				e := reparent.Emergency()
				e.To = "n2"
				d := s.coordinator("a").begin(e)
				s.waits("req a>n2 grant")
				if s.variant == 0 {
					s.apart("n2", s.procs("n1", "n3")...)
				}
				b := s.coordinator("b")
				if s.variant == 0 {
					s.apart("n2", b.p)
				}
				e.To = "n3"
				b.do(e).ends(reparent.Done)
				s.wrote(s.leader().Leader, 2)
				s.free()
				s.let(1e8)
				r, w := s.reads("n2").wait(), s.write("n2").wait()
				s.demand(s.leader().Leader == "n2" || r.err != nil && w.err != nil, "n2 answered under a term that is over: read %v, write %v", r.err, w.err)
				d.wait()
			},
		},
		{
			name: "log/late_copy_of_everything_from_an_old_change", covers: []string{"38"}, needs: Features{Partition: true}, variants: 5,
			script: func(s *script) {
				op := []string{"promise", "install", "follow", "grant", "catchup"}[s.variant]
				s.hold("req a>* " + op)
				e := reparent.Emergency()
				e.To = "n2"
				a := s.coordinator("a")
				d := a.begin(e)
				s.waitsOrOver("req a>* "+op, d)
				s.let(1e9) // it gives up; its messages do not
				s.coordinator("b").do(reparent.Resume())
				s.coordinator("c").do(reparent.Planned("n3"))
				s.free()
				s.let(1e8)
				d.wait()
			},
		},
		{
			name: "log/old_source_is_pushed_again_by_a_repair_loop", covers: []string{"14", "38"},
			script: func(s *script) {
				old := s.leader()
				if d := s.coordinator("a").do(reparent.Planned("n2")).ends(reparent.Done); d.rep.Outcome != reparent.Done {
					return
				}
				d := s.ask("loop", func(ctx context.Context, p *Process) error {
					_, err := p.Nodes["n3"].Follow.Follow(ctx, old.Term, old.Leader)
					return err
				}).wait()
				s.demand(d.err != nil || !s.quiet, "n3 follows %s again after it promised more", old)
				s.wrote("n2", 1)
			},
		},
		{
			name: "log/follower_restarts_around_its_promise", covers: []string{"13", "S10"}, needs: Features{Crash: true}, variants: 2,
			script: func(s *script) {
				s.hold("disk n2 promise")
				d := s.coordinator("a").begin(reparent.Emergency())
				s.waits("disk n2 promise")
				if s.variant == 1 {
					s.free()
					s.reach(func() bool { return s.sim.Waiting("disk n2 promise") == 0 })
				}
				s.crash("n2")
				s.free()
				s.restart("n2")
				w := s.write("n1")
				d.wait()
				w.wait()
			},
		},
		{
			name: "log/nodes_that_must_be_repaired_while_the_leader_dies", covers: []string{"25", "26", "39"}, needs: Features{Crash: true, Partition: true}, variants: 8,
			script: func(s *script) {
				alone(s, "n1", 2) // a tail that must go
				s.coordinator("a").do(reparent.Emergency()).ends(reparent.Done)
				to := s.leader().Leader
				s.wrote(to, 1)
				s.restart("n1")
				b := s.coordinator("b")
				s.sim.Go(func() { _, _ = b.g.Sweep(context.Background()) })
				n := 0
				s.reach(func() bool {
					if s.sim.Waiting("disk n1 *") > 0 {
						n++
					}
					return n > s.variant/2
				})
				if s.variant%2 == 0 {
					s.crash("n1") // between rewind and restore, among others
					s.let(1e6)
					s.restart("n1")
				}
				s.crash(to)
				s.coordinator("c").do(reparent.Emergency())
				s.restart(to)
				s.coordinator("d").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			name: "log/only_acknowledger_needs_a_repair_by_the_leader", covers: []string{"39"}, needs: Features{Crash: true, Partition: true},
			script: func(s *script) {
				alone(s, "n1", 1)
				s.coordinator("a").do(reparent.Emergency()).ends(reparent.Done)
				to := s.leader().Leader
				s.restart("n1")
				for _, id := range s.ids {
					if id != to && id != "n1" {
						s.crash(id)
					}
				}
				s.coordinator("b").do(reparent.Refresh()) // its marker needs n1, which needs the leader
				c := s.coordinator("c")
				s.sim.Go(func() { _, _ = c.g.Sweep(context.Background()) })
				s.let(5e8)
				s.coordinator("d").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			name: "log/applier_is_dead_at_the_best_log", covers: []string{"S5", "S20"}, needs: Features{Crash: true, Partition: true}, variants: 2,
			script: func(s *script) {
				s.hold("req n1>n3 entries")
				s.wrote("n1", 2) // on n1 and n2
				s.crash("n1")
				s.sim.Discard("req n1>n3 entries", false)
				s.free()
				s.hold("rep n2>a read") // its position cannot be read
				d := s.coordinator("a").begin(reparent.Emergency())
				s.let(1e8)
				if s.variant == 1 {
					s.crash("n2")
					s.let(1e6)
					s.restart("n2")
				}
				d.wait()
				s.free()
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			name: "log/follower_ahead_of_all_who_acknowledged", covers: []string{"S6", "S7"}, size: 5, needs: Features{Crash: true, Partition: true},
			script: func(s *script) {
				s.hold("req n1>n2 entries", "req n1>n3 entries", "req n1>n4 entries")
				w := s.write("n1") // n5 has it, and nobody else
				s.let(5e6)
				s.crash("n1")
				s.free()
				w.wait()
				s.demand(w.err != nil, "acknowledged with two of five")
				s.coordinator("a").do(reparent.Emergency()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
	}
}

// waitsOrOver takes steps until an event that is held matches, or d is over.
func (s *script) waitsOrOver(pattern string, d *deed) {
	s.reach(func() bool { return s.sim.Waiting(pattern) > 0 || d.over })
}
