package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// registryStories are about the record: gone, late, or relied upon.
func registryStories() []scenario {
	return []scenario{
		{
			name: "registry/down_all_through_an_emergency", covers: []string{"40", "S18"}, needs: Features{Partition: true},
			script: func(s *script) {
				a := s.coordinator("a")
				a.do(reparent.Refresh()).ends(reparent.Done) // it has seen the record once
				s.sim.Isolate(s.regProc)
				s.wrote("n1", 1)
				d := a.do(reparent.Emergency())
				if s.quiet {
					s.demand(s.leader().Term == d.rep.Term, "without the registry nobody was established\n%s", d.rep)
				}
				s.wrote(s.leader().Leader, 1)
				s.sim.Rejoin(s.regProc)
				s.coordinator("b").do(reparent.Planned("n3")).never(reparent.Unknown)
			},
		},
		{
			name: "registry/goes_away_at_each_step_of_a_change", covers: []string{"40", "S18"}, needs: Features{Partition: true}, variants: 40,
			script: func(s *script) {
				c := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}[s.variant%2]
				d := s.coordinator("a").begin(c)
				n := 0
				s.reach(func() bool { n++; return n > 2*s.variant || d.over })
				s.sim.Isolate(s.regProc)
				d.wait()
				s.let(1e8)
				s.sim.Rejoin(s.regProc)
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "registry/restarts_at_each_step_of_a_change", covers: []string{"40"}, needs: Features{Crash: true}, variants: 20,
			script: func(s *script) {
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				n := 0
				s.reach(func() bool {
					if s.sim.Waiting("req *>registry *")+s.sim.Waiting("rep registry>* *") > 0 {
						n++
					}
					return n > s.variant || d.over
				})
				s.regProc.Crash()
				s.let(3e7)
				s.regProc.Restart()
				d.wait()
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			name: "registry/write_done_and_answer_lost", covers: []string{"S18"}, needs: Features{Partition: true}, variants: 5,
			script: func(s *script) {
				s.hold("rep registry>a swap")
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				for k := 0; !d.over; k++ {
					s.waitsOrOver("rep registry>a swap", d)
					if k == s.variant {
						s.sim.Discard("rep registry>a swap", true)
					}
					s.free()
					s.reach(func() bool { return s.sim.Waiting("rep registry>a swap") == 0 })
					s.hold("rep registry>a swap")
				}
				s.free()
				if s.quiet {
					s.demand(d.rep.Outcome == reparent.Done, "an answer of the registry was lost once, and the change ended %s\n%s", d.rep.Outcome, d.rep)
				}
			},
		},
		{
			name: "registry/shortcut_with_two_coordinators", covers: []string{"17"}, size: 4, policy: leadership.AtLeast(2), mode: leadership.Shortcut,
			needs: Features{Crash: true, Partition: true}, variants: 60,
			script: func(s *script) {
				s.wrote("n1", 1)
				a, b := s.coordinator("a"), s.coordinator("b")
				a.p.DieAt = s.variant
				a.begin(reparent.Emergency()).wait()
				b.do(reparent.Emergency())
				s.coordinator("c").do(reparent.Emergency())
			},
		},
		{
			name: "registry/shortcut_from_an_active_leader_that_was_superseded", covers: []string{"18"}, size: 4, policy: leadership.AtLeast(2), mode: leadership.Shortcut,
			needs: Features{Partition: true}, variants: 3,
			script: func(s *script) {
				s.wrote("n1", 1)
				// a has made another leader active and not granted it; b and c
				// begin before, between and after.
				op := []string{"req a>registry swap", "req a>* grant", "rep *>a grant"}[s.variant]
				a, b := s.coordinator("a"), s.coordinator("b")
				if s.variant > 0 {
					s.hold(op)
				}
				d := a.begin(reparent.Emergency())
				if s.variant > 0 {
					s.waitsOrOver(op, d)
				} else {
					s.reach(func() bool { return s.seen(Installing) > 1 || d.over })
					s.hold(op)
					s.waitsOrOver(op, d)
				}
				e := b.do(reparent.Emergency())
				s.free()
				d.wait()
				s.demand(d.rep.Outcome != reparent.Done || e.rep.Outcome != reparent.Done || d.rep.Term != e.rep.Term, "two changes under one term")
			},
		},
		{
			name: "registry/shortcut_stops_with_the_registry", covers: []string{"40", "17"}, size: 4, policy: leadership.AtLeast(2), mode: leadership.Shortcut,
			needs: Features{Partition: true},
			script: func(s *script) {
				a := s.coordinator("a")
				a.do(reparent.Refresh())
				s.sim.Isolate(s.regProc)
				known := s.record().Active.Term // its grant may be late
				s.wrote(s.leader().Leader, 1)
				a.do(reparent.Emergency()).never(reparent.Done)
				s.demand(!known.Less(s.leader().Term), "%s was granted in shortcut mode, and the registry does not know it", s.leader())
			},
		},
		{
			name: "registry/restored_from_a_backup", covers: []string{"S15"}, variants: 6,
			applies: func(h Harness) string {
				if h.Registry != nil {
					return "it puts an old record into the registry in memory, and Harness.Registry is set"
				}
				return ""
			},
			script: func(s *script) {
				// Terms regress there, and nowhere else: who asks the nodes learns
				// what they promised. One coordinator saw the newer record.
				a := s.coordinator("a")
				old := s.backUpRegistry()
				a.do(reparent.Planned("n2")).ends(reparent.Done)
				if s.variant%2 == 1 {
					a.do(reparent.Planned("n3")).ends(reparent.Done)
				}
				s.wrote(s.leader().Leader, 1)
				before := s.leader()
				s.restoreRegistry(old)
				b := s.coordinator("b")
				switch s.variant / 2 {
				case 0:
					b.do(reparent.Emergency())
				case 1:
					a.do(reparent.Emergency())
				default:
					da, db := a.begin(reparent.Emergency()), b.begin(reparent.Planned("n1"))
					da.wait()
					db.wait()
				}
				s.coordinator("c").do(reparent.Resume()).ends(reparent.Done)
				l := s.leader()
				s.demand(before == l || before.Term.Less(l.Term), "%s leads, and %s did before the registry was restored", l, before)
				s.wrote(l.Leader, 1)
			},
		},
		{
			name: "registry/second_bootstrap", covers: []string{"33"}, variants: 2,
			script: func(s *script) {
				s.wrote("n1", 1)
				if s.variant == 1 { // and the record is gone
					s.restoreRegistry(leadership.Record{})
				}
				before := s.granted()
				d := s.coordinator("a").do(reparent.Bootstrap(s.ruleset, "n2"))
				s.demand(d.rep.Outcome != reparent.Done && s.granted() == before, "a cluster with data was bootstrapped again\n%s", d.rep)
			},
			unhealed: true,
		},
		{
			name: "registry/two_bootstraps_at_once", covers: []string{"33"}, mode: none,
			script: func(s *script) {
				da, db := s.coordinator("a").begin(reparent.Bootstrap(s.ruleset, "n1")), s.coordinator("b").begin(reparent.Bootstrap(s.ruleset, "n2"))
				da.wait()
				db.wait()
				s.demand(da.rep.Outcome != reparent.Done || db.rep.Outcome != reparent.Done, "both were done")
			},
		},
	}
}

// backUpRegistry is what the registry holds.
func (s *script) backUpRegistry() leadership.Record {
	r, err := s.reg.Load(context.Background())
	if err != nil {
		s.fail("the registry in memory: %v", err)
	}
	return r
}

// restoreRegistry puts an old record, or none, into a new registry: that terms
// fall there is the story. What was under way to the old one ends with it: an
// old write must not find the version that it was based on there once more.
func (s *script) restoreRegistry(old leadership.Record) {
	s.sim.Recall()
	s.sim.Discard("req *>registry *", false)
	s.sim.Discard("rep registry>* *", true)
	reg := &leadership.MemoryRegistry{}
	if old.Version > 0 {
		if _, err := reg.Swap(context.Background(), 0, old); err != nil {
			s.fail("the registry in memory: %v", err)
		}
	}
	s.regHost.Disk = reg
	s.bootRegistry()
	s.records, s.swapped, s.saved = nil, nil, nil
}
