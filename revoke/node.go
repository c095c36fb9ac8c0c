package revoke

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// The interfaces of a node that can be revoked. An adapter implements those it
// can; each mechanism takes a typed map of the one it needs. What holds for all
// of their calls is in the package's documentation, under Assumptions.

// Promiser is a node that can promise to support no leadership below a term.
// Proposal-number push, follower fence and change of replication source are
// all this one act at the node; adapters differ in how they do it.
type Promiser interface {
	// Promise makes the promise durable and returns the testimony, with the
	// node's position if that can be read without delay. At a node that
	// leads, or may lead, it returns only when that node can complete
	// nothing below t any more, even with acknowledgements on their way.
	Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
}

// Reader is what a Promiser offers besides when its position takes longer to
// read than the block takes to make.
type Reader interface {
	// Read returns a testimony of the kind Statement with the position as
	// of after the promise of t.
	Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
}

// Drained says how a drain ended.
type Drained struct {
	// Finished counts what was in flight and ended by itself.
	Finished int `json:"finished"`
	// Survivors counts what was still in flight at the end: their clients
	// will be told "unknown".
	Survivors int `json:"survivors"`
}

// StepDowner is a leader that can give up its leadership in good order.
type StepDowner interface {
	// Drain refuses new work with a *leadership.Refusal that names t, lets
	// what is in flight finish, and returns when it has or when d has
	// passed. The node goes on refusing until StepDown, or until a time of
	// its own after d: a drain expires at the node by itself, so that a
	// coordinator that died cannot leave a leader drained.
	Drain(ctx context.Context, t leadership.Term, d time.Duration) (Drained, error)
	// StepDown makes the promise of t durable at the leader, after which it
	// completes nothing below t, and returns a testimony of the kind
	// Demoted with its position. On a node that does not lead it is Promise.
	// What it does to the host besides, such as a restart of its server as a
	// standby, is over when it returns, or the node takes no part until it is:
	// this node may be the next to lead.
	StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
}
