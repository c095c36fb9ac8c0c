package leadershiptest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

// maxNodes bounds the cohort that Policy enumerates: every pair of sets is
// looked at for every leader.
const maxNodes = 12

// Policy checks a durability policy by enumeration: it is monotone, pure and
// self, its Spec says everything, and the test of revocation (no leader can
// complete with the nodes that were not reached) is the same as having reached
// a node of every durable set.
//
// cat reads the policy's Spec; nil knows the built-in policies. nodes is the
// cohort, at most 12; none means a series of cohorts of one to six nodes in
// three zones with different weights, of which those that the policy refuses
// with a *leadership.PolicyError are left out.
func Policy(t *testing.T, p leadership.Policy, cat *leadership.Catalog, nodes ...leadership.Node) {
	t.Helper()
	if p == nil {
		t.Fatal("the policy is nil")
	}
	cohorts := [][]leadership.Node{nodes}
	if len(nodes) == 0 {
		cohorts = nil
		for n := 1; n <= 6; n++ {
			cohorts = append(cohorts, Nodes(n))
		}
	}
	used := 0
	for _, nodes := range cohorts {
		s, err := newSubject(p, cat, nodes)
		var refused *leadership.PolicyError
		if errors.As(err, &refused) && len(cohorts) > 1 {
			continue
		}
		if err != nil {
			t.Errorf("%d nodes: %v", len(nodes), err)
			continue
		}
		used++
		for _, c := range checks {
			t.Run(fmt.Sprintf("%s/%d", c.name, len(nodes)), func(t *testing.T) {
				if err := c.check(s); err != nil {
					t.Errorf("%s: %v", c.rule, err)
				}
			})
		}
	}
	if used == 0 {
		t.Errorf("policy %q can be used with no cohort that was tried: pass the nodes it is made for", p.Spec())
	}
}

// Nodes returns n nodes named n0, n1, ... in three zones, with weights 1 to 3.
func Nodes(n int) []leadership.Node {
	out := make([]leadership.Node, n)
	for i := range out {
		out[i] = leadership.Node{
			ID:     leadership.NodeID(fmt.Sprintf("n%d", i)),
			Zone:   fmt.Sprintf("z%d", i%3),
			Weight: 1 + i%3,
		}
	}
	return out
}

// subject is one policy on one cohort.
type subject struct {
	policy leadership.Policy
	cat    *leadership.Catalog
	cohort *leadership.Cohort
	rule   leadership.Rule
	rules  *leadership.Rules
}

func newSubject(p leadership.Policy, cat *leadership.Catalog, nodes []leadership.Node) (*subject, error) {
	if len(nodes) > maxNodes {
		return nil, fmt.Errorf("at most %d nodes can be enumerated", maxNodes)
	}
	c, err := leadership.NewCohort(nodes...)
	if err != nil {
		return nil, err
	}
	rule, err := p.Compile(c, c.All())
	if err != nil {
		return nil, err
	}
	if rule == nil {
		return nil, errors.New("it compiled to neither a rule nor an error")
	}
	rs := leadership.Ruleset{Version: 1, Members: nodes, Policy: p.Spec()}
	rules, err := rs.Compile(cat)
	if err != nil {
		return nil, err
	}
	return &subject{policy: p, cat: cat, cohort: c, rule: rule, rules: rules}, nil
}

var checks = []struct {
	name, rule string
	check      func(*subject) error
}{
	{"monotone", "what is durable stays durable with one node more", (*subject).monotone},
	{"self", "nothing is durable without the leader's own node", (*subject).self},
	{"pure", "asked again, or after other questions, the answer is the same", (*subject).pure},
	{"spec", "Spec says everything that Compile depends on", (*subject).spec},
	{"could", "Rules.Could is a loop over Durable", (*subject).could},
	{"complement", "revoked means: a node of every durable set was reached", (*subject).complement},
}

// each calls f with every leader and every set, until f returns an error.
func (s *subject) each(f func(l leadership.Member, have leadership.Set) error) error {
	for l := range s.cohort.All().All() {
		for have := leadership.Set(0); have <= s.cohort.All(); have++ {
			if err := f(l, have); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *subject) text(l leadership.Member, have leadership.Set) string {
	return fmt.Sprintf("%s leads and %v have it", s.cohort.Node(l).ID, s.cohort.Names(have))
}

func (s *subject) monotone() error {
	return s.each(func(l leadership.Member, have leadership.Set) error {
		if !s.rule.Durable(l, have) {
			return nil
		}
		for m := range s.cohort.All().Minus(have).All() {
			if !s.rule.Durable(l, have.With(m)) {
				return fmt.Errorf("durable when %s, but no longer when %s has it too", s.text(l, have), s.cohort.Node(m).ID)
			}
		}
		return nil
	})
}

func (s *subject) self() error {
	return s.each(func(l leadership.Member, have leadership.Set) error {
		if !have.Has(l) && s.rule.Durable(l, have) {
			return fmt.Errorf("durable when %s", s.text(l, have))
		}
		return nil
	})
}

func (s *subject) pure() error {
	var first []bool
	if err := s.each(func(l leadership.Member, have leadership.Set) error {
		d := s.rule.Durable(l, have)
		if s.rule.Durable(l, have) != d {
			return fmt.Errorf("two answers in a row differ when %s", s.text(l, have))
		}
		first = append(first, d)
		return nil
	}); err != nil {
		return err
	}
	again, err := s.policy.Compile(s.cohort, s.cohort.All())
	if err != nil {
		return fmt.Errorf("compiled a second time: %w", err)
	}
	i := 0
	return s.each(func(l leadership.Member, have leadership.Set) error {
		if s.rule.Durable(l, have) != first[i] {
			return fmt.Errorf("the answer changed when %s", s.text(l, have))
		}
		if again.Durable(l, have) != first[i] {
			return fmt.Errorf("compiled a second time, the answer is another when %s", s.text(l, have))
		}
		i++
		return nil
	})
}

func (s *subject) spec() error {
	if a, b := s.policy.Spec(), s.policy.Spec(); a != b || a == "" {
		return fmt.Errorf("the spec is %q and then %q", a, b)
	}
	p, err := s.cat.ParsePolicy(s.policy.Spec())
	if err != nil {
		return err
	}
	if got := p.Spec(); got != s.policy.Spec() {
		return fmt.Errorf("%q is read as %q", s.policy.Spec(), got)
	}
	read, err := p.Compile(s.cohort, s.cohort.All())
	if err != nil {
		return fmt.Errorf("%q as read: %w", s.policy.Spec(), err)
	}
	return s.each(func(l leadership.Member, have leadership.Set) error {
		if read.Durable(l, have) != s.rule.Durable(l, have) {
			return fmt.Errorf("%q as read is another policy when %s", s.policy.Spec(), s.text(l, have))
		}
		return nil
	})
}

func (s *subject) could() error {
	all := s.cohort.All()
	for have := leadership.Set(0); have <= all; have++ {
		want := leadership.Set(0)
		for l := range s.rules.Leaders().All() {
			if s.rule.Durable(l, have) {
				want = want.With(l)
			}
		}
		if got, ok := s.rules.Could(s.rules.Leaders(), have); ok != (want != 0) || ok && !want.Has(got) {
			return fmt.Errorf("with %v Could says %v %v, but those who can are %v",
				s.cohort.Names(have), s.cohort.Node(got).ID, ok, s.cohort.Names(want))
		}
	}
	return nil
}

func (s *subject) complement() error {
	all := s.cohort.All()
	var durable []leadership.Set
	for l := range s.rules.Leaders().All() {
		for have := leadership.Set(0); have <= all; have++ {
			if s.rule.Durable(l, have) {
				durable = append(durable, have)
			}
		}
	}
	for reached := leadership.Set(0); reached <= all; reached++ {
		hit := true
		for _, d := range durable {
			hit = hit && d&reached != 0
		}
		if _, can := s.rules.Could(s.rules.Leaders(), all.Minus(reached)); can == hit {
			return fmt.Errorf("reached %v: a node of every durable set: %v, somebody can still complete: %v",
				s.cohort.Names(reached), hit, can)
		}
	}
	if len(durable) == 0 {
		return errors.New("no eligible leader has a durable set")
	}
	return nil
}
