package reparent

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Change says what is to happen. Make one with a constructor and set the
// optional fields as needed; it is a value and can be planned, inspected and
// run, any number of times. Every run takes a term of its own.
type Change struct {
	Kind leadership.Kind
	// To is who shall lead. Required for a planned change, optional for an
	// emergency, where it is the only acceptable candidate.
	To leadership.NodeID
	// Ruleset is the new or first ruleset.
	Ruleset *leadership.Ruleset
	// Mode is for Bootstrap and Adopt; "" is Full.
	Mode leadership.Mode
	// Revoke and Establish take the place of the guard's mechanisms.
	Revoke    revoke.Revoker
	Establish establish.Establisher
	// LeaderLed has the leader of a planned change lead it: it steps down and
	// hands over to the candidate directly, and clients wait for a message
	// between the two instead of for two round trips of the coordinator, which
	// checks by its own round what they did before it records it. See package
	// handover. It needs mode Full and a Node.HandOver at both, or the change
	// ends with a *ChangeError before anything is touched; Revoke and Establish
	// must be nil. The leader has Limits.Revoke and Limits.Install together; when
	// its answer is lost the candidate is asked, for Limits.Status at most.
	LeaderLed bool
	// Waiver is a person's statement that nodes are gone for good, for an
	// emergency or a resume. It stands for their promises, and with Loss for
	// their logs; the rest must still suffice to establish a leader. Where it
	// never can, because too many are gone, an emergency whose waiver has a
	// Ruleset goes on with the survivors that it names. That one needs the
	// registry, which must hold the new ruleset before anybody leads under it. Loss
	// needs it, too, unless Force says that no node leads which was taken in since
	// the guard last read the record: the nodes that are gone may have been all
	// that knew of it. So does a waiver of a node that neither the guard nor the
	// record knows: it is a *leadership.UnknownNodeError unless Force says that the
	// name is meant.
	Waiver *leadership.Waiver
	// GoOnIfLate goes on although routers are late at Config.Barrier when
	// Limits.Quiet is over, or the barrier does not answer; the Report then says
	// that requests may fail. Without it an orderly change ends NotStarted: the
	// leader was not asked to step down yet and leads on, routers held for as
	// long, and the candidate may have been brought level.
	GoOnIfLate bool
	// Force begins although another change is under way, or although the
	// pre-flight check says that it cannot succeed.
	Force bool
	// Known is what the nodes said of themselves not long ago, to whoever
	// decided on this change: a failure detector that polls them (Guard.View).
	// When it says that the change can succeed, nobody is asked again before it
	// begins, which saves an emergency one of its three round trips. Like what a
	// survey hears, it is only hints: a node that has promised more since ends
	// the attempt as superseded, nothing else rests on it. The leader that an
	// emergency is to replace is not counted, nor is who is not Reachable there.
	// When the rest does not suffice, and in every undo, the nodes are asked. Nil
	// asks. What a leader said a while before its successor does: one that has by
	// now what the leader had then needs no step to be brought level, where the two
	// offer Node.Retire and Node.TakeOver.
	Known []leadership.Status

	prefer []leadership.NodeID // for an undo: whom to re-establish
	undoes leadership.Term     // the term of what it undoes
}

// Planned hands the leadership to a node that is up to date, with the old
// leader's help: it costs clients latency and no errors. To the node that leads
// already it is Refresh.
func Planned(to leadership.NodeID) Change { return Change{Kind: leadership.KindPlanned, To: to} }

// Emergency establishes the best node that can be reached when the leader
// cannot. It goes before a planned change that is under way.
func Emergency() Change { return Change{Kind: leadership.KindEmergency} }

// Refresh re-establishes the leader under a new term. It is what brings back
// followers that an abandoned attempt stranded.
func Refresh() Change { return Change{Kind: leadership.KindRefresh} }

// Resume finishes or undoes what a coordinator left behind when it died: it
// establishes the candidate of that change under a new term when it can, else
// the old leader, else whoever can lead.
func Resume() Change { return Change{Kind: leadership.KindResume} }

// SetRuleset changes who counts and by which policy, under the leader that
// leads. The change is durable under both the old ruleset and the new one
// before either alone decides. rs.Version 0 takes the next version.
func SetRuleset(rs leadership.Ruleset) Change {
	return Change{Kind: leadership.KindRuleset, Ruleset: &rs}
}

// Bootstrap makes the first leadership of a cluster whose nodes are all empty.
func Bootstrap(rs leadership.Ruleset, to leadership.NodeID) Change {
	return Change{Kind: leadership.KindBootstrap, Ruleset: &rs, To: to}
}

// Adopt takes over a cluster that ran without us: leader leads, has data, and
// is re-established under the first term.
func Adopt(rs leadership.Ruleset, leader leadership.NodeID) Change {
	return Change{Kind: leadership.KindAdopt, Ruleset: &rs, To: leader}
}

// ChangeError is returned for a change that makes no sense. Nothing was
// touched.
type ChangeError struct {
	Kind   leadership.Kind
	Reason string
}

func (e *ChangeError) Error() string { return fmt.Sprintf("reparent: %s change: %s", e.Kind, e.Reason) }

// NotExecuted reports true.
func (e *ChangeError) NotExecuted() bool { return true }

// ErrNoRecord is returned for a change of a cluster that has no record yet:
// Bootstrap or Adopt it.
var ErrNoRecord = errors.New("reparent: the registry has no record of this cluster: bootstrap or adopt it")

// validate checks all that can be checked without asking anyone.
func (c Change) validate(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	bad := func(reason string) error { return &ChangeError{Kind: c.Kind, Reason: reason} }
	needsTo := c.Kind == leadership.KindPlanned || c.Kind == leadership.KindBootstrap || c.Kind == leadership.KindAdopt
	switch c.Kind {
	case leadership.KindPlanned, leadership.KindEmergency, leadership.KindRefresh, leadership.KindResume,
		leadership.KindRuleset, leadership.KindBootstrap, leadership.KindAdopt, leadership.KindUndo:
	default:
		return bad("unknown kind")
	}
	if needsTo && c.To == "" {
		return bad("it names no node to lead")
	}
	if c.first() || c.Kind == leadership.KindRuleset {
		if c.Ruleset == nil {
			return bad("it has no ruleset")
		}
	} else if c.Ruleset != nil {
		return bad("only SetRuleset, Bootstrap and Adopt change the ruleset")
	}
	if c.LeaderLed {
		switch {
		case c.Kind != leadership.KindPlanned:
			return bad("only a planned change can be led by the leader")
		case c.Revoke != nil || c.Establish != nil:
			return bad("one that the leader leads takes no Revoke and no Establish")
		}
	}
	if c.Waiver != nil {
		switch {
		case c.Kind != leadership.KindEmergency && c.Kind != leadership.KindResume:
			return bad("a waiver is for an emergency or a resume")
		case c.survivors() != nil && c.Kind != leadership.KindEmergency:
			return bad("a waiver with a ruleset to go on with is for an emergency")
		}
		return c.Waiver.Validate()
	}
	return nil
}

// survivors is the ruleset that a waiver wants to go on with, nil for none.
func (c Change) survivors() *leadership.Ruleset {
	if c.Waiver == nil {
		return nil
	}
	return c.Waiver.Ruleset
}

// first reports whether the change makes the cluster's first record.
func (c Change) first() bool {
	return c.Kind == leadership.KindBootstrap || c.Kind == leadership.KindAdopt
}

// orderly reports whether the leader takes part: it drains and steps down.
func (c Change) orderly() bool {
	switch c.Kind {
	case leadership.KindPlanned, leadership.KindRefresh, leadership.KindRuleset, leadership.KindAdopt:
		return true
	}
	return false
}

// unplanned reports whether the change goes before any other that is under way:
// somebody has to lead.
func (c Change) unplanned() bool {
	return c.Kind == leadership.KindEmergency || c.Kind == leadership.KindUndo
}

// blind reports whether the change may begin without the registry. That it has the
// full test to rest on is not enough where a waiver excuses a part of it: a log that
// discovery does not ask for may have been all that showed who is a member by now.
func (c Change) blind() bool {
	return c.unplanned() && c.survivors() == nil && (c.Waiver == nil || !c.Waiver.Loss || c.Force)
}
