package revoke

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// Revoker is a mechanism that takes support away from leaderships.
type Revoker interface {
	// Revoke asks the targets to stop supporting every leadership below
	// ask.Term and reports each answer as it comes. It returns when all
	// have answered or ctx has ended, and nil only in the former case; by
	// then every goroutine it started has ended. report may be called from
	// several goroutines at once.
	Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error
}

// Ask says what is to be revoked. It is a value: mechanisms never see the
// round that judges their reports.
type Ask struct {
	// Term of the attempt: everything below it is to be revoked.
	Term leadership.Term
	// Targets are the nodes to ask.
	Targets []leadership.NodeID
	// Leader is who leads as far as is known, empty when nobody does. It
	// directs a step-down; nothing is concluded from it.
	Leader leadership.NodeID
	// Drain bounds how long a leader may finish what is in flight. 0: it waits
	// for nothing. A negative one is refused.
	Drain time.Duration
	// Enough reports whether what was reported suffices already, or shows
	// that nothing ever will: a newer attempt exists. A Sequence begins no
	// further stage once it does. Nil: never. It is safe to call from any
	// goroutine.
	Enough func() bool
	// Drained is told how a drain ended. Nil: nobody is.
	Drained func(leadership.NodeID, Drained)
}

// Validate returns a *leadership.TermError, a *TargetError for no targets, for
// one that is named twice and for a negative Drain, or nil. Every Revoke begins
// with it, before anything is touched.
func (a Ask) Validate() error {
	if err := a.Term.Validate(); err != nil {
		return err
	}
	if len(a.Targets) == 0 {
		return &TargetError{Reason: "there are no targets"}
	}
	seen := make(map[leadership.NodeID]bool, len(a.Targets))
	for _, id := range a.Targets {
		if seen[id] {
			return &TargetError{Node: id, Reason: "it is named twice"}
		}
		seen[id] = true
	}
	if a.Drain < 0 {
		return &TargetError{Reason: "Drain is negative"}
	}
	return nil
}

func (a Ask) enough() bool { return a.Enough != nil && a.Enough() }

// begin is what every mechanism checks before it touches anything.
func begin(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if report == nil {
		return &TargetError{Reason: "report is nil"}
	}
	return ask.Validate()
}

// Options tune how nodes are asked.
type Options struct {
	// Retry is the pause before a node that failed is asked again, until ctx
	// ends; one that has promised a higher term is not. 0: each node is asked
	// once. A node that refuses without naming a higher term has not answered:
	// it is asked again like one that failed, and its error is a
	// *leadership.ContradictionError.
	Retry time.Duration
	_     struct{}
}

// ErrNilMechanism is returned for a nil node, Revoker, Isolator, Registry or
// Lessor, by a mechanism that is nil itself, and by Together and Then for none at
// all.
var ErrNilMechanism = errors.New("revoke: nil mechanism")

// TargetError is returned for an Ask that cannot be carried out, and for a
// mechanism without nodes. Nothing was touched.
type TargetError struct {
	Node   leadership.NodeID
	Reason string
}

func (e *TargetError) Error() string {
	if e.Node == "" {
		return "revoke: bad ask: " + e.Reason
	}
	return fmt.Sprintf("revoke: bad ask: target %s: %s", e.Node, e.Reason)
}

// NodeError is what asking one node came to.
type NodeError struct {
	Node leadership.NodeID
	Op   string // "promise", "read", "drain", "step down", "isolate", "release", ...
	Err  error
}

func (e *NodeError) Error() string { return fmt.Sprintf("revoke: %s at %s: %v", e.Op, e.Node, e.Err) }

// Unwrap returns the node's own error.
func (e *NodeError) Unwrap() error { return e.Err }

// join joins what asking several nodes came to. A refusal by one is no proof
// that the whole did nothing when another may have done its part.
func join(errs []error) error {
	err := errors.Join(errs...)
	if err != nil && slices.ContainsFunc(errs, func(e error) bool { return e == nil }) {
		return nodecall.Partial{Err: err}
	}
	return err
}

// refused turns a node's promise above t, the term that it was asked with, into
// the testimony that ends the attempt; ok is false for any other error.
func refused(id leadership.NodeID, t leadership.Term, err error) (leadership.Testimony, bool) {
	by, ok := nodecall.Outrun(t, err)
	return leadership.Testimony{Node: id, Term: by, Kind: leadership.Refused}, ok
}
