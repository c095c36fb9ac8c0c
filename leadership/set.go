package leadership

import (
	"iter"
	"math/bits"
)

// MaxMembers is the most members one bit space holds.
const MaxMembers = 64

// Member is a node's index in a Cohort. Indices are handed out in order and
// never reused, so that two rulesets of one cohort share one bit space. It is
// meaningful only beside the Cohort it came from; whatever is stored or sent
// carries NodeIDs.
type Member uint8

// Set is a set of Members. The zero Set is empty. Sets are values.
type Set uint64

// SetOf returns the set of the given members.
func SetOf(ms ...Member) Set {
	var s Set
	for _, m := range ms {
		s = s.With(m)
	}
	return s
}

// Has reports whether m is in s.
func (s Set) Has(m Member) bool { return m < MaxMembers && s&(1<<m) != 0 }

// With returns s and m.
func (s Set) With(m Member) Set {
	if m >= MaxMembers {
		return s
	}
	return s | 1<<m
}

// Without returns s less m.
func (s Set) Without(m Member) Set {
	if m >= MaxMembers {
		return s
	}
	return s &^ (1 << m)
}

// Len returns how many members s has.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// Minus returns the members of s that are not in t.
func (s Set) Minus(t Set) Set { return s &^ t }

// Covers reports whether every member of t is in s.
func (s Set) Covers(t Set) bool { return t&^s == 0 }

// All yields the members in index order.
func (s Set) All() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for s != 0 {
			m := s.first()
			if !yield(m) {
				return
			}
			s = s.Without(m)
		}
	}
}

// first returns the lowest member of a set that is not empty.
func (s Set) first() Member { return Member(bits.TrailingZeros64(uint64(s))) }
