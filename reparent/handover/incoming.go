package handover

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// Incoming is the candidate's side: it is fed with messages, in any order, and
// says when to propose and when to grant. One lasts a node for its whole life;
// it knows of one hand-over at a time, the one of the highest term, and forgets
// it with the process. It does no IO and is not safe for concurrent use.
//
// The node's part is, for a Release of term t: take the entries that came with
// it, promise t durably, and feed its own testimony to Hear; once Propose
// returns a proposal, install its marker and let the members follow, and from
// then on take requests, which go behind the marker; feed what they accept to
// Accept; once Installed returns one, grant. Nothing may be completed before.
type Incoming struct {
	self leadership.NodeID
	cat  *leadership.Catalog

	term     leadership.Term
	release  *Release
	round    *leadership.Round
	early    []leadership.Testimony // that came before the release
	basis    []leadership.Testimony
	late     []leadership.Testimony
	own      *leadership.Position // this node's, after its promise
	proposal *leadership.Proposal
	accepted []leadership.Acceptance
}

// NewIncoming returns the side of the node self. cat reads policies; nil: the
// built-in ones.
func NewIncoming(self leadership.NodeID, cat *leadership.Catalog) (*Incoming, error) {
	if err := self.Validate(); err != nil {
		return nil, err
	}
	return &Incoming{self: self, cat: cat}, nil
}

// turn makes t the term of c, forgetting what is of a lower one.
func (c *Incoming) turn(t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	switch t.Compare(c.term) {
	case -1:
		return &leadership.StaleTermError{Node: c.self, Asked: t, Promised: c.term}
	case 1:
		*c = Incoming{self: c.self, cat: c.cat, term: t}
	}
	return nil
}

// at returns nil for the term that c is at and has a release of.
func (c *Incoming) at(t leadership.Term) error {
	switch {
	case t.Less(c.term):
		return &leadership.StaleTermError{Node: c.self, Asked: t, Promised: c.term}
	case t != c.term || c.release == nil:
		return &leadership.NotReadyError{Node: c.self, Reason: "no release of term " + t.String() + " has come"}
	}
	return nil
}

// Take takes the leader's release. The same once more changes nothing. It
// returns the errors of Baton.Validate, a *BatonError for a release that proves
// no step-down or is not for this node, and a *leadership.StaleTermError for one
// of an older hand-over than another that is known.
func (c *Incoming) Take(r Release) error { return c.take(r, nil) }

// take takes a release, after what was heard of others before or since: whether a
// read of a node that was not blocked was begun before the step-down or after it
// is not known here, and counted first it proves nothing.
func (c *Incoming) take(r Release, heard []leadership.Testimony) error {
	if err := r.Baton.Validate(c.cat); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if r.Baton.To != c.self {
		return &BatonError{"To", fmt.Sprintf("it is for %s and came to %s", r.Baton.To, c.self)}
	}
	if err := c.turn(r.Baton.Term); err != nil {
		return err
	}
	if c.release != nil {
		return nil
	}
	bars := leadership.Record{Barred: slices.Clone(r.Baton.Barred)}
	round, err := leadership.NewRound(leadership.RoundConfig{
		Term: r.Baton.Term, Rulesets: r.Baton.Rulesets, Catalog: c.cat, Barred: bars.IsBarred,
	})
	if err != nil {
		return err
	}
	c.release, c.round = &r, round
	for _, t := range slices.Concat(heard, []leadership.Testimony{r.StepDown}, c.early) {
		c.count(t)
	}
	c.early = nil
	return nil
}

// maxEarly bounds what is kept for a release that has not come yet.
const maxEarly = 2 * leadership.MaxMembers

// Hear takes a testimony: this node's own, or that of another member, which may
// come before the release. What it proves is for Propose to say. It returns a
// *leadership.StaleTermError for one of an older hand-over.
func (c *Incoming) Hear(t leadership.Testimony) error {
	if err := c.turn(t.Term); err != nil {
		return err
	}
	c.keep(t)
	return nil
}

// keep counts a testimony, or has it wait for the release.
func (c *Incoming) keep(t leadership.Testimony) {
	switch {
	case c.release != nil:
		c.count(t)
	case len(c.early) < maxEarly:
		c.early = append(c.early, t)
	}
}

// count puts a testimony into the round. What is wrong with it the round knows,
// and whoever replays the account finds out as well.
func (c *Incoming) count(t leadership.Testimony) {
	_ = c.round.Add(t)
	if t.Node == c.self && t.Kind == leadership.Promised && t.Read != nil {
		at := *t.Read
		c.own = &at
	}
	if c.proposal == nil {
		c.basis = append(c.basis, t)
	} else {
		c.late = append(c.late, t)
	}
}

// Refuse notes that a node has promised by, which is above t: the hand-over of
// t is over. Like a promise it may come before the release.
func (c *Incoming) Refuse(t leadership.Term, node leadership.NodeID, by leadership.Term) {
	if t.Less(by) && c.turn(t) == nil {
		c.keep(leadership.Testimony{Node: node, Term: by, Kind: leadership.Refused})
	}
}

// BehindError is returned when all is proven and the candidate's own log does
// not hold the selected one yet: catch up from one of the donors, under the
// term, promise again, which only reads, and tell Hear.
type BehindError struct {
	Node          leadership.NodeID
	At, Selection leadership.Position
	Donors        []leadership.NodeID
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("handover: %s is at %s and the selected log at %s: it catches up from %v first", e.Node, e.At, e.Selection, e.Donors)
}

// ErrBegun is returned by Incoming.Propose when some log shows an entry of the
// term already: this node proposed in an earlier life, and what exactly it does
// not know any more. It takes a new term.
var ErrBegun = errors.New("handover: the hand-over was begun before the node restarted")

// Propose returns the proposal for this node: every older leadership is proven
// to be revoked, all that it may have completed was discovered, and this node's
// log holds it. From the moment the marker is in its log the node may take
// requests. The same proposal is returned again.
//
// Otherwise it returns why not: the errors of leadership.Round.Revocation and
// leadership.Revocation.Propose, which further testimonies may change; a
// *BehindError; or, for good, a *leadership.SupersededError, a
// *leadership.StaleTermError, or ErrBegun.
func (c *Incoming) Propose(t leadership.Term) (*leadership.Proposal, error) {
	if err := c.at(t); err != nil {
		return nil, err
	}
	if c.proposal != nil {
		return c.proposal, nil
	}
	rev, err := c.round.Revocation()
	if err != nil {
		return nil, err
	}
	if c.own == nil {
		return nil, &leadership.NotReadyError{Node: c.self, Reason: "it has not promised term " + t.String()}
	}
	if sel := rev.Selection(); !c.own.Extends(sel) {
		return nil, &BehindError{Node: c.self, At: *c.own, Selection: sel, Donors: rev.Donors()}
	}
	if rev.Selection().Term == t {
		return nil, ErrBegun
	}
	p, err := rev.Propose(c.self, nil)
	if err != nil {
		return nil, err
	}
	c.proposal = p
	return p, nil
}

// Accept counts an acceptance of the marker. It returns the errors of
// leadership.Proposal.Add, or a *leadership.NotReadyError before there is a
// proposal.
func (c *Incoming) Accept(a leadership.Acceptance) error {
	if err := c.at(a.Term); err != nil {
		return err
	}
	if c.proposal == nil {
		return &leadership.NotReadyError{Node: c.self, Reason: "it has proposed nothing"}
	}
	if err := c.proposal.Add(a); err != nil {
		return err
	}
	if !slices.ContainsFunc(c.accepted, func(o leadership.Acceptance) bool { return o.Node == a.Node }) {
		c.accepted = append(c.accepted, a)
	}
	return nil
}

// Installed returns the proof by which the node may grant itself: its marker is
// on a durable set under every ruleset in force. Otherwise it returns a
// *leadership.NotDurableError; a *leadership.NotReadyError when there is no
// proposal, or when a node that was reached has given a lease to an older
// leadership, which only the coordinator waits out, who then grants; a
// *leadership.SupersededError; or a *leadership.StaleTermError.
func (c *Incoming) Installed(t leadership.Term) (*leadership.Installed, error) {
	if err := c.at(t); err != nil {
		return nil, err
	}
	if c.proposal == nil {
		return nil, &leadership.NotReadyError{Node: c.self, Reason: "it has proposed nothing"}
	}
	if by := c.round.Superseded(); t.Less(by) {
		return nil, &leadership.SupersededError{Term: t, By: by}
	}
	in, err := c.proposal.Installed()
	if err != nil {
		return nil, err
	}
	if left := c.round.LeaseLeft(); left > 0 {
		return nil, &leadership.NotReadyError{Node: c.self, Reason: fmt.Sprintf("leases of older leaderships are out for %s: the coordinator waits for their end and grants", left)}
	}
	return in, nil
}

// Account returns what is to be told to the coordinator, by way of the leader.
// It returns the errors of a term that c is not at.
func (c *Incoming) Account(t leadership.Term) (Account, error) {
	if err := c.at(t); err != nil {
		return Account{}, err
	}
	a := Account{Basis: slices.Clone(c.basis), Late: slices.Clone(c.late), Accepted: slices.Clone(c.accepted)}
	if c.proposal != nil {
		a.Marker = c.proposal.Marker()
	}
	return a, nil
}
