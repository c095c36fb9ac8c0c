package reparenttest

import (
	"context"
	"errors"
	"slices"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// engineStories are about what servers do behind the back of their adapters,
// and about people at servers.
func engineStories() []scenario {
	return []scenario{
		{
			name: "engine/statement_of_a_person_at_a_follower", covers: []string{"S14", "S22"}, needs: Features{Crash: true}, variants: 6,
			applies: func(h Harness) string {
				if !h.ours || !h.traits.Relay {
					return "it needs a simulated server that logs statements by itself: MariaDBLike"
				}
				return ""
			},
			script: func(s *script) {
				// n2 holds something that nobody else has, and the others what it
				// has not: neither log contains the other.
				s.wrote("n1", 1)
				s.let(1e7)
				s.statement("n2")
				if s.variant%2 == 1 {
					s.write("n1").wait() // it does not get that any more
				}
				strays := s.strayed("n2")
				a := s.coordinator("a")
				switch s.variant / 2 {
				case 0: // the statement is seen, and mended, before it matters
					s.sweep(a)
					if s.quiet {
						s.demand(!s.strayed("n2"), "n2 still has a transaction of its own after a sweep")
					}
					a.do(reparent.Planned("n2")).ends(reparent.Done)
				case 1:
					d := a.do(reparent.Planned("n3"))
					s.undecided(d, strays, "n1", "n3")
					s.sweep(a)
				default: // and nobody is left who could say which is right
					s.crash("n1")
					s.undecided(a.do(reparent.Emergency()), strays, "n3")
					s.crash("n2") // so somebody has to
					s.restart("n1")
					s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
					s.restart("n2")
					s.sweep(a)
				}
				s.coordinator("c").do(reparent.Planned("n2")).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "engine/promoted_before_its_setting_is_in_force", covers: []string{"S11"}, needs: Features{Partition: true}, variants: 2,
			applies: func(h Harness) string {
				if !h.ours || !h.traits.Opens {
					return "it needs a simulated server that reads its settings when it is told to: PostgreSQLLike"
				}
				return ""
			},
			script: func(s *script) {
				s.wrote("n1", 1)
				s.hold("local n2 reload")
				c := []reparent.Change{reparent.Planned("n2"), reparent.Emergency()}[s.variant]
				c.To = "n2"
				d := s.coordinator("a").begin(c)
				s.waitsOrOver("local n2 reload", d)
				s.let(5e7)
				s.hold("req n2>* entries", "req n2>* support")
				w, r := s.write("n2").wait(), s.reads("n2").wait()
				s.demand(w.err != nil, "n2 acknowledged a write that nobody else has")
				s.demand(r.err != nil, "n2 confirmed a read before its setting was in force")
				s.free()
				d.wait()
				s.coordinator("b").do(reparent.Resume()).ends(reparent.Done)
				s.wrote(s.leader().Leader, 1)
			},
		},
		{
			name: "engine/wait_of_a_commit_is_ended", covers: []string{"S21", "S17"}, needs: Features{Partition: true}, variants: 3,
			script: func(s *script) {
				// n1 stands down with a commit that waits: the wait is killed, or
				// ends with its leadership, and the commit is there for all that.
				s.hold("req n1>* entries")
				w := s.write("n1")
				s.let(2e6)
				c := []reparent.Change{reparent.Planned("n2"), reparent.Emergency(), reparent.Refresh()}[s.variant]
				d := s.coordinator("a").begin(c)
				s.reach(func() bool { return w.over || d.over })
				lost := s.leader().Leader == "n1" && !s.has("n2", w) && !s.has("n3", w)
				s.demand(!w.over || w.err != nil || !lost, "a write was acknowledged that no follower has")
				s.demand(!w.over || !leadership.NotExecuted(w.err) || !s.has("n1", w), "what is in the log of n1 was refused as not executed: %v", w.err)
				s.free()
				d.wait()
				w.wait()
			},
		},
	}
}

// statement is run at a node by a person.
func (s *script) statement(id leadership.NodeID) {
	d := s.ask("person", func(ctx context.Context, p *Process) error {
		_, err := Send(ctx, p, id, "statement", func(ctx context.Context, peer Node) (struct{}, error) {
			return struct{}{}, peer.Client.(*store).statement(ctx)
		})
		return err
	}).wait()
	if s.quiet {
		s.demand(d.err == nil && s.strayed(id), "the statement at %s: %v", id, d.err)
	}
}

// strayed reports whether a node has a transaction of its own.
func (s *script) strayed(id leadership.NodeID) bool {
	n, ok := s.hosts[id].node.Client.(*store)
	return ok && n.disk.own > 0
}

// undecided demands, as written, that a change which met logs that diverge left
// open which is right, and named whose they are.
func (s *script) undecided(d *deed, strays bool, others ...leadership.NodeID) {
	if !s.quiet || !strays {
		return
	}
	s.demand(d.rep.Outcome != reparent.Done, "n2 and %v have logs that diverge, and the change ended %s\n%s", others, d.rep.Outcome, d.rep)
	var says *leadership.DivergedError
	s.demand(errors.As(d.err, &says), "which logs diverge is not said: %v", d.err)
	var named []leadership.NodeID
	for _, p := range says.Positions {
		named = append(named, p.Node)
	}
	for _, id := range append(others, "n2") {
		s.demand(slices.Contains(named, id), "the logs of n2 and %v diverge, and the error names %v", others, named)
	}
}
