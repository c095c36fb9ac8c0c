package reparenttest

import (
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// leaseStories are about leaders that rely on clocks.
func leaseStories() []scenario {
	local := func(h Harness) string {
		if !h.localReads {
			return "it needs leaders that answer reads by a lease: Traits.LocalReads"
		}
		return ""
	}
	leased := func(h Harness) string {
		if !h.leased {
			return "it needs leaders that complete by a lease: Traits.Leased"
		}
		return ""
	}
	return []scenario{
		clockStory(leaseRate, local),
		{
			name: "lease/those_who_gave_it_restart", covers: []string{"16"}, needs: Features{Crash: true, Partition: true}, variants: 3, applies: local,
			script: func(s *script) {
				s.wrote("n1", 1)
				s.reads("n1").wait()
				for _, id := range [][]leadership.NodeID{{"n2"}, {"n3"}, {"n2", "n3"}}[s.variant] {
					s.crash(id) // it forgets what it gave
					s.restart(id)
				}
				s.cutOffAndReplaced()
			},
		},
		{
			name: "lease/found_valid_and_answered_much_later", covers: []string{"16"}, needs: Features{Pause: true, Partition: true}, variants: 2, applies: local,
			script: func(s *script) {
				// The read was taken before the next leader was made, and its
				// client hears of it when that one has written.
				s.wrote("n1", 1)
				s.hold("rep n1>* read")
				r := s.reads("n1")
				s.waits("rep n1>* read")
				if s.variant == 1 {
					s.hosts["n1"].proc.Pause()
				}
				a := s.coordinator("a")
				s.sim.CutOff(s.hosts["n1"].proc)
				a.do(reparent.Emergency()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				s.hosts["n1"].proc.Resume()
				s.free()
				r.wait()
				late := s.reads("n1").wait()
				s.demand(late.err != nil || s.leader().Leader == "n1", "n1 was replaced and answered a read")
			},
		},
		{
			name: "lease/renewal_is_late", covers: []string{"16"}, needs: Features{Partition: true}, variants: 4, applies: local,
			script: func(s *script) {
				// What the followers gave counts from when it was asked for, not
				// from when their answers come.
				s.hold("rep *>n1 entries", "rep *>n1 support")
				w := s.write("n1")
				s.let(time.Duration(s.variant+1) * 20 * time.Millisecond)
				s.hold("req n1>* entries", "req n1>* support")
				s.free("rep *>n1 entries", "rep *>n1 support")
				s.reach(func() bool { return s.sim.Waiting("rep *>n1 *") == 0 })
				s.cutOffAndReplaced()
				s.free()
				w.wait()
			},
		},
		{
			name: "lease/expires_beside_a_renewal", covers: []string{"16"}, needs: Features{Crash: true, Partition: true}, variants: 6, applies: leased,
			script: func(s *script) {
				lessor := s.lessor.proc
				lessor.CanCrash = true
				late := []string{"req n1>lessor renew", "rep lessor>n1 renew"}[s.variant%2]
				s.wrote("n1", 1)
				s.let(2 * leaseLength) // it is over, and the next write needs another
				s.hold(late)
				w := s.write("n1")
				s.waitsOrOver(late, w)
				a := s.coordinator("a")
				c := reparent.Planned("n2")
				if s.variant >= 4 {
					c = reparent.Emergency()
				}
				r, err := s.process(a.p).revoker(byLease)
				if err != nil {
					s.fail("%v", err)
				}
				c.Revoke = r
				d := a.begin(c)
				s.let(5e6)
				if s.variant >= 2 { // it forgets what it gave, and not whom it refuses
					lessor.Crash()
					s.let(1e6)
					lessor.Restart()
				}
				s.let(5e6)
				s.free()
				w.wait()
				d.wait()
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
	}
}

// clockStory is told with clocks that run wrong by rate: the leader's by as much
// in one direction as its followers' in the other.
func clockStory(rate float64, applies func(Harness) string) scenario {
	ppm := int64(rate * 1e6)
	return scenario{
		name: "lease/clocks_at_their_bound", covers: []string{"16"}, needs: Features{Partition: true, Clock: true}, variants: 4, applies: applies,
		script: func(s *script) {
			for i, id := range s.ids {
				by := ppm
				if (i == 0) == (s.variant%2 == 0) {
					by = -ppm
				}
				s.hosts[id].proc.Skew(0, by)
			}
			if s.variant >= 2 {
				s.hold("rep *>n1 entries")
			}
			w := s.write("n1")
			if s.variant >= 2 {
				s.let(2e7)
			}
			s.free()
			w.wait()
			s.cutOffAndReplaced()
		},
	}
}

// cutOffAndReplaced cuts n1 off from all but clients, who read there all the
// time while another leader is made and writes.
func (s *script) cutOffAndReplaced() {
	a := s.coordinator("a")
	s.sim.CutOff(s.hosts["n1"].proc)
	d := a.begin(reparent.Emergency())
	for !d.over && s.writers < 400 {
		s.reads("n1").wait()
		s.let(313 * time.Microsecond)
	}
	d.ends(reparent.Done)
	w := s.write(s.leader().Leader)
	r := s.reads("n1").wait()
	w.wait()
	s.demand(r.err != nil || s.leader().Leader == "n1", "n1 was replaced and answered a read")
}
