package reparenttest

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// storageStories are about disks that lose what they had.
func storageStories() []scenario {
	lose := func(s *script, id leadership.NodeID) {
		p := s.hosts[id].proc
		if p.Lose != nil {
			p.Lose()
		}
		p.Crash()
	}
	return []scenario{
		{
			name: "storage/node_comes_back_empty_under_its_old_name", covers: []string{"27"}, needs: Features{Crash: true, Loss: true}, variants: 2,
			script: func(s *script) {
				s.hold("req n1>n3 entries")
				s.wrote("n1", 2) // on n1 and n2
				s.sim.Discard("req n1>n3 entries", false)
				if s.variant == 1 { // n2 promised, and forgets that too
					d := s.coordinator("a")
					s.hold("req a>n3 *", "req a>n1 *")
					x := d.begin(reparent.Emergency())
					s.let(2e7)
					s.free()
					x.wait()
				}
				lose(s, "n2")
				s.crash("n1")
				s.free()
				s.restart("n2")
				b := s.coordinator("b").do(reparent.Emergency())
				s.demand(b.rep.Outcome != reparent.Done, "n3 and an empty n2 lost what n1 and the old n2 had completed")
				s.restart("n1")
			},
		},
		{
			name: "storage/torn_promise_keeps_the_gate_shut", covers: []string{"29"}, needs: Features{Crash: true, Torn: true},
			script: func(s *script) {
				s.wrote("n1", 1)
				s.hold("disk n2 promise")
				d := s.coordinator("a").begin(reparent.Emergency())
				s.waits("disk n2 promise")
				s.sim.Tear("disk n2 promise")
				s.free()
				s.restart("n2")
				w := s.write("n1")
				d.wait()
				w.wait()
			},
		},
	}
}
