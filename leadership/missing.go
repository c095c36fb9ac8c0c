package leadership

// maxMissing bounds how many alternatives Missing lists, and triesMissing how
// many subsets it looks at: with 64 members the exact answer can be out of
// reach, and then the first that suffices is shown.
const (
	maxMissing   = 8
	triesMissing = 1 << 16
)

// Missing returns the smallest further sets of nodes that would make the round
// sufficient if each of them promised and was read, nil when nothing is
// missing. There may be several of one size; at most eight are listed. It is
// for people and for pre-flight checks.
func (r *Round) Missing() [][]NodeID {
	if !r.minted() {
		return nil
	}
	have := r.willing()
	enough := func(more Set) bool {
		if _, _, ok := r.uncovered(r.blocked|more, r.leased.Minus(more)); ok {
			return false
		}
		if _, _, ok := r.uncovered(r.read|r.forgone(r.read|more)|more, 0); ok {
			return false
		}
		return r.anyCandidate(have|more, r.read|more)
	}
	if enough(0) {
		return nil
	}
	var all Set
	for _, rules := range r.rules {
		all |= rules.members
	}
	open := all.Minus(r.read & have)
	tries := 0
	for size := 1; size <= open.Len(); size++ {
		var found [][]NodeID
		subsets(open, size, func(s Set) bool {
			tries++
			if enough(s) {
				found = append(found, r.cohort.Names(s))
			}
			return len(found) < maxMissing && tries < triesMissing
		})
		if len(found) > 0 {
			return found
		}
		if tries >= triesMissing {
			break
		}
	}
	return [][]NodeID{r.cohort.Names(r.shrink(open, enough))}
}

// shrink drops what is not needed, in order, from a set that suffices.
func (r *Round) shrink(s Set, enough func(Set) bool) Set {
	for m := range s.All() {
		if enough(s.Without(m)) {
			s = s.Without(m)
		}
	}
	return s
}

// anyCandidate reports whether some node of willing that was read could be
// established.
func (r *Round) anyCandidate(willing, read Set) bool {
	for m := range (willing & read).All() {
		ok := !r.seen[m].belowFloor
		for _, rules := range r.demands() {
			ok = ok && rules.leaders.Has(m) && rules.Durable(m, willing)
		}
		if ok {
			return true
		}
	}
	return false
}

// subsets yields the subsets of s of the given size until f says stop.
func subsets(s Set, size int, f func(Set) bool) bool {
	if size == 0 {
		return f(0)
	}
	for s.Len() >= size {
		m := s.first()
		s = s.Without(m)
		if !subsets(s, size-1, func(t Set) bool { return f(t.With(m)) }) {
			return false
		}
	}
	return true
}
