package reparenttest

import (
	"math/rand/v2"
	"slices"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// drawCohort lets some of the hosts be no members at first: they join in runs
// in which rulesets change, and are observers in all others.
func (s *shape) drawCohort(seed uint64, h Harness, f Features) {
	rng := rand.New(rand.NewPCG(seed, 3))
	s.alone = h.alone
	if h.Policy != nil || f.Nodes > 0 || h.reshape != nil {
		return // some policies cannot do with fewer; who makes the shape knows its size
	}
	switch {
	case s.reforms && rng.IntN(4) > 0:
		s.cohort = rng
		s.size = 3 + rng.IntN(3)
		s.few = 2 + rng.IntN(s.size-1)
		s.policy = leadership.Majority()
		switch {
		case h.alone && rng.IntN(4) == 0:
			s.few = 1
		case rng.IntN(2) == 0:
			s.policy = leadership.AtLeast(2)
		}
	case !s.reforms && rng.IntN(6) == 0:
		s.few = s.size
		s.size++
	}
}

// drawMembers makes a change one of the members, or leaves it: more, fewer,
// others, or some of them ineligible.
func (s *shape) drawMembers(m *move) {
	rng := s.cohort
	if rng == nil || m.change.Kind != leadership.KindRuleset && rng.IntN(3) > 0 {
		return
	}
	least := 2
	if s.alone {
		least = 1
	}
	k := least + rng.IntN(s.size-least+1)
	ids := rng.Perm(s.size)
	if rng.IntN(4) > 0 { // without the leader it is refused, and n1 is the most likely one
		ids = append([]int{0}, slices.DeleteFunc(ids, func(i int) bool { return i == 0 })...)
	}
	ids = ids[:k]
	slices.Sort(ids)
	policies := []string{"majority", "majority", "all", "at-least(2)", "at-least(3)"}
	rs := leadership.Ruleset{Policy: policies[rng.IntN(min(k, 4)+1)]}
	if k == 1 {
		rs.Policy = "majority"
	}
	for _, i := range ids {
		rs.Members = append(rs.Members, leadership.Node{ID: nodeID(i), Ineligible: i > 0 && rng.IntN(6) == 0})
	}
	m.change = reparent.SetRuleset(rs)
}

// members completes the members that were drawn for a ruleset: with none it has
// the first ones.
func (w *world) members(rs leadership.Ruleset) leadership.Ruleset {
	if len(rs.Members) == 0 {
		return leadership.Ruleset{Policy: rs.Policy, Members: w.ruleset.Members}
	}
	all := w.h.members(len(w.ids))
	out := leadership.Ruleset{Policy: rs.Policy}
	for _, m := range rs.Members {
		n := all[w.index(m.ID)]
		n.Ineligible = n.Ineligible || m.Ineligible
		out.Members = append(out.Members, n)
	}
	return out
}

// sawMembers counts how a cohort changed.
func (w *world) sawMembers(old, now leadership.Ruleset) {
	if old.IsZero() || old.Version == now.Version {
		return
	}
	if len(old.Members) < len(now.Members) {
		w.count("grown")
	}
	if len(now.Members) < len(old.Members) {
		w.count("shrunk")
	}
	joined := slices.ContainsFunc(now.Members, func(m leadership.Node) bool { return !old.Has(m.ID) })
	left := slices.ContainsFunc(old.Members, func(m leadership.Node) bool { return !now.Has(m.ID) })
	if joined && left {
		w.count("members replaced")
	}
	if slices.ContainsFunc(now.Members, func(m leadership.Node) bool { return m.Ineligible }) {
		w.count("a member that may not lead")
	}
}

// sawFollowed counts observers: who follows, and is no member.
func (w *world) sawFollowed(k *look) {
	if r := w.record().Ruleset; !r.IsZero() && !r.Has(k.id) {
		w.count("an observer followed")
	}
}
