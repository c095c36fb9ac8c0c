package handover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Leader is a node that can lead the change to its successor itself, and that
// can be handed over to.
type Leader interface {
	// HandOver at b.From steps the node down under b.Term and has b.To take over. It
	// returns when the candidate has told what it was told and what became of
	// the marker, or when that cannot be waited for any longer.
	//
	// An error for which leadership.NotExecuted holds says that the node has
	// neither refused a request nor promised anything for this baton, and never
	// will: it leads as before. Any other leaves open how far it came. Whatever
	// of the account is known is returned beside the error. The same baton
	// again joins the hand-over that is under way; it must never be refused
	// with such a proof once an earlier copy of it was taken.
	//
	// HandOver at b.To begins nothing. It joins the hand-over if the release has
	// come, and else fails: it is how a coordinator that has lost the leader
	// finds out what became of it.
	HandOver(ctx context.Context, b Baton) (Account, error)
}

// Baton is what a coordinator gives to the leader: everything that it knows and
// the nodes do not. It is a value and travels with the Release.
type Baton struct {
	// Term is that of the attempt, announced in the record already.
	Term leadership.Term `json:"term"`
	// From leads and hands over, To takes over.
	From leadership.NodeID `json:"from"`
	To   leadership.NodeID `json:"to"`
	// Mode is that of the cluster. A hand-over needs leadership.Full: the
	// candidate grants itself before the registry knows of it.
	Mode leadership.Mode `json:"mode"`
	// Rulesets are those known to have been in force, as in
	// leadership.RoundConfig.
	Rulesets []leadership.Ruleset `json:"rulesets"`
	// Barred are the bars of the record, and of nodes whose word this change
	// disregards.
	Barred []leadership.Bar `json:"barred,omitempty"`
	// Drain is how long, in nanoseconds, a leader whose candidate cannot carry
	// on requests in flight may wait for them to finish before it steps down.
	Drain time.Duration `json:"drain"`
	// Within is how long, in nanoseconds, the candidate may take from when the
	// Release has reached it; later it gives up.
	Within time.Duration `json:"within"`
}

// BatonError is returned for a baton, or a message of a hand-over, that cannot
// be acted on. Nothing was touched.
type BatonError struct{ Field, Reason string }

func (e *BatonError) Error() string { return "handover: " + e.Field + ": " + e.Reason }

// NotExecuted reports true.
func (e *BatonError) NotExecuted() bool { return true }

// Validate returns a *BatonError, a *leadership.TermError, a
// *leadership.NodeIDError, or the error of a ruleset that cannot be compiled
// with cat, nil being the built-in policies.
func (b Baton) Validate(cat *leadership.Catalog) error {
	if err := b.Term.Validate(); err != nil {
		return err
	}
	for _, id := range []leadership.NodeID{b.From, b.To} {
		if err := id.Validate(); err != nil {
			return err
		}
	}
	switch {
	case b.From == b.To:
		return &BatonError{"To", fmt.Sprintf("%s leads already", b.To)}
	case b.Mode != leadership.Full:
		return &BatonError{"Mode", fmt.Sprintf("it is %q: a candidate that grants itself needs mode %q, in which the tests alone make that safe", b.Mode, leadership.Full)}
	case len(b.Rulesets) == 0:
		return &BatonError{"Rulesets", "there are none"}
	case b.Drain < 0:
		return &BatonError{"Drain", "it is negative"}
	case b.Within <= 0:
		return &BatonError{"Within", "it must be above zero"}
	}
	for _, rs := range b.Rulesets {
		if _, err := rs.Compile(cat); err != nil {
			return err
		}
	}
	return nil
}

// Others returns the members beside the two leaders, in the order of the
// rulesets: whom the leader asks to promise.
func (b Baton) Others() []leadership.NodeID {
	var ids []leadership.NodeID
	for _, rs := range b.Rulesets {
		for _, id := range rs.IDs() {
			if id != b.From && id != b.To && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// Release is the leader's message to the candidate: that it has stepped down,
// durably, and where its log ends. Baton.Release makes one.
type Release struct {
	Baton    Baton                `json:"baton"`
	StepDown leadership.Testimony `json:"stepDown"`
}

// Release makes the leader's release from the testimony that its step-down was
// answered with, which is given only when the promise is on disk: before that
// there is nothing to release with. It returns a *BatonError for a testimony of
// another node or term, for one that does not say where the log ends, and for
// that of a node which did not lead when it promised.
func (b Baton) Release(stepDown leadership.Testimony) (Release, error) {
	r := Release{Baton: b, StepDown: stepDown}
	return r, r.check()
}

func (r Release) check() error {
	t, b := r.StepDown, r.Baton
	switch {
	case t.Node != b.From:
		return &BatonError{"StepDown", fmt.Sprintf("it is of %s, not of %s", t.Node, b.From)}
	case t.Term != b.Term:
		return &BatonError{"StepDown", fmt.Sprintf("it is of term %s, not of %s", t.Term, b.Term)}
	case t.Kind != leadership.Demoted || t.Held:
		return &BatonError{"StepDown", fmt.Sprintf("%s has not stepped down: its testimony is %q", t.Node, t.Kind)}
	case t.Read == nil:
		return &BatonError{"StepDown", fmt.Sprintf("%s does not say where its log ends", t.Node)}
	}
	return nil
}

// Ask is the leader's message to each of the others: promise Term, and tell To.
// The answer, a testimony, goes to To and not back.
type Ask struct {
	Term leadership.Term   `json:"term"`
	From leadership.NodeID `json:"from"`
	To   leadership.NodeID `json:"to"`
}

// Ask returns the message for the others. It is made from a release: who asks
// them earlier breaks off the requests that still need them.
func (r Release) Ask() Ask { return Ask{Term: r.Baton.Term, From: r.Baton.From, To: r.Baton.To} }

// Account is what the candidate was told, in order, and who accepted its
// marker: enough for anybody to find out by the same checks whether it is
// established. That the candidate says so proves nothing.
type Account struct {
	// Marker is the one that the candidate proposed, zero when it proposed none.
	Marker leadership.Marker `json:"marker"`
	// Basis are the testimonies it had when it did, or has if it did not, in
	// the order in which they were counted; Late those that came after.
	Basis []leadership.Testimony `json:"basis,omitempty"`
	Late  []leadership.Testimony `json:"late,omitempty"`
	// Accepted is who stated that the marker is durable there.
	Accepted []leadership.Acceptance `json:"accepted,omitempty"`
	// Drained is how the leader's drain ended, nil when it did not wait. The
	// leader fills it in.
	Drained *revoke.Drained `json:"drained,omitempty"`
}
