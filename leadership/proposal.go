package leadership

import (
	"context"
	"slices"
	"sync"
)

// Proposal is what a term asks for: this candidate, this log, this marker. It
// is minted by Revocation.Propose; no establishment can begin without one.
//
// Its parts never change. Add and Installed may be called from any goroutine.
type Proposal struct {
	selection Position
	donors    []NodeID
	marker    Marker
	changes   bool // the marker changes the ruleset
	cohort    *Cohort
	rules     []*Rules // all in force, the new one included

	mu       sync.Mutex // guards what follows; held for moments
	accepted Set
	read     Set           // whose position is known, also from answers after Propose
	at       []Position    // by Member of cohort
	heard    chan struct{} // closed and replaced with every read; nil until someone waits
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
func (p *Proposal) Term() Term {
	if p.minted() != nil {
		return Term{}
	}
	return p.marker.Term
}

// To returns the candidate.
func (p *Proposal) To() NodeID {
	if p.minted() != nil {
		return ""
	}
	return p.marker.Leader
}

// Marker returns the entry that the candidate writes first, the zero Marker
// when p was not minted.
func (p *Proposal) Marker() Marker {
	if p.minted() != nil {
		return Marker{}
	}
	return p.marker.clone()
}

// minted returns ErrNotMinted unless a Revocation made the proposal.
func (p *Proposal) minted() error {
	if p == nil || p.cohort == nil {
		return ErrNotMinted
	}
	return nil
}

// Selection returns the position that the candidate's log must contain before
// it writes the marker.
func (p *Proposal) Selection() Position {
	if p.minted() != nil {
		return Position{}
	}
	return p.selection
}

// Donors returns the nodes that hold the selected log.
func (p *Proposal) Donors() []NodeID {
	if p.minted() != nil {
		return nil
	}
	return slices.Clone(p.donors)
}

// Position returns where the node's log was after its block, waiting for that
// until ctx ends: answers that come after the proposal was made are of use to
// mechanisms that must know whether a node can follow by appending. It returns
// an *UnknownNodeError, ErrNotMinted, or the cause of ctx.
func (p *Proposal) Position(ctx context.Context, id NodeID) (Position, error) {
	if err := p.minted(); err != nil {
		return Position{}, err
	}
	m, ok := p.cohort.Member(id)
	if !ok {
		return Position{}, &UnknownNodeError{Node: id}
	}
	for {
		p.mu.Lock()
		if p.read.Has(m) {
			defer p.mu.Unlock()
			return p.at[m], nil
		}
		if p.heard == nil {
			p.heard = make(chan struct{})
		}
		heard := p.heard
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return Position{}, context.Cause(ctx)
		case <-heard:
		}
	}
}

// hear notes a position that the round was told.
func (p *Proposal) hear(id NodeID, at Position) {
	m, ok := p.cohort.Member(id)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read, p.at[m] = p.read.With(m), at
	if p.heard != nil {
		close(p.heard)
		p.heard = nil
	}
}

// Members returns the nodes whose acceptance can count, the candidate
// included.
func (p *Proposal) Members() []NodeID {
	if p.minted() != nil {
		return nil
	}
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
	if err := p.minted(); err != nil {
		return err
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

// Possible reports whether the marker can still become durable when none of the
// given nodes accepts it. When not, to wait for the others is of no use.
func (p *Proposal) Possible(without ...NodeID) bool {
	if p.minted() != nil {
		return false
	}
	var out Set
	for _, id := range without {
		if m, ok := p.cohort.Member(id); ok {
			out = out.With(m)
		}
	}
	l, _ := p.cohort.Member(p.marker.Leader)
	for _, rules := range p.rules {
		if !rules.Durable(l, rules.members.Minus(out)) {
			return false
		}
	}
	return true
}

// Accepted returns the nodes whose acceptance was counted.
func (p *Proposal) Accepted() []NodeID {
	if p.minted() != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cohort.Names(p.accepted)
}

// Installed mints the proof that the marker is durable under every ruleset in
// force, the new one included. Otherwise it returns a *NotDurableError, or
// ErrNotMinted.
func (p *Proposal) Installed() (*Installed, error) {
	if err := p.minted(); err != nil {
		return nil, err
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
	return in.proposal.Marker()
}
