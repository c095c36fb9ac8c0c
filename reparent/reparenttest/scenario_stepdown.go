package reparenttest

import (
	"context"
	"errors"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// stepDownStories are about leaders that give up in order, and what may go
// wrong half way.
func stepDownStories() []scenario {
	return []scenario{
		{
			name: "stepdown/node_dies_at_every_point_and_leads_no_more", covers: []string{"8"}, needs: Features{Crash: true}, variants: 24,
			script: func(s *script) {
				s.wrote("n1", 1)
				w := s.write("n1")
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				n := 0
				s.reach(func() bool {
					if s.sim.Waiting("* n1 *")+s.sim.Waiting("req *>n1 *")+s.sim.Waiting("rep n1>* *") > 0 {
						n++
					}
					return n > s.variant || d.over
				})
				s.crash("n1")
				s.let(1e7)
				s.restart("n1")
				x := s.write("n1") // must not be completed by a host that leads again by itself
				d.wait()
				w.wait()
				x.wait()
			},
		},
		{
			name: "stepdown/answer_is_lost", covers: []string{"9"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				s.hold("rep n1>a stepdown")
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				s.waits("rep n1>a stepdown")
				s.free()
				s.sim.Discard("rep n1>a stepdown", s.variant == 1)
				d.wait()
				w := s.write("n1").wait()
				s.demand(w.err != nil || s.leader().Leader == "n1", "n1 stepped down, nobody made it leader again, and it acknowledged a write")
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
			},
		},
		{
			name: "stepdown/done_and_nobody_can_be_established", covers: []string{"10", "S12"}, needs: Features{Partition: true},
			script: func(s *script) {
				s.wrote("n1", 2)
				s.hold("req *>n2 install")
				a := s.coordinator("a")
				d := a.begin(reparent.Planned("n2"))
				s.waits("req a>n2 install")
				old := s.leader()
				w := s.write("n1") // an old client tries again all the while
				d.wait()
				w.wait()
				if s.quiet {
					s.demand(d.rep.Outcome == reparent.Restored, "the change ended %s\n%s", d.rep.Outcome, d.rep)
					s.demand(d.rep.Leader() != "" && old.Term.Less(s.leader().Term), "the old leader was not re-established under a new term")
					s.wrote(d.rep.Leader(), 1)
				}
			},
		},
		{
			name: "stepdown/undone_under_the_old_term_is_refused", covers: []string{"11"},
			script: func(s *script) {
				old := s.leader()
				if d := s.coordinator("a").do(reparent.Planned("n2")).ends(reparent.Done); d.rep.Outcome != reparent.Done {
					return
				}
				d := s.ask("operator", func(ctx context.Context, p *Process) error {
					return p.Nodes["n1"].Candidate.Grant(ctx, old.Term)
				}).wait()
				s.demand(d.err != nil, "n1 was granted %s again after it had stepped down", old.Term)
				e := s.ask("operator", func(ctx context.Context, p *Process) error {
					_, err := p.Nodes["n1"].Candidate.Install(ctx, leadership.Marker{Term: old.Term, Leader: "n1", Ruleset: s.ruleset})
					return err
				}).wait()
				s.demand(e.err != nil, "n1 was installed under %s again", old.Term)
				w := s.write("n1").wait()
				s.demand(w.err != nil, "n1 acknowledged a write after it had stepped down")
			},
		},
		{
			name: "stepdown/followers_are_fenced_while_a_commit_waits", covers: []string{"S2"}, needs: Features{Partition: true},
			script: func(s *script) {
				s.hold("req n1>* entries", "rep *>n1 entries")
				w := s.write("n1")
				s.let(1e6)
				s.ask("fencer", func(ctx context.Context, p *Process) error {
					_, e1 := p.Nodes["n2"].Promise.Promise(ctx, high(2))
					_, e2 := p.Nodes["n3"].Promise.Promise(ctx, high(2))
					return errors.Join(e1, e2)
				}).wait()
				s.free()
				d := s.coordinator("a").do(reparent.Planned("n2"))
				w.wait()
				if s.quiet {
					s.demand(d.rep.Outcome != reparent.Unknown, "ended %s\n%s", d.rep.Outcome, d.rep)
				}
			},
		},
		{
			name: "stepdown/client_gives_up_while_its_commit_waits", covers: []string{"S16", "S17"}, needs: Features{Partition: true}, variants: 2,
			script: func(s *script) {
				s.hold("req n1>* entries")
				w := s.write("n1").wait() // its own deadline, the server goes on
				s.demand(w.err != nil, "a write was acknowledged that no follower has")
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				if s.variant == 0 {
					s.let(5e7)
				}
				s.free()
				d.wait()
			},
		},
		{
			name: "stepdown/catch_up_never_finishes_and_writes_go_on", covers: []string{"S12"}, needs: Features{Partition: true},
			script: func(s *script) {
				s.apart("n2", s.procs("n1", "n3")...)
				s.wrote("n1", 3)
				d := s.coordinator("a").begin(reparent.Planned("n2"))
				s.wrote("n1", 2)
				d.wait()
				s.demand(d.rep.Outcome != reparent.Done, "n2 was established without what n1 had completed")
				if s.quiet {
					s.demand(d.rep.Leader() != "", "nobody leads after a change that could not be prepared: %s", d.rep)
					s.wrote(d.rep.Leader(), 1)
				}
			},
		},
		{
			name: "stepdown/reads_at_both_leaders_all_through", covers: []string{"42"}, variants: 3,
			script: func(s *script) {
				s.wrote("n1", 2)
				c := []reparent.Change{reparent.Planned("n2"), reparent.Emergency(), reparent.Refresh()}[s.variant]
				d := s.coordinator("a").begin(c)
				for !d.over && s.writers < 60 {
					r, q, w := s.reads("n1"), s.reads("n2"), s.write("n1")
					s.let(2e6)
					v := s.write("n2")
					v.wait()
					r.wait()
					q.wait()
					w.wait()
				}
				d.wait()
			},
		},
	}
}
