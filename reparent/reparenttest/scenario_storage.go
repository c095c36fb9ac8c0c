package reparenttest

import (
	"slices"

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
			name: "storage/voter_restored_from_a_backup", covers: []string{"28"}, needs: Features{Crash: true, Loss: true}, variants: 4,
			applies: func(h Harness) string {
				if !h.ours {
					return "it puts back an old copy of the disk of a simulated store"
				}
				return ""
			},
			script: func(s *script) {
				old := s.backUp("n2")
				if s.variant >= 2 { // which knows of neither term nor entry of today's leader
					s.coordinator("first").do(reparent.Planned("n3")).ends(reparent.Done)
				}
				l := s.leader().Leader
				if l == "n2" {
					return // it went another way
				}
				third := leadership.NodeID("n3")
				if l == third {
					third = "n1"
				}
				s.hold("req " + string(l) + ">" + string(third) + " entries")
				s.wrote(l, 2) // on the leader and n2
				s.sim.Discard("req "+string(l)+">"+string(third)+" entries", false)
				if s.variant%2 == 1 { // n2 promised, and forgets that too
					s.hold("req a>"+string(third)+" *", "req a>"+string(l)+" *")
					x := s.coordinator("a").begin(reparent.Emergency())
					s.let(2e7)
					s.free()
					x.wait()
				}
				if s.leader().Leader != l {
					return // it went another way
				}
				lose(s, "n2")
				s.hosts["n2"].Disk = old
				s.crash(l)
				s.free()
				s.restart("n2")
				b := s.coordinator("b").do(reparent.Emergency())
				s.demand(b.rep.Outcome != reparent.Done, "%s and an old copy of n2 lost what %s and n2 had completed", third, l)
				s.restart(l)
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

// backUp is a copy of a node's disk.
func (s *script) backUp(id leadership.NodeID) *storeDisk {
	d, ok := s.hosts[id].Disk.(*storeDisk)
	if !ok {
		s.fail("%s has no disk of a simulated store", id)
	}
	old := *d
	old.log = slices.Clone(d.log)
	return &old
}
