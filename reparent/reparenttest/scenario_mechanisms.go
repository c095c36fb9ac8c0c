package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// mechanismStories are about rounds of every kind in every order.
func mechanismStories() []scenario {
	rounds := []mechanism{byProposal, byFence, bySource, byStepDown, byIsolation}
	n := len(rounds)
	by := func(s *script, a *actor, m mechanism) reparent.Change {
		r, err := s.process(a.p).revoker(m)
		if err != nil {
			s.fail("%s: %v", m, err)
		}
		c := reparent.Emergency()
		c.Revoke = r
		return c
	}
	mix := func(s *script, name string, k int, dies bool) {
		a := s.coordinator(name)
		if dies {
			a.p.DieAt = s.variant * 7 % 45
		}
		a.begin(by(s, a, rounds[k%n])).wait()
	}
	return []scenario{
		{
			name: "mechanism/every_triple_with_a_crash_in_between", covers: []string{"12"}, size: 4, policy: leadership.AtLeast(3),
			needs: Features{Crash: true, Partition: true}, variants: n * n * n,
			script: func(s *script) {
				w := s.write("n1")
				mix(s, "a", s.variant, true)
				who := s.ids[s.variant%4]
				s.crash(who)
				mix(s, "b", s.variant/n, false)
				s.restart(who)
				mix(s, "c", s.variant/n/n, false)
				w.wait()
			},
		},
		{
			name: "mechanism/every_pair_with_half_of_the_nodes_each", covers: []string{"12"}, size: 5,
			needs: Features{Partition: true}, variants: n * n,
			script: func(s *script) {
				s.wrote("n1", 1)
				away := [][]leadership.NodeID{{"n1", "n2"}, {"n4", "n5"}}
				w := s.write("n1")
				for i, name := range []string{"a", "b"} {
					for _, id := range away[i] {
						s.apart(id, s.procs("n3")...)
					}
					mix(s, name, []int{s.variant, s.variant / n}[i], i == 0)
					for _, id := range away[i] {
						s.rejoin(id)
					}
				}
				w.wait()
			},
		},
		{
			name: "mechanism/isolated_leader_is_let_go_once_it_promised", covers: []string{"15"},
			needs: Features{Partition: true, Crash: true}, variants: 8,
			script: func(s *script) {
				s.wrote("n1", 1)
				w := s.write("n1")
				a := s.coordinator("a")
				if s.variant > 0 {
					a.p.DieAt = 6 * s.variant
				}
				a.begin(by(s, a, byIsolation)).wait()
				w.wait()
				b := s.coordinator("b")
				b.do(reparent.Resume()).ends(reparent.Done)
				s.sweep(b)
				if s.quiet {
					s.demand(!s.hosts["n1"].proc.Isolated, "n1 is still isolated after a sweep")
				}
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "mechanism/stale_coordinator_lets_a_node_go", covers: []string{"15"}, needs: Features{Partition: true},
			script: func(s *script) {
				a, b := s.coordinator("a"), s.coordinator("b")
				a.do(by(s, a, byIsolation))
				s.hold("req a>breaker release")
				sw := s.sweeping(a)
				s.reach(func() bool { return s.sim.Waiting("req a>breaker release") > 0 || sw.over })
				late := s.sim.Waiting("req a>breaker release") > 0
				to := s.leader().Leader
				if d := b.do(by(s, b, byIsolation)); !late || d.rep.Outcome != reparent.Done || !s.hosts[to].proc.Isolated {
					return
				}
				s.free()
				sw.wait()
				s.demand(s.hosts[to].proc.Isolated, "%s was let go by a coordinator of a term that is over", to)
			},
		},
	}
}

// sweeping runs a sweep beside the script.
func (s *script) sweeping(a *actor) *deed {
	d := &deed{s: s, name: "sweep of " + a.p.Name}
	s.sim.Go(func() {
		_, err := a.g.Sweep(context.Background())
		s.mu.Lock()
		defer s.mu.Unlock()
		d.err, d.over = err, true
	})
	return d
}

// sweep runs one to its end.
func (s *script) sweep(a *actor) { s.sweeping(a).wait() }
