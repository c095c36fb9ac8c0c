package reparenttest

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// series is a policy under which each leader needs others than the next one
// does: n1 needs n2 and n3, n4 needs n5 or n6, and nobody else may lead.
type series struct{}

// Spec implements leadership.Policy.
func (series) Spec() string { return "series" }

// Compile implements leadership.Policy.
func (series) Compile(c *leadership.Cohort, _ leadership.Set) (leadership.Rule, error) {
	var r seriesRule
	for i := range r {
		m, ok := c.Member(nodeID(i))
		if !ok {
			return nil, &leadership.PolicyError{Spec: "series", Reason: "it is for n1 to n6"}
		}
		r[i] = m
	}
	return r, nil
}

type seriesRule [6]leadership.Member

// Durable implements leadership.Rule.
func (r seriesRule) Durable(leader leadership.Member, have leadership.Set) bool {
	switch {
	case !have.Has(leader):
		return false
	case leader == r[0]:
		return have.Has(r[1]) && have.Has(r[2])
	case leader == r[3]:
		return have.Has(r[4]) || have.Has(r[5])
	}
	return false
}

// seriesSuffices says the same of nodes by their numbers, a bit each, in other
// words.
func seriesSuffices(leader int, have uint) bool {
	for _, set := range map[int][]uint{0: {0b000111}, 3: {0b011000, 0b101000}}[leader] {
		if have&set == set {
			return true
		}
	}
	return false
}

func seriesStory() scenario {
	const all = 1 << 6
	return scenario{
		name: "policy/every_leader_needs_others", covers: []string{"6"}, size: 6, policy: series{},
		needs: Features{Partition: true}, variants: 2 * all,
		applies: func(h Harness) string {
			if h.Catalog != nil {
				return "it brings a policy of its own, and Harness.Catalog is set"
			}
			return ""
		},
		parts: func(h *Harness) {
			h.Catalog = &leadership.Catalog{}
			_ = h.Catalog.RegisterPolicy("series", func(string) (leadership.Policy, error) { return series{}, nil })
		},
		members: func(ms []leadership.Node) {
			for i := range ms {
				ms[i].Ineligible = i != 0 && i != 3
			}
		},
		script: func(s *script) {
			// The leader, and every set of nodes that a coordinator reaches.
			if s.variant >= all {
				s.coordinator("first").do(reparent.Planned("n4")).ends(reparent.Done)
			}
			reached := uint(s.variant % all)
			a := s.coordinator("a")
			for i, id := range s.ids {
				if reached&(1<<i) == 0 {
					s.apart(id, a.p)
				}
			}
			revoked := !seriesSuffices(0, (all-1)&^reached) && !seriesSuffices(3, (all-1)&^reached)
			can := seriesSuffices(0, reached) || seriesSuffices(3, reached)
			before := s.granted()
			c := reparent.Emergency()
			c.Force = s.variant%3 == 0
			d := a.do(c)
			s.demand(revoked || s.granted() == before, "granted by a coordinator that reaches %06b (n1 last), beside which a leader can go on\n%s", reached, d.rep)
			if s.quiet {
				s.demand((d.rep.Outcome == reparent.Done) == (revoked && can), "reached %06b (n1 last): no leader can go on: %t, one can be established: %t, and the change ended %s\n%s",
					reached, revoked, can, d.rep.Outcome, d.rep)
			}
		},
	}
}
