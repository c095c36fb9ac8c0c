package reparent

import (
	"context"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// Statuser is a node that says how it is. What it says is a hint, for
// pre-flight checks and for people; no decision of a change rests on it.
type Statuser interface {
	Status(ctx context.Context) (leadership.Status, error)
}

// Preparer is a node that can do before clients are held what it would else do while
// they wait: connect, read what is slow to read for the first time. Every node that is one
// is asked at the end of StepPrepare of a planned change, all at once and at most
// Limits.Status long, when the term is announced and the candidate is level.
//
// It promises nothing and takes nothing from anybody: the leader serves on, and the change
// may be abandoned right after it. Nothing rests on it, so that an error costs time and is
// a note in the Report.
type Preparer interface {
	Prepare(ctx context.Context, t leadership.Term) error
}

// Node is one node of the cluster as its adapter offers it: what it can do is
// what is not nil. Fields must not change once a Guard has them.
type Node struct {
	ID leadership.NodeID
	// Addr is where clients reach the node; it goes into the record when the
	// node leads.
	Addr string
	// Priority is the operator's preference among equal candidates.
	Priority int

	// Status and Promise are required.
	Status  Statuser
	Promise revoke.Promiser
	// StepDown is needed at a leader for a planned change.
	StepDown revoke.StepDowner
	// HandOver is needed at the leader and at its successor for a planned change
	// that the leader leads itself (Change.LeaderLed).
	HandOver handover.Leader
	// Retire is a step-down that costs a planned change to another node one call
	// of the leader instead of two. StepDown is needed beside it.
	Retire handover.Retirer
	// TakeOver is the other half at the successor: with Retire at the leader and
	// this at the successor, in mode Full, the successor takes over on one message
	// of the coordinator, see package handover.
	TakeOver handover.Successor
	// Candidate is needed to lead, Follow to follow.
	Candidate establish.Candidate
	Follow    establish.Follower
	// Prepare, when given, is asked before a planned change has clients held.
	Prepare Preparer
	// Repair is used by Sweep on a node that cannot follow otherwise.
	Repair establish.Repairer
	// Enforce says which policies the engine can keep at the leader. nil says
	// that it keeps every policy, as a store does that completes by
	// Rules.Durable itself; for an engine with a replication of its own that is
	// a claim which nothing checks. A leader that completes with less than the
	// policy voids every revocation, and acknowledged requests are lost.
	Enforce leadership.Enforcer

	// Truncates says that CatchUp and Follow remove a conflicting tail by
	// themselves, as a log with per-entry terms can.
	Truncates bool
	// GrantsAtInstall says that the engine takes clients as soon as it is
	// installed (pg_promote). Without a ClientGate, something that keeps
	// clients out until Grant, such a node may not be used in Shortcut mode.
	GrantsAtInstall bool
	ClientGate      bool
}
