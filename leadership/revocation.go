package leadership

import "time"

// Revocation is the proof that every leadership below a term is revoked and
// that all it may have completed was discovered. Only a Round that passes both
// tests mints one; the zero value is refused by everything that takes it.
type Revocation struct {
	round     *Round
	selection Position
	donors    []NodeID
}

// Revocation mints the proof. It returns the error of Revoked or Discovered,
// or a *DivergedError when the logs that were read disagree within the
// highest accepted term.
func (r *Round) Revocation() (*Revocation, error) {
	if err := r.Revoked(); err != nil {
		return nil, err
	}
	if err := r.Discovered(); err != nil {
		return nil, err
	}
	top, donors, err := best(r.Reads())
	if err != nil {
		return nil, err
	}
	return &Revocation{round: r, selection: top, donors: donors}, nil
}

// Term returns the term below which everything is revoked.
func (v *Revocation) Term() Term { return v.round.term }

// Selection returns the position of the log that every later leadership must
// contain: the greatest by accepted term, then by length, of all that were
// read.
func (v *Revocation) Selection() Position { return v.selection }

// Donors returns the nodes that hold the selected log.
func (v *Revocation) Donors() []NodeID { return v.donors }

// Reads returns the positions that were read in the round.
func (v *Revocation) Reads() []NodePosition { return v.round.Reads() }

// LeaseLeft is Round.LeaseLeft.
func (v *Revocation) LeaseLeft() time.Duration { return v.round.LeaseLeft() }

// Ready is Round.Ready.
func (v *Revocation) Ready(to NodeID) error { return v.round.Ready(to) }

// Rulesets returns the rulesets in force.
func (v *Revocation) Rulesets() []Ruleset { return v.round.Rulesets() }

// Propose binds the term to one candidate and one selected log. next changes
// the ruleset with this leadership; nil keeps the one of the selected log.
//
// A term carries one proposal. Asking again for the same is answered with the
// same *Proposal, so that a retry is not a second establishment; asking for
// another is a *BoundError. The tests are run again first, since a held block
// may have been voided: errors as Round.Ready, a *PolicyError or other compile
// error for next, a *TransitionError for a version that is not above all in
// force, or ErrNotMinted.
func (v *Revocation) Propose(to NodeID, next *Ruleset) (*Proposal, error) {
	if v == nil || v.round == nil {
		return nil, ErrNotMinted
	}
	r := v.round
	if p := r.proposal; p != nil {
		if p.marker.Leader == to && (next == nil && !p.changes || next != nil && p.marker.Ruleset.Equal(*next)) {
			return p, nil
		}
		return nil, &BoundError{Term: r.term, To: p.marker.Leader, Ruleset: p.marker.Ruleset.Version}
	}
	if err := r.Ready(to); err != nil {
		return nil, err
	}
	if len(v.donors) == 0 {
		return nil, &NotReadyError{Node: to, Reason: "no log was read that could be selected"}
	}
	p := &Proposal{
		selection: v.selection,
		donors:    v.donors,
		reads:     r.Reads(),
		cohort:    r.cohort,
		rules:     r.rules[:len(r.rules):len(r.rules)],
		marker:    Marker{Term: r.term, Leader: to, Ruleset: v.inherited()},
	}
	if next != nil {
		if err := p.change(*next, r.catalog); err != nil {
			return nil, err
		}
	}
	for _, rules := range p.rules {
		if !rules.Ruleset.Equal(p.marker.Ruleset) {
			p.marker.Over = append(p.marker.Over, rules.Ruleset)
		}
	}
	r.proposal = p
	return p, nil
}

// inherited returns the ruleset that the selected log ends with. A ruleset
// that the selected log does not show was never durable and ends here; one it
// shows is carried on, decided or not, and gets decided with this marker.
func (v *Revocation) inherited() Ruleset {
	r := v.round
	for _, id := range v.donors {
		m, _ := r.cohort.Member(id)
		if ss := r.seen[m].markers; len(ss) > 0 {
			if rs := ss[len(ss)-1].Marker.Ruleset; !rs.IsZero() && rs.Version >= r.decided {
				return rs
			}
		}
	}
	low := r.rules[0].Ruleset
	for _, rules := range r.rules {
		if rules.Ruleset.Version < low.Version {
			low = rules.Ruleset
		}
	}
	return low
}
