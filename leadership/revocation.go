package leadership

import (
	"slices"
	"time"
)

// Revocation is the proof that every leadership below a term is revoked and
// that all it may have completed was discovered. Only a Round that passes both
// tests mints one; the zero value is refused by everything that takes it.
type Revocation struct {
	round     *Round
	selection Position
	donors    []NodeID
}

// Revocation mints the proof. It returns the error of Revoked or Discovered,
// a *DivergedError when the logs that were read disagree within the highest
// accepted term, or a *WaiverError when a waiver has a Ruleset and what it takes
// for that is not there.
func (r *Round) Revocation() (*Revocation, error) {
	if err := r.Revoked(); err != nil {
		return nil, err
	}
	if err := r.Discovered(); err != nil {
		return nil, err
	}
	if err := r.resort(); err != nil {
		return nil, err
	}
	top, donors, err := r.best()
	if err != nil {
		return nil, err
	}
	return &Revocation{round: r, selection: top, donors: donors}, nil
}

// Term returns the term below which everything is revoked.
func (v *Revocation) Term() Term {
	if v.minted() != nil {
		return Term{}
	}
	return v.round.term
}

// minted returns ErrNotMinted unless a Round made the proof.
func (v *Revocation) minted() error {
	if v == nil || !v.round.minted() {
		return ErrNotMinted
	}
	return nil
}

// Selection returns the position of the log that every later leadership must
// contain: the greatest by accepted term, then by length, of all that were
// read when the proof was minted. Propose selects again, from all reads that
// count by then.
func (v *Revocation) Selection() Position {
	if v.minted() != nil {
		return Position{}
	}
	return v.selection
}

// Donors returns the nodes that hold the selected log.
func (v *Revocation) Donors() []NodeID {
	if v.minted() != nil {
		return nil
	}
	return slices.Clone(v.donors)
}

// Reads returns the positions that were read in the round.
func (v *Revocation) Reads() []NodePosition {
	if v.minted() != nil {
		return nil
	}
	return v.round.Reads()
}

// LeaseLeft is Round.LeaseLeft.
func (v *Revocation) LeaseLeft() time.Duration {
	if v.minted() != nil {
		return 0
	}
	return v.round.LeaseLeft()
}

// Ready is Round.Ready, or ErrNotMinted.
func (v *Revocation) Ready(to NodeID, unfit ...NodeID) error {
	if err := v.minted(); err != nil {
		return err
	}
	return v.round.Ready(to, unfit...)
}

// Rulesets returns the rulesets in force.
func (v *Revocation) Rulesets() []Ruleset {
	if v.minted() != nil {
		return nil
	}
	return v.round.Rulesets()
}

// Propose binds the term to one candidate and one selected log. next changes
// the ruleset with this leadership; nil keeps the one of the selected log, or
// takes that of a Waiver, beside which next must be nil.
//
// A term carries one proposal. Asking again for the same is answered with the
// same *Proposal, so that a retry is not a second establishment; asking for
// another is a *BoundError. The tests are run and the log is selected again
// first, since a held block may have been voided and its node have completed
// requests before it was blocked anew: errors as Round.Ready, *DivergedError, a *PolicyError or other compile
// error for next, a *TransitionError for a version that is not above all in
// force, or ErrNotMinted.
func (v *Revocation) Propose(to NodeID, next *Ruleset) (*Proposal, error) {
	if err := v.minted(); err != nil {
		return nil, err
	}
	r := v.round
	if next != nil && r.survivors != nil {
		return nil, &WaiverError{"it names the ruleset to go on with: the proposal can name no other"}
	}
	if p := r.proposal; p != nil {
		if p.marker.Leader == to && (next == nil && (!p.changes || r.survivors != nil) || next != nil && p.marker.Ruleset.Equal(*next)) {
			return p, nil
		}
		return nil, &BoundError{Term: r.term, To: p.marker.Leader, Ruleset: p.marker.Ruleset.Version}
	}
	if err := r.Ready(to); err != nil {
		return nil, err
	}
	top, donors, err := r.best()
	if err != nil {
		return nil, err
	}
	p := &Proposal{
		selection: top,
		donors:    donors,
		cohort:    r.cohort,
		rules:     slices.Clone(r.rules), // the round's own shrinks in place
		marker:    Marker{Term: r.term, Leader: to, Ruleset: r.inherited(donors)},
	}
	if r.survivors != nil {
		p.rules = slices.DeleteFunc(p.rules, r.excused)
		rs, inForce, err := r.successor()
		switch {
		case err != nil:
			return nil, err
		case inForce:
			p.marker.Ruleset = rs
		default:
			next = &rs
		}
	}
	if next != nil {
		if err := p.change(*next, r.catalog); err != nil {
			return nil, err
		}
	}
	p.marker.Waived = r.waived()
	p.marker.Lost = r.without()
	for _, rules := range p.rules {
		if !rules.Ruleset.Equal(p.marker.Ruleset) {
			p.marker.Over = append(p.marker.Over, rules.Ruleset)
		}
	}
	p.at = make([]Position, p.cohort.Len())
	for m := range r.told.All() {
		p.hear(r.cohort.Node(m).ID, r.seen[m].position)
	}
	for _, j := range r.joiners {
		if j.read != nil {
			p.hear(j.node, *j.read.Read)
		}
	}
	r.proposal = p
	return p, nil
}

// inherited returns the ruleset that the selected log ends with. A ruleset
// that the selected log does not show was never durable and ends here; one it
// shows is carried on, decided or not, and gets decided with this marker. For a
// log that shows none it is the newest of those the round was started with:
// going back to an older one would let whoever knows the newer to be complete
// ignore the one in use.
func (r *Round) inherited(donors []NodeID) Ruleset {
	for _, id := range donors {
		m, _ := r.cohort.Member(id)
		for _, s := range slices.Backward(r.seen[m].markers) {
			if rs := s.Marker.Ruleset; !rs.IsZero() {
				if r.inForce(rs) {
					return rs.clone()
				}
				break
			}
		}
	}
	newest := r.rules[0].Ruleset
	for _, rs := range r.initial {
		if r.inForce(rs) && (rs.Version > newest.Version || !slices.ContainsFunc(r.initial, newest.Equal)) {
			newest = rs
		}
	}
	return newest.clone()
}

func (r *Round) inForce(rs Ruleset) bool {
	return slices.ContainsFunc(r.rules, func(have *Rules) bool { return have.Ruleset.Equal(rs) })
}
