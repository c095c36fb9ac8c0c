package leadership

import "slices"

// survivors is the last resort of a waiver: the ruleset to go on with, in place of
// those that nobody can satisfy any more.
type survivors struct {
	want  Ruleset // as the person gave it
	rules *Rules
	gone  Set // by the same person's word
}

// outlive takes in the ruleset of a waiver.
func (r *Round) outlive(w Waiver, gone Set) error {
	if r.survivors != nil {
		return &WaiverError{"an earlier one names a ruleset to go on with already"}
	}
	rs := w.Ruleset.clone()
	rs.Version = max(rs.Version, 1)
	for _, n := range rs.Members {
		if !slices.ContainsFunc(r.rules, func(rules *Rules) bool { return rules.Ruleset.Has(n.ID) }) {
			return &WaiverError{"node " + string(n.ID) + " of the ruleset to go on with is no member now: go on with survivors, and bring others in afterwards"}
		}
	}
	rules, err := rs.CompileIn(r.cohort, r.catalog)
	if err != nil {
		return err
	}
	r.survivors = &survivors{want: w.Ruleset.clone(), rules: rules, gone: gone}
	return nil
}

// excused reports whether a ruleset in force need not be satisfied: a person said
// what to go on with instead, and nobody can satisfy it without nodes that are gone.
func (r *Round) excused(rules *Rules) bool {
	if r.survivors == nil {
		return false
	}
	_, ok := rules.Could(rules.leaders, rules.members.Minus(r.survivors.gone))
	return !ok
}

// demands returns the rulesets under which a marker has to become durable.
func (r *Round) demands() []*Rules {
	if r.survivors == nil {
		return r.rules
	}
	out := slices.DeleteFunc(slices.Clone(r.rules), r.excused)
	return append(out, r.survivors.rules)
}

// resort returns why the ruleset of a waiver cannot take the place of what is in
// force, nil when it can, or when no waiver has one.
func (r *Round) resort() error {
	s := r.survivors
	if s == nil {
		return nil
	}
	if back := s.gone & r.answered; back != 0 {
		return &WaiverError{"node " + string(r.cohort.Node(back.first()).ID) + " has answered: it is not gone"}
	}
	if !slices.ContainsFunc(r.rules, r.excused) {
		return &WaiverError{"the ruleset in force can be satisfied without " + setText(r.cohort.Names(s.gone)) + ": go on without a Ruleset, and change it afterwards"}
	}
	var members Set
	for _, rules := range r.rules {
		members |= rules.members
	}
	if mute := members.Minus(s.gone | r.willing()&r.told); mute != 0 {
		return &WaiverError{"not heard from " + setText(r.cohort.Names(mute)) + ", which may hold more than the others: reach it, or declare it gone as well"}
	}
	return nil
}

// successor returns the ruleset that the marker of a last resort carries, and
// whether it is in force already: an attempt before this one may have come so far.
func (r *Round) successor() (rs Ruleset, inForce bool, err error) {
	rs = r.survivors.want
	var highest uint64
	var newest []*Rules // the rulesets of that version
	for _, rules := range r.rules {
		switch v := rules.Ruleset.Version; {
		case v > highest || newest == nil:
			highest, newest = v, []*Rules{rules}
		case v == highest:
			newest = append(newest, rules)
		}
	}
	// Only the newest, and no other draft beside it: gone back to an older one,
	// whoever knows the newer to be complete would ignore the one in use.
	if len(newest) == 1 && !r.excused(newest[0]) {
		have := newest[0].Ruleset
		if have.Policy == rs.Policy && slices.Equal(have.Members, rs.Members) && (rs.Version == 0 || rs.Version == have.Version) {
			return have.clone(), true, nil
		}
	}
	switch {
	case rs.Version == 0:
		rs.Version = highest + 1
	case rs.Version <= highest:
		return rs, false, &TransitionError{"change the ruleset", "its version must be above every one in force"}
	}
	return rs, false, nil
}

// waived returns what a marker of this ruleset must keep from coming into force
// again: what it replaces, and what one before it replaced that is not known to be
// complete.
func (r *Round) waived() []Ruleset {
	var out []Ruleset
	for _, rs := range r.lifted {
		if rs.Version >= r.decided {
			out = append(out, rs.clone())
		}
	}
	for _, rules := range r.rules {
		if r.excused(rules) {
			out = append(out, rules.Ruleset.clone())
		}
	}
	return out
}

// candidacy returns why a node cannot be established although both tests pass.
func (r *Round) candidacy(to NodeID, unfit []NodeID) error {
	m, ok := r.cohort.Member(to)
	if !ok {
		return &UnknownNodeError{Node: to}
	}
	willing := r.willing()
	for _, id := range unfit {
		if u, ok := r.cohort.Member(id); ok && u != m {
			willing = willing.Without(u)
		}
	}
	switch {
	case !willing.Has(m):
		return &NotReadyError{Node: to, Reason: "it did not promise term " + r.term.String()}
	case r.seen[m].belowFloor:
		return &BarredError{Node: to, Reason: "it is below its floor: it dropped entries for a repair and has not got them back"}
	case !r.read.Has(m):
		return &NotReadyError{Node: to, Reason: "its position was not read"}
	}
	if err := r.resort(); err != nil {
		return err
	}
	for _, rules := range r.demands() {
		if !rules.leaders.Has(m) {
			return &IneligibleError{Node: to, Reason: "it is not an eligible member of the ruleset in force"}
		}
		if have := willing & rules.members; !rules.Durable(m, have) {
			return &NotReadyError{Node: to, Reason: "its marker cannot become durable on the nodes that promised, " + setText(r.cohort.Names(have)) + ": reach one of " + setText(r.cohort.Names(rules.members.Minus(have)))}
		}
	}
	return nil
}
