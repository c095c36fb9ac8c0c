package leadership

import "slices"

// The rulesets in force are those under which a leadership below the round's
// term could still complete something. They grow while logs are read, and shrink
// when one is known to be complete.

// force puts a ruleset in force, unless it is already or a later one is known
// to be complete.
func (r *Round) force(rs Ruleset) error {
	if rs.Version < r.decided || rs.Version == r.decided && r.decided > 0 {
		return nil // earlier than, or another draft beside, one that is complete
	}
	return r.enter(rs)
}

// enter puts a ruleset in force unless it is already, or was lifted.
func (r *Round) enter(rs Ruleset) error {
	if slices.ContainsFunc(r.lifted, rs.Equal) {
		return nil
	}
	for _, have := range r.rules {
		if have.Ruleset.Equal(rs) {
			return nil
		}
	}
	c, err := r.cohort.cover(rs.Members)
	if err != nil {
		return err
	}
	compiled, err := rs.CompileIn(c, r.catalog)
	if err != nil {
		return err
	}
	known := len(r.seen)
	r.cohort = c
	r.seen = append(r.seen, make([]witness, c.Len()-known)...)
	r.rules = append(r.rules, compiled)
	for m := known; m < c.Len(); m++ {
		r.certify(Member(m))
	}
	return nil
}

// decide notes that a ruleset is known to be complete. It became durable under
// the one before it, so leaderships under an earlier ruleset, and other drafts
// of the same version, are dead.
func (r *Round) decide(rs Ruleset) error {
	if rs.Version < r.decided {
		return nil
	}
	if err := r.enter(rs); err != nil {
		return err
	}
	if rs.Version == r.decided {
		// Two complete rulesets of one version cannot be. Should a node say
		// so all the same, both stay in force.
		return nil
	}
	r.decided = rs.Version
	r.rules = slices.DeleteFunc(r.rules, func(have *Rules) bool {
		v := have.Ruleset.Version
		return v < r.decided || v == r.decided && !have.Ruleset.Equal(rs)
	})
	return nil
}

// doubt takes in that a node knows a ruleset to be complete, in a round that was
// told who leads. With a registry in Shortcut mode it is activation that makes a
// ruleset the only one: a marker that became durable under an attempt which died
// before it was activated may be missed by a later attempt, whose leader goes on
// under the ruleset of the record. So only the record's own takes others out of
// force. One that the record should have and has not may also mean that the record
// is old, and so does a marker that is complete above the recorded leadership: of a
// registry that was restored from a copy, say. Then nobody is known to lead.
func (r *Round) doubt(m Marker) error {
	if r.known != nil && r.known.Term.Less(m.Term) {
		r.known = nil
	}
	rs := m.Ruleset
	if slices.ContainsFunc(r.initial, rs.Equal) {
		return r.decide(rs)
	}
	if slices.ContainsFunc(r.initial, func(own Ruleset) bool { return rs.Version < own.Version }) {
		return r.force(rs)
	}
	r.known = nil
	return r.enter(rs)
}

// sight lets the rulesets in force grow (or shrink) by what a log shows.
func (r *Round) sight(ss []Sighting) error {
	for _, s := range ss {
		if s.Marker.Ruleset.IsZero() {
			continue
		}
		if slices.ContainsFunc(r.initial, s.Marker.Ruleset.Equal) {
			r.lift(s.Marker)
		}
		if s.Decided && r.pinned {
			if err := r.doubt(s.Marker); err != nil {
				return err
			}
			continue
		}
		if s.Decided {
			if err := r.decide(s.Marker.Ruleset); err != nil {
				return err
			}
			r.lift(s.Marker)
			continue
		}
		for _, rs := range append([]Ruleset{s.Marker.Ruleset}, s.Marker.Over...) {
			if err := r.force(rs); err != nil {
				return err
			}
		}
		if err := r.retain(s.Marker.Waived); err != nil {
			return err
		}
	}
	return nil
}

// retain puts in force what a marker that may have been given up would have
// replaced by a person's word: somebody may lead under it, and the log may show it
// nowhere else. What is below a ruleset that the round was started with is over,
// since that one has been in force; the nodes that it needs are gone, and in force
// it would stand in everybody's way.
func (r *Round) retain(waived []Ruleset) error {
	for _, rs := range waived {
		if slices.ContainsFunc(r.initial, func(own Ruleset) bool { return rs.Version < own.Version }) {
			continue
		}
		if err := r.force(rs); err != nil {
			return err
		}
	}
	return nil
}

// lift takes out of force, for good, the rulesets that a marker replaced by a
// person's word. That a log shows such a marker is not enough, since its attempt
// may have been abandoned, and another one may have gone on under the ruleset that
// it would have replaced: it must be known to be complete, or its ruleset from the
// record, which is written before anybody may lead under it.
//
// Only rulesets below the marker's own are lifted, which is in force, or a later
// one is: what is left is never nothing.
func (r *Round) lift(m Marker) {
	for _, rs := range m.Waived {
		if rs.Version >= m.Ruleset.Version || slices.ContainsFunc(r.lifted, rs.Equal) {
			continue
		}
		r.lifted = append(r.lifted, rs.clone())
		r.rules = slices.DeleteFunc(r.rules, func(have *Rules) bool { return have.Ruleset.Equal(rs) })
	}
}
