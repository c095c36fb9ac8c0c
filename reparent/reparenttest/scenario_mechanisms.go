package reparenttest

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// rounds are the mechanisms that need nothing but nodes.
var rounds = []struct {
	name string
	make func(p *Process) (revoke.Revoker, error)
}{
	{"proposal", func(p *Process) (revoke.Revoker, error) {
		return revoke.NewProposal(p.Promisers(), revoke.Options{})
	}},
	{"fence", func(p *Process) (revoke.Revoker, error) {
		return revoke.NewFence(p.Promisers(), revoke.Options{})
	}},
	{"source", func(p *Process) (revoke.Revoker, error) {
		return revoke.NewSource(p.Promisers(), revoke.Options{})
	}},
	{"step down", func(p *Process) (revoke.Revoker, error) {
		push, err := revoke.NewProposal(p.Promisers(), revoke.Options{})
		if err != nil || len(p.StepDowners()) == 0 {
			return push, err
		}
		step, err := revoke.NewStepDown(p.StepDowners())
		if err != nil {
			return nil, err
		}
		return revoke.Then(revoke.Stage{Revoker: step}, revoke.Stage{Revoker: push})
	}},
}

// mechanismStories are about rounds of every kind in every order.
func mechanismStories() []scenario {
	n := len(rounds)
	mix := func(s *script, name string, k int, dies bool) {
		a := s.coordinator(name)
		m, err := rounds[k%n].make(s.process(a.p))
		if err != nil {
			s.fail("%s: %v", rounds[k%n].name, err)
		}
		c := reparent.Emergency()
		c.Revoke = m
		if dies {
			a.p.DieAt = s.variant * 7 % 45
		}
		a.begin(c).wait()
	}
	return []scenario{
		{
			name: "mechanism/every_triple_with_a_crash_in_between", covers: []string{"12"}, size: 4, policy: leadership.AtLeast(3),
			needs: Features{Crash: true}, variants: n * n * n,
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
	}
}
