package establish

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
)

// The interfaces of a node that can be established or follow. What holds for all
// of their calls is in the package's documentation, under Assumptions.

// Candidate is a node that can lead.
type Candidate interface {
	// CatchUp brings the node's log to pos by taking entries from donor, and
	// returns when it is there. It promises nothing and takes no side: while
	// the old leader serves it only shortens the gap that follows. The
	// common prefix of the two logs is never removed, and a conflicting tail
	// only when t is promised here and pos is of a later term than the tail:
	// then a round of t selected pos, and nothing in the tail was completed.
	// An entry binds like a promise of its term: one of a term above t, which
	// a donor may have by the time it is asked, is not taken.
	CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error
	// Install promises the marker's term, writes the marker after the
	// selected log, and returns when it is durable on this node. The node
	// completes nothing but the marker until Grant. An engine whose write
	// waits for a follower may block here until one follows.
	Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error)
	// Grant opens the node to clients as leader of t. It is refused unless
	// the marker of t is in the node's log. The grant is volatile: a node
	// that restarts does not lead.
	Grant(ctx context.Context, t leadership.Term) error
}

// Follower is a node that can accept from a leader.
type Follower interface {
	// Follow promises t, durably accepts from leader under t and from no
	// other, and returns when the marker of (leader, t) is durable here.
	Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error)
}

// Repairer is a node that can be mended when its log cannot be brought to the
// leader's by appending.
type Repairer interface {
	// Repair discards what is not in the log of from and copies what is.
	// Before anything is discarded it makes sure, at from itself, that from
	// still stands by t: that t is what it promised, on the storage it promised
	// it on, and that its log is not below a floor of its own. A server that
	// came back empty, or that is being mended after somebody else, is no source;
	// by the time a repair arrives from may have become one. It records the
	// node's floor durably before it discards anything, so that until it is
	// back there its log is no evidence, and forgets it only when all that from
	// had is copied.
	Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error
}
