package reparenttest

import (
	"context"
	"slices"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// shortest are the shortest ways known to two leaders or to a lost entry that
// no story plays to the letter, each with one rule taken out. With the rules in
// place they end well.
func shortest() []scenario {
	emergency := func(to leadership.NodeID) reparent.Change {
		e := reparent.Emergency()
		e.To, e.Force = to, true // whatever it can tell beforehand
		return e
	}
	return []scenario{
		{
			// Two of four suffice to complete and two were reached: the other
			// two suffice as well.
			name: "reached_set_suffices_and_so_does_the_rest", size: 4, policy: leadership.AtLeast(2),
			script: func(s *script) {
				a := s.coordinator("a")
				s.apart("n1", append(s.procs("n2", "n3"), a.p)...)
				s.apart("n4", append(s.procs("n2", "n3"), a.p)...)
				before := s.granted()
				a.do(emergency("n2")).never(reparent.Done)
				s.demand(s.granted() == before, "somebody was granted with n2 and n3 reached, while n1 and n4 suffice")
				s.wrote("n1", 1)
			},
		},
		{
			// A host that stepped down starts again beside a follower that never
			// heard of it.
			name: "stepped_down_host_restarts_beside_a_follower_that_never_heard", size: 4, policy: leadership.AtLeast(2),
			script: func(s *script) {
				a := s.coordinator("a")
				s.apart("n4", append(s.procs("n2", "n3"), a.p)...)
				s.wrote("n1", 1)
				a.do(reparent.Planned("n2")).ends(reparent.Done)
				s.crash("n1")
				s.restart("n1")
				w := s.write("n1").wait()
				s.demand(w.err != nil || s.leader().Leader == "n1", "n1 stepped down, and completed a write with n4")
			},
		},
		{
			// A follower that promised more and has less is not the one to take
			// the log from.
			name: "promise_of_an_abandoned_attempt_is_no_entry", variants: 2,
			script: func(s *script) {
				s.hold("req n1>n3 entries")
				s.wrote("n1", 1) // on n1 and n2
				a := s.coordinator("a")
				s.apart("n1", a.p)
				s.apart("n2", a.p)
				a.do(emergency("n3")).never(reparent.Done) // n3 alone promises
				if s.quiet {
					p := s.hosts["n3"].node.Inspect.Facts().Promised
					s.demand(s.leader().Term.Less(p), "n3 promised nothing above %s", p)
				}
				b := s.coordinator("b")
				s.apart("n2", b.p)
				s.apart("n2", s.procs("n1", "n3")...)
				s.sim.Discard("req n1>n3 entries", false)
				s.free()
				b.do(emergency([]leadership.NodeID{"n3", "n1"}[s.variant])).ends(reparent.Done)
			},
		},
		{
			// A ruleset that only an abandoned attempt wrote down is not the only
			// one to revoke under: a later leader runs under the one before.
			name: "undecided_ruleset_beside_a_later_leader_under_the_old_one", size: 4, policy: leadership.AtLeast(2), mode: none,
			script: func(s *script) {
				s.reforms = true
				small := leadership.Ruleset{Policy: "at-least(2)", Members: s.ruleset.Members[:3]}
				a := s.coordinator("a")
				d := a.do(reparent.Bootstrap(small, "n1")).ends(reparent.Done)
				for tries := 0; d.rep.Outcome != reparent.Done; tries++ {
					s.demand(tries < 8, "no leader after %d tries: %v", tries, d.err)
					c := reparent.Resume()
					if tries%2 == 0 {
						c = reparent.Bootstrap(small, "n1")
					}
					d = a.do(c)
				}
				if s.leader().Leader != "n1" {
					return
				}
				b := s.coordinator("b")
				s.hold("req n1>* entries")
				installed := s.seen(Installing)
				d = b.begin(reparent.SetRuleset(leadership.Ruleset{Policy: "at-least(3)", Members: s.ruleset.Members}))
				s.reach(func() bool { return s.seen(Installing) > installed || d.over })
				s.let(5e6) // its marker is on n1, and nowhere else
				b.die()
				s.sim.Discard("req n1>* entries", false)
				s.sim.Isolate(s.regProc)
				c, e := s.coordinator("c"), s.coordinator("e")
				s.apart("n1", append(s.procs("n2", "n3"), c.p)...)
				s.apart("n4", append(s.procs("n2", "n3"), c.p)...)
				s.apart("n2", e.p)
				s.apart("n3", e.p)
				if d := c.do(emergency("n2")); s.leader().Term != d.rep.Term || s.leader().Leader != "n2" {
					s.demand(!s.quiet, "n2 was not established under the old ruleset\n%s", d.rep)
					return
				}
				s.wrote("n2", 1) // on n2 and n3
				s.free()
				before := s.granted()
				e.do(emergency("n1")).never(reparent.Done)
				s.demand(s.granted() == before, "somebody was granted by n1 and n4, while n2 and n3 suffice under the ruleset that n2 leads by")
			},
		},
		{
			// An isolation comes again when the node was let go and nobody holds it
			// any more: obeyed, it would be for good.
			name: "isolation_arrives_again_after_its_release",
			script: func(s *script) {
				a := s.coordinator("a")
				iso, err := s.process(a.p).revoker(byIsolation)
				s.demand(err == nil, "%v", err)
				c := emergency("n2")
				c.Revoke = iso
				s.hold("req a>breaker isolate")
				d := a.begin(c)
				if s.waits("req a>breaker isolate") {
					s.sim.Repeat("req a>breaker isolate")
				}
				s.free()
				d.ends(reparent.Done)
				s.sweep(a)
				s.sim.Recall()
				s.let(5e6)
				s.demand(!s.hosts["n1"].proc.Isolated || len(s.record().Held) > 0, "n1 is isolated, and the record does not say so")
			},
		},
		{
			// A repair arrives when its source has lost its storage: what comes
			// from there is not what was discarded for it.
			name: "repair_arrives_when_its_source_is_empty", size: 4, policy: leadership.AtLeast(3),
			script: func(s *script) {
				s.wrote("n1", 2)
				l := s.leader()
				for _, id := range s.procs("n1") {
					id.Lose()
					id.Crash()
				}
				s.restart("n1")
				for _, id := range []leadership.NodeID{"n2", "n3"} {
					d := s.ask("late", func(ctx context.Context, p *Process) error { return p.Nodes[id].Repair.Repair(ctx, l.Term, "n1") }).wait()
					s.demand(!s.quiet || d.err != nil, "%s was repaired from an empty disk", id)
				}
			},
		},
		{
			// Nobody who could lead is a member of what one log shows, and no later
			// leadership had ever seen it.
			name: "draft_of_a_dead_leadership_on_one_log",
			script: func(s *script) {
				s.reforms = true
				s.wrote("n1", 1)
				small := leadership.Ruleset{Policy: "majority", Members: slices.Clone(s.ruleset.Members[:2])}
				small.Members[1].Ineligible = true
				a, b := s.coordinator("a"), s.coordinator("b")
				s.hold("req n1>* entries")
				installed := s.seen(Installing)
				d := a.begin(reparent.SetRuleset(small))
				s.reach(func() bool { return s.seen(Installing) > installed || d.over })
				s.let(5e6) // its marker is on n1, and nowhere else
				a.die()
				s.sim.Discard("req n1>* entries", false)
				s.apart("n1", append(s.procs("n2", "n3"), b.p)...)
				s.hold("req b>n3 grant")
				d = b.begin(emergency("n3"))
				s.reach(func() bool { return d.over || s.sim.Waiting("req b>n3 grant") > 0 })
				b.die()
				s.sim.Discard("req b>n3 grant", false)
				s.free()
				s.rejoin("n1")
				s.coordinator("c").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			// Its log is the most advanced by a marker that nobody else has, and
			// nobody else can fetch it.
			name: "candidate_reaches_no_peer",
			script: func(s *script) {
				s.wrote("n1", 1)
				s.apart("n1", s.procs("n2", "n3")...)
				a := s.coordinator("a")
				d := a.do(reparent.Refresh()).ends(reparent.Restored)
				s.demand(!s.quiet || s.leader().Leader != "n1", "nobody but n1 was tried\n%s", d.rep)
				s.wrote(s.leader().Leader, 1)
				s.rejoin("n1")
				s.sweep(a)
			},
		},
		{
			// A step-down is answered, and the restart that belongs to it comes
			// when the node leads again.
			name: "restart_of_a_step_down_comes_late",
			script: func(s *script) {
				s.hold("local n1 reboot")
				a := s.coordinator("a")
				d := a.begin(reparent.Refresh())
				s.let(5e7)
				s.free()
				d.ends(reparent.Done)
				s.let(5e7)
				if l := s.leader(); s.quiet {
					f := s.hosts[l.Leader].node.Inspect.Facts()
					s.demand(f.Leads == l.Term, "%s was granted, and leads nobody: %s", l, f.Leads)
				}
			},
		},
		{
			// A repair could not say that it was over: the floor is still there when
			// the log is past it.
			name: "floor_is_left_behind_by_a_repair",
			script: func(s *script) {
				s.wrote("n1", 2)
				n := s.hosts["n2"].node.Client.(*store)
				d := s.ask("repair", func(ctx context.Context, _ *Process) error { return n.acc.SetFloor(ctx, n.position()) })
				d.wait()
				s.wrote("n1", 1)
				s.crash("n3") // n2 is needed
				s.coordinator("a").do(reparent.Refresh()).ends(reparent.Done)
			},
		},
		{
			// No fault: the answer that makes an entry complete reaches the old
			// leader when the next one, who has the entry, was granted.
			name: "old_leader_completes_what_the_new_one_has",
			script: func(s *script) {
				s.hold("rep n2>n1 entries", "req n1>n3 entries", "req a>n1 promise", "req a>n1 follow", "req n2>n1")
				w := s.write("n1")
				s.waits("rep n2>n1 entries")
				before := s.granted()
				d := s.coordinator("a").begin(emergency("n2"))
				s.until("the grant of n2", func() bool { return len(s.grants) > before || d.over })
				over := w.over
				s.free("rep n2>n1 entries")
				w.wait()
				if s.quiet {
					s.demand(!over && w.err == nil && s.leader().Leader == "n2", "the answer did not arrive late enough, or too late: over before %v, %v", over, w.err)
				}
				s.free()
				d.wait()
			},
		},
	}
}

// plays runs a script on h, as written and then under so many random schedules,
// until something is found.
func (sc scenario) plays(t *testing.T, h Harness, random uint64) (seed uint64, err error) {
	t.Helper()
	ways := uint64(max(1, sc.variants))
	for seed = range ways + random {
		var how stepsim.Chooser = stepsim.Quiet()
		if seed >= ways {
			how = stepsim.Seed(seed, restless)
		}
		if got := sc.once(t, h, Everything(), seed%ways, seed >= ways, how, false); got.err != nil {
			return seed, got.err
		}
	}
	return ways + random, nil
}

func TestTheShortestTracesThatAreKnownEndWell(t *testing.T) {
	t.Parallel()
	for _, sc := range shortest() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for name, h := range kinds() {
				random := uint64(5)
				if name == "log" && !testing.Short() {
					random = 30
				}
				if seed, err := sc.plays(t, h, random); err != nil {
					t.Errorf("%s, seed %d: %v", name, seed, err)
				}
			}
		})
	}
}

func TestTheShortestTracesAreFoundWithoutTheRule(t *testing.T) {
	t.Parallel()
	stories := map[string]scenario{}
	for _, sc := range append(scenarios(), shortest()...) {
		stories[sc.name] = sc
	}
	for _, c := range []struct {
		story, without string
		h              Harness
	}{
		{"stepped_down_host_restarts_beside_a_follower_that_never_heard", "a step-down that survives a restart", bugged(bugs{resumes: true})},
		{"promise_of_an_abandoned_attempt_is_no_entry", "the term of a log is that of its last entry", promisesFirst()},
		{"isolation_arrives_again_after_its_release", "a release is the end of every isolation of its term", obeysLate()},
		{"repair_arrives_when_its_source_is_empty", "a repair copies from nobody who does not stand by its term", anySource()},
		{"restart_of_a_step_down_comes_late", "a node takes no part until its restart is over", hastyInstall()},
		{"floor_is_left_behind_by_a_repair", "a log that is past its floor is evidence", floored()},
		{"stepdown/done_and_nobody_can_be_established", "an undo is under a new term", unfenced()},
	} {
		t.Run(c.story, func(t *testing.T) {
			t.Parallel()
			sc, ok := stories[c.story]
			if !ok {
				t.Fatal("there is no such story")
			}
			seed, err := sc.plays(t, c.h, 40)
			if err == nil {
				t.Fatalf("it passes without this rule: %s", c.without)
			}
			t.Logf("seed %d: %v", seed, err)
		})
	}
}
