package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Node is a node under test: what a guard sees of it, and what clients do.
type Node struct {
	// Node is what an adapter offers to reparent.New. ID and Addr may be left
	// empty. Every call of a coordinator reaches it as a message. What is offered
	// must be the same in every life of a host.
	reparent.Node
	// Client is how clients use the node. Required.
	Client Client
	// Inspect lets checks look at the node's durable state. Optional: without
	// it only what the node answers is checked.
	Inspect Inspector
}

// Client is a node as its clients use it: a log of unique numbers.
type Client interface {
	// Append adds v at the end. An error for which leadership.NotExecuted
	// holds says that v is not in the log and never will be; any other says
	// that nobody knows. Both are checked.
	Append(ctx context.Context, v uint64) error
	// Read returns the log as a client of this node sees it now, confirmed:
	// it holds everything acknowledged by anyone before the call, or fails.
	Read(ctx context.Context) ([]uint64, error)
}

// Inspector shows a node's durable state to the checks. It is called while
// nothing runs, also when the host is down, and must neither block nor change
// anything.
type Inspector interface {
	Facts() Facts
}

// Facts is a node's durable state, and what follows from it. Slices must not be
// changed after they were returned; appending behind their end is no change.
type Facts struct {
	// Promised is the highest term promised on disk, the effective one: no
	// lower than that of the last entry.
	Promised leadership.Term
	// Source is whom it accepts entries from, zero for nobody.
	Source leadership.Leadership
	// Leads is the term it would complete requests under now, zero when it
	// leads nobody. This one is volatile.
	Leads leadership.Term
	// Rulesets are those an entry must be durable under to be completed by
	// this node, when it leads.
	Rulesets []leadership.Ruleset
	// Log is the durable log, markers included.
	Log []Entry
	// Completed is how many entries of Log it knows to be completed.
	Completed int
	// Out says that the node takes no part: it accepts nothing, promises
	// nothing and leads nobody, until somebody replaces it. It lost storage.
	Out bool
	// Floor says that entries were discarded for a repair, that this was noted
	// on disk before, and that the log is not known to be back where it was.
	Floor bool
	// Incarnation names the storage, when the node tells: with another one it
	// is another node, and nothing is expected of it that the old one said.
	Incarnation string
}

// Entry is one entry of a log.
type Entry struct {
	Term leadership.Term
	// Value is 0 for a marker.
	Value  uint64
	Marker *leadership.Marker
}

// same reports whether two entries are one.
func (e Entry) same(o Entry) bool { return e.Term == o.Term && e.Value == o.Value }

// Event is something that happened at a node. Those that pass through messages
// (promises, installations, grants, answers) are seen by the kit itself; what
// only the node knows it tells by Host.Saw.
type Event struct {
	Kind EventKind
	// Node is where it happened. Host.Saw sets it.
	Node leadership.NodeID
	// Leadership is under which it happened.
	Leadership leadership.Leadership
	// Index is the place in the log, from 1; Entry is what is there.
	Index int
	Entry Entry
	// Marker is that of an installation.
	Marker *leadership.Marker
	// Read is what a client was shown.
	Read []uint64
	// Testimony and Acceptance are what was answered.
	Testimony  *leadership.Testimony
	Acceptance *leadership.Acceptance
}

// EventKind says what happened.
type EventKind string

// Events. Those marked (node) come from Host.Saw.
const (
	// Promised: a promise was answered with a testimony.
	Promised EventKind = "promised"
	// SteppedDown: a step-down was answered with a testimony.
	SteppedDown EventKind = "stepped down"
	// Installing (node): a marker is about to be written.
	Installing EventKind = "installing"
	// Installed: an installation was answered.
	Installed EventKind = "installed"
	// Followed: a follower answered that it has the marker.
	Followed EventKind = "followed"
	// Granted (node): the node takes requests of clients from now on.
	Granted EventKind = "granted"
	// Completed (node): a leader completes the entry at Index.
	Completed EventKind = "completed"
	// Accepted (node): a follower is about to acknowledge that it has the
	// entries up to Index from the leader of Leadership.
	Accepted EventKind = "accepted"
	// Truncated (node): entries from Index on are about to be discarded.
	Truncated EventKind = "truncated"
	// LeaseRead (node): the leader of Leadership found its lease valid, and
	// answers a read by nothing else.
	LeaseRead EventKind = "lease read"
	// ReadBack: a position that was read after a promise was answered with a
	// testimony.
	ReadBack EventKind = "read back"
	// LostStorage: the disk of the node is gone. What it had promised and
	// accepted is not there any more.
	LostStorage EventKind = "lost storage"
	// Isolated: the node is cut off from all but coordinators, by a
	// revocation of the term of Leadership.
	Isolated EventKind = "isolated"
	// Released: it is not any more.
	Released EventKind = "released"
)
