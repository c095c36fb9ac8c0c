package reparenttest

import (
	"context"
	"errors"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

var errVeto = errors.New("vetoed by the operator")

// coordinatorStories are about rivals, and about coordinators that die, sleep
// and wake.
func coordinatorStories() []scenario {
	change := func(k int) reparent.Change {
		if k%2 == 0 {
			return reparent.Planned("n2")
		}
		return reparent.Emergency()
	}
	return []scenario{
		{
			name: "coordinator/dies_anywhere_and_another_takes_over", covers: []string{"1", "S3"}, variants: 80,
			script: func(s *script) {
				a := s.coordinator("a")
				a.p.DieAt = s.variant / 2
				a.begin(change(s.variant)).wait()
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "coordinator/sleeps_anywhere_while_another_takes_over_and_wakes", covers: []string{"1", "S1", "S4"},
			needs: Features{Pause: true}, variants: 60,
			script: func(s *script) {
				a := s.coordinator("a")
				first := a.begin(change(s.variant))
				n := 0
				s.reach(func() bool { // about that many of its messages later
					if s.sim.Waiting("req a>* *")+s.sim.Waiting("rep *>a *") > 0 {
						n++
					}
					return n > s.variant/2 || first.over
				})
				a.p.Pause()
				s.let(2e8)
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				a.p.Resume()
				first.wait()
			},
		},
		{
			name: "coordinator/last_message_arrives_again_much_later", covers: []string{"1", "38"},
			needs: Features{Partition: true}, variants: 6,
			script: func(s *script) {
				op := []string{"promise", "install", "follow", "grant", "stepdown", "catchup"}[s.variant]
				s.hold("req a>* " + op)
				a := s.coordinator("a")
				d := a.begin(reparent.Planned("n2"))
				if !s.reach(func() bool { return s.sim.Waiting("req a>* "+op) > 0 || d.over }) || d.over {
					return
				}
				s.sim.Repeat("req a>* " + op)
				s.free()
				d.wait()
				s.coordinator("b").do(reparent.Planned("n3")).ends(reparent.Done)
				s.wrote("n3", 2)
				s.sim.Recall()
				s.let(1e8)
				s.wrote("n3", 1)
			},
		},
		{
			name: "coordinator/three_rivals_that_reach_different_nodes", covers: []string{"2"},
			size: 5, needs: Features{Partition: true}, variants: 4,
			script: func(s *script) {
				a, b, c := s.coordinator("a"), s.coordinator("b"), s.coordinator("c")
				reach := [][2][]leadership.NodeID{ // whom a and b do not reach
					{{"n4", "n5"}, {"n1", "n2"}},
					{{"n3", "n4", "n5"}, {"n1", "n2"}}, // a has too few
					{{"n1"}, {"n1"}},
					{{"n1", "n2"}, {"n4", "n5"}},
				}[s.variant]
				for _, id := range reach[0] {
					s.apart(id, a.p)
				}
				for _, id := range reach[1] {
					s.apart(id, b.p)
				}
				s.hold("req *>registry swap") // all begin on one record, and take one number
				da, db, dc := a.begin(reparent.Emergency()), b.begin(reparent.Emergency()), c.begin(reparent.Emergency())
				s.waits("req c>registry swap")
				s.free()
				da.wait()
				db.wait()
				dc.wait()
			},
		},
		{
			name: "coordinator/one_number_for_two_rivals", covers: []string{"2", "7"}, size: 4, policy: leadership.AtLeast(3),
			needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				a, b := s.coordinator("a"), s.coordinator("b")
				for _, id := range []leadership.NodeID{"n3", "n4"} {
					s.apart(id, a.p)
				}
				for _, id := range []leadership.NodeID{"n1", "n2"} {
					s.apart(id, b.p)
				}
				s.apart("n1", s.procs("n3", "n4")...)
				if s.variant == 1 { // without the registry, nobody learns of the other
					s.sim.Isolate(s.regProc)
				}
				before := s.granted()
				da, db := a.begin(reparent.Emergency()), b.begin(reparent.Emergency())
				da.wait()
				db.wait()
				s.demand(s.granted() == before, "with two of four each, of which three are needed, somebody was granted")
			},
		},
		{
			name: "coordinator/a_duel_settles", covers: []string{"35"},
			script: func(s *script) {
				a, b := s.coordinator("a"), s.coordinator("b")
				for range 4 {
					da, db := a.begin(reparent.Emergency()), b.begin(reparent.Emergency())
					da.wait()
					db.wait()
					if da.rep.Outcome == reparent.Done || db.rep.Outcome == reparent.Done {
						return
					}
				}
				if s.quiet {
					s.fail("after four rounds neither of two rivals has established anybody")
				}
			},
		},
		{
			name: "coordinator/second_planned_change_waits_for_the_first", covers: []string{"2"},
			script: func(s *script) {
				s.hold("req a>n1 stepdown")
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				s.waits("req a>n1 stepdown")
				s.coordinator("b").do(reparent.Planned("n3")).ends(reparent.NotStarted)
				s.free()
				d.ends(reparent.Done)
			},
		},
		{
			name: "coordinator/hook_says_no_at_each_step", covers: []string{"S19"}, variants: 6,
			script: func(s *script) {
				step := []reparent.Step{
					reparent.StepBegin, reparent.StepPrepare, reparent.StepHold, reparent.StepRevoke, reparent.StepPropose, reparent.StepInstall,
				}[s.variant]
				a := s.coordinatorWith("a", func(c *reparent.Config) {
					c.Hooks.Before = func(_ context.Context, e reparent.Event) error {
						if e.Step == step && e.Kind == leadership.KindPlanned {
							return errVeto
						}
						return nil
					}
				})
				d := a.do(reparent.Planned("n2")).never(reparent.Done)
				if s.quiet {
					s.demand(errors.Is(d.err, errVeto), "a veto before %s ended in %v", step, d.err)
					s.demand(d.rep.Outcome == reparent.NotStarted || d.rep.Outcome == reparent.Restored, "a veto before %s left %s\n%s", step, d.rep.Outcome, d.rep)
					s.wrote(d.rep.Leader(), 1)
				}
			},
		},
		{
			name: "coordinator/hook_hangs_at_each_step", covers: []string{"S19"}, variants: 8,
			script: func(s *script) {
				step := []reparent.Step{
					reparent.StepBegin, reparent.StepPrepare, reparent.StepHold, reparent.StepRevoke, reparent.StepPropose, reparent.StepInstall, reparent.StepActivate, reparent.StepGrant,
				}[s.variant]
				release := make(chan struct{})
				a := s.coordinatorWith("a", func(c *reparent.Config) {
					c.Hooks.Before = func(_ context.Context, e reparent.Event) error {
						if e.Step == step && e.Kind == leadership.KindPlanned {
							<-release
						}
						return nil
					}
				})
				d := a.begin(reparent.Planned("n2"))
				s.let(1e9)
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
				close(release)
				d.wait()
			},
		},
		{
			name: "coordinator/whose_terms_are_far_ahead", covers: []string{"44"}, variants: 2,
			script: func(s *script) {
				num := []uint64{1 << 40, ^uint64(0)}[s.variant]
				d := s.ask("tool", func(ctx context.Context, p *Process) error {
					_, err := p.Nodes["n3"].Promise.Promise(ctx, high(num))
					return err
				}).wait()
				if d.err == nil && s.variant == 1 {
					return // a number after which there is none: nobody goes above it, and nothing was broken
				}
				a := s.coordinator("a")
				a.do(reparent.Emergency()) // learns of the number, if not before
				e := a.do(reparent.Emergency()).ends(reparent.Done)
				if s.quiet && d.err == nil {
					s.demand(high(num).Less(e.rep.Term), "term %s is not above %s, which n3 promised", e.rep.Term, high(num))
				}
			},
		},
	}
}
