package leadership

import "sync"

// Proposal is what a term asks for: this candidate, this log, this marker. It
// is minted by Revocation.Propose; no establishment can begin without one.
//
// Its parts never change. Add and Installed may be called from any goroutine.
type Proposal struct {
	selection Position
	donors    []NodeID
	reads     []NodePosition
	marker    Marker
	changes   bool // the marker changes the ruleset
	cohort    *Cohort
	rules     []*Rules // all in force, the new one included

	mu       sync.Mutex // guards accepted, which reports write and Installed reads
	accepted Set
}

// change adds the new ruleset to those the marker must satisfy.
func (p *Proposal) change(next Ruleset, cat *Catalog) error {
	for _, rules := range p.rules {
		if next.Version <= rules.Ruleset.Version {
			return &TransitionError{"change the ruleset", "its version must be above every one in force"}
		}
	}
	c, err := p.cohort.cover(next.Members)
	if err != nil {
		return err
	}
	rules, err := next.CompileIn(c, cat)
	if err != nil {
		return err
	}
	if m, ok := c.Member(p.marker.Leader); !ok || !rules.leaders.Has(m) {
		return &IneligibleError{Node: p.marker.Leader, Reason: "it is not an eligible member of the new ruleset"}
	}
	p.cohort, p.rules, p.changes = c, append(p.rules, rules), true
	p.marker.Ruleset = next.clone()
	return nil
}

// Term returns the term of the attempt.
func (p *Proposal) Term() Term { return p.marker.Term }

// To returns the candidate.
func (p *Proposal) To() NodeID { return p.marker.Leader }

// Marker returns the entry that the candidate writes first.
func (p *Proposal) Marker() Marker { return p.marker }

// Selection returns the position that the candidate's log must contain before
// it writes the marker.
func (p *Proposal) Selection() Position { return p.selection }

// Donors returns the nodes that hold the selected log.
func (p *Proposal) Donors() []NodeID { return p.donors }

// Reads returns the positions that were read in the round, for mechanisms
// that must know which node needs a repair before it may follow.
func (p *Proposal) Reads() []NodePosition { return p.reads }

// Members returns the nodes whose acceptance can count, the candidate
// included.
func (p *Proposal) Members() []NodeID {
	var s Set
	for _, rules := range p.rules {
		s |= rules.members
	}
	return p.cohort.Names(s)
}

// Add counts an acceptance. It returns a *StaleTermError for one of another
// term or leader, an *UnknownNodeError for one of a node outside every ruleset
// (which counts for nothing), or ErrNotMinted.
func (p *Proposal) Add(a Acceptance) error {
	if p == nil || p.cohort == nil {
		return ErrNotMinted
	}
	if a.Term != p.marker.Term || a.Leader != p.marker.Leader {
		return &StaleTermError{Node: a.Node, Asked: p.marker.Term, Promised: a.Term}
	}
	m, ok := p.cohort.Member(a.Node)
	if !ok {
		return &UnknownNodeError{Node: a.Node}
	}
	p.mu.Lock()
	p.accepted = p.accepted.With(m)
	p.mu.Unlock()
	return nil
}

// Accepted returns the nodes whose acceptance was counted.
func (p *Proposal) Accepted() []NodeID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cohort.Names(p.accepted)
}

// Installed mints the proof that the marker is durable under every ruleset in
// force, the new one included. Otherwise it returns a *NotDurableError, or
// ErrNotMinted.
func (p *Proposal) Installed() (*Installed, error) {
	if p == nil || p.cohort == nil {
		return nil, ErrNotMinted
	}
	p.mu.Lock()
	have := p.accepted
	p.mu.Unlock()
	l, _ := p.cohort.Member(p.marker.Leader)
	for _, rules := range p.rules {
		if !rules.Durable(l, have) {
			return nil, &NotDurableError{
				Term: p.marker.Term, Leader: p.marker.Leader, Ruleset: rules.Ruleset.Version,
				Have: p.cohort.Names(have & rules.members), Missing: p.cohort.Names(rules.members.Minus(have)),
			}
		}
	}
	return &Installed{proposal: p}, nil
}

// Installed is the proof that a leadership is established: its marker is on a
// durable set. Only now may it be activated and granted. The zero value is
// refused by everything that takes it.
type Installed struct{ proposal *Proposal }

// Minted returns nil for a proof that a Proposal made, else ErrNotMinted.
// Establishers call it before they grant.
func (in *Installed) Minted() error {
	if in == nil || in.proposal == nil {
		return ErrNotMinted
	}
	return nil
}

// Leadership returns who is established under which term.
func (in *Installed) Leadership() Leadership { return in.Marker().Leadership() }

// Marker returns the marker, the zero Marker when in was not minted.
func (in *Installed) Marker() Marker {
	if in.Minted() != nil {
		return Marker{}
	}
	return in.proposal.marker
}
