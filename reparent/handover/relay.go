package handover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Retirement asks a leader to let go in one call.
type Retirement struct {
	// Term is that of the attempt.
	Term leadership.Term `json:"term"`
	// To is who is to lead next.
	To leadership.NodeID `json:"to"`
	// Drain is how long, in nanoseconds, what is in flight may take to finish.
	Drain time.Duration `json:"drain"`
}

// Retired is what a leader says that has let go.
type Retired struct {
	// StepDown is the testimony of its step-down.
	StepDown leadership.Testimony `json:"stepDown"`
	// Drained is how its drain ended, nil when it waited for nothing.
	Drained *revoke.Drained `json:"drained,omitempty"`
	// Tail is what it has for its successor besides, the end of its log for one,
	// in a form of the nodes' own. It may be empty: the successor then fetches
	// what it lacks, which takes a round trip.
	Tail []byte `json:"tail,omitempty"`
}

// Retirer is a leader that drains and steps down in one call: a coordinator
// waits for one answer instead of for two while nobody takes requests.
type Retirer interface {
	// Retire is Drain and then StepDown of a revoke.StepDowner, and keeps the
	// contracts of both: new work is refused, what is in flight finishes within
	// r.Drain, then the promise of r.Term is made durable, after which the node
	// completes nothing new. A node that answers what is in flight truthfully
	// after its promise, since it is in the log that the successor takes over,
	// need not wait for it.
	//
	// A drain that fails is not followed by a step-down, and the node serves on.
	// An error for which leadership.NotExecuted holds says that nothing was
	// promised and that the node serves on, or never served. Any other leaves
	// open how far it came. The same call again says the same.
	//
	// When the coordinator dies meanwhile the leader has stepped down, where
	// between two calls it would have served on: somebody has to run Resume.
	Retire(ctx context.Context, r Retirement) (Retired, error)
}

// Retire retires a node by its drain and its step-down, as the contract of
// Retirer says. What fails once the drain is over proves nothing of the whole.
func Retire(ctx context.Context, n revoke.StepDowner, r Retirement) (Retired, error) {
	d, err := n.Drain(ctx, r.Term, r.Drain)
	if err != nil {
		return Retired{}, err
	}
	if ctx.Err() != nil {
		return Retired{Drained: &d}, nodecall.Partial{Err: context.Cause(ctx)}
	}
	t, err := n.StepDown(ctx, r.Term)
	if err != nil {
		return Retired{Drained: &d}, nodecall.Partial{Err: err}
	}
	return Retired{StepDown: t, Drained: &d}, nil
}

// Relay is a release that the coordinator passes on, with what it heard of
// others. Baton.Relay makes one.
type Relay struct {
	Release Release `json:"release"`
	// Heard are the testimonies of others than the two leaders, of the baton's
	// term, in the order in which they came.
	Heard []leadership.Testimony `json:"heard,omitempty"`
	// Tail is Retired.Tail.
	Tail []byte `json:"tail,omitempty"`
}

// Relay makes the message to the candidate from what the leader and others said.
// It leaves out what the candidate has said: that it says itself. The errors are
// those of Baton.Release.
func (b Baton) Relay(r Retired, heard []leadership.Testimony) (Relay, error) {
	release, err := b.Release(r.StepDown)
	if err != nil {
		return Relay{}, err
	}
	heard = slices.DeleteFunc(slices.Clone(heard), func(t leadership.Testimony) bool {
		return t.Node == b.To || t.Node == b.From || t.Term != b.Term || t.Kind == leadership.Refused
	})
	return Relay{Release: release, Heard: heard, Tail: r.Tail}, nil
}

// check returns a *BatonError for a testimony that is not to be relayed.
func (r Relay) check() error {
	b := r.Release.Baton
	for _, t := range r.Heard {
		switch {
		case t.Node == b.To:
			return &BatonError{"Heard", fmt.Sprintf("it has a testimony of %s, who testifies itself", t.Node)}
		case t.Node == b.From:
			return &BatonError{"Heard", fmt.Sprintf("it has a testimony of %s beside its step-down", t.Node)}
		case t.Term != b.Term || t.Kind == leadership.Refused:
			return &BatonError{"Heard", fmt.Sprintf("the testimony of %s is %q of term %s, not of %s", t.Node, t.Kind, t.Term, b.Term)}
		}
	}
	return nil
}

// Successor is a node that takes over by itself from a leader that retired.
type Successor interface {
	// TakeOver has the node take over on what the coordinator relays: it
	// promises, runs the tests of Incoming, installs its marker, has the others
	// follow and grants itself when the marker is durable. It returns what it was
	// told and what became of the marker, beside the error too.
	//
	// What it is told is all that it will be told: where that does not suffice it
	// returns at once, and never proposes for the term.
	//
	// The same message again joins the take-over that is under way. That ctx
	// ends does not end it: after the baton's Within it gives up by itself.
	TakeOver(ctx context.Context, r Relay) (Account, error)
}

// TakeRelay takes what the coordinator relays, as Take does a release. The same
// once more changes nothing. Beside the errors of Take it returns a *BatonError,
// nothing having been taken, for a testimony that is not to be relayed: one of
// another term, of a refusal, of the leader, or of this node.
func (c *Incoming) TakeRelay(r Relay) error {
	if err := r.check(); err != nil {
		return err
	}
	return c.take(r.Release, r.Heard)
}
