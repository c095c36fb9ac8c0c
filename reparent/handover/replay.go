package handover

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// MarkerError is returned for an account whose marker does not follow from its
// own basis.
type MarkerError struct{ Told, Found leadership.Marker }

func (e *MarkerError) Error() string {
	return fmt.Sprintf("handover: the account tells of a marker of %s with ruleset %d over %d others; what it is based on makes one of %s with ruleset %d over %d others",
		e.Told.Leadership(), e.Told.Ruleset.Version, len(e.Told.Over), e.Found.Leadership(), e.Found.Ruleset.Version, len(e.Found.Over))
}

// Replay puts what the candidate was told through the coordinator's own checks,
// in the order in which it was told: add puts a testimony into the
// coordinator's round for the term of b, and revocation mints what that round
// proves. The proposal it returns is the coordinator's own, and equal to the
// candidate's; who accepted is counted in it.
//
// It returns the errors of revocation and of leadership.Revocation.Propose,
// then the candidate proposed without a proof; a *MarkerError; or a
// *leadership.NotReadyError when it proposed nothing. Late testimonies are added
// in any case: they may tell of a newer attempt.
func (a Account) Replay(b Baton, add func(leadership.Testimony), revocation func() (*leadership.Revocation, error)) (*leadership.Proposal, error) {
	for _, t := range a.Basis {
		add(t)
	}
	p, err := a.propose(b, revocation)
	for _, t := range a.Late {
		add(t)
	}
	if err != nil {
		return nil, err
	}
	for _, acc := range a.Accepted {
		if err := p.Add(acc); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (a Account) propose(b Baton, revocation func() (*leadership.Revocation, error)) (*leadership.Proposal, error) {
	if a.Marker.Term.IsZero() {
		return nil, &leadership.NotReadyError{Node: b.To, Reason: "it proposed nothing"}
	}
	rev, err := revocation()
	if err != nil {
		return nil, err
	}
	p, err := rev.Propose(b.To, nil)
	if err != nil {
		return nil, err
	}
	if found := p.Marker(); !found.Equal(a.Marker) {
		return nil, &MarkerError{Told: a.Marker, Found: found}
	}
	return p, nil
}
