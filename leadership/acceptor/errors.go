package acceptor

import (
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
)

// ErrNotOpen is returned by every call on an Acceptor that was not made by
// Create or Open. Nothing was touched.
var ErrNotOpen = errors.New("acceptor: not made by Create or Open")

// ArgumentError is returned for an argument that no call may have. Nothing was
// touched.
type ArgumentError struct{ Name, Reason string }

func (e *ArgumentError) Error() string {
	return fmt.Sprintf("acceptor: bad %s: %s", e.Name, e.Reason)
}

// NotExecuted reports true.
func (e *ArgumentError) NotExecuted() bool { return true }

// ExistsError is returned by Create when the store already holds a record.
// A node is created once in its life; after that it is opened.
type ExistsError struct{ Record State }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("acceptor: the store already holds the record of %s, incarnation %q: open it", e.Record.Node, e.Record.Incarnation)
}

// NotExecuted reports true.
func (e *ExistsError) NotExecuted() bool { return true }

// NoRecordError is returned by Open when the store holds no record. The gate
// stays shut: a voter that lost what it promised is not the node that promised
// it. It comes back under another NodeID, which a change of the ruleset admits in
// place of the lost one. Another incarnation under the old NodeID protects nothing:
// the others would take its empty log for evidence that nothing was completed, and
// its acknowledgements for those of the node that promised.
type NoRecordError struct {
	Node        leadership.NodeID
	Incarnation string
}

func (e *NoRecordError) Error() string {
	of := string(e.Node)
	if e.Incarnation != "" && e.Incarnation != Minted {
		of += fmt.Sprintf(", incarnation %q", e.Incarnation)
	}
	return "acceptor: no record of " + of + ": a node that lost its record must come back under another node ID, which a change of the ruleset admits"
}

// NotExecuted reports true.
func (e *NoRecordError) NotExecuted() bool { return true }

// TwoLeadersError is returned when a second leader shows up under one term.
// That cannot happen while every attempt has a term of its own, so it is proof
// of a broken coordinator. The call was not executed.
type TwoLeadersError struct {
	Node leadership.NodeID
	// Have is the leadership that the node knows, Got the one it was asked
	// to take beside it.
	Have, Got leadership.Leadership
}

func (e *TwoLeadersError) Error() string {
	return fmt.Sprintf("acceptor: node %s: term %s has two leaders, %s and %s: an invariant is broken, find who reused the term",
		e.Node, e.Got.Term, e.Have.Leader, e.Got.Leader)
}

// NotExecuted reports true.
func (e *TwoLeadersError) NotExecuted() bool { return true }

// GateError is the refusal of a node whose gate is shut for what was asked,
// although the asked term is not below its promise: it does not follow that
// leader, does not lead, or is in the middle of promising a higher term. It is
// shared between calls and immutable.
type GateError struct {
	Node     leadership.NodeID
	Promised leadership.Term
	// Accepts is the leadership that the gate is open for, if any.
	Accepts leadership.Leadership
	// Leads is the term of the node's own grant, if any.
	Leads leadership.Term
	// Changing says that a higher promise is on its way to the disk, or that
	// nobody knows whether it got there.
	Changing bool
}

func (e *GateError) Error() string {
	s := fmt.Sprintf("acceptor: node %s refuses: promised %s, accepts from %s, leads %s", e.Node, e.Promised, e.Accepts, e.Leads)
	if e.Changing {
		s += ", a higher promise is being made"
	}
	return s
}

// NotExecuted reports true.
func (e *GateError) NotExecuted() bool { return true }

// UnconfirmedError is returned by Confirm, and by Install, when the gate was
// shut while the entry was being written. The entry may be in the log and must
// not be acknowledged. It is an ErrUnknownOutcome.
type UnconfirmedError struct {
	Node       leadership.NodeID
	Leadership leadership.Leadership
}

func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("acceptor: node %s no longer accepts from %s: what was just written may stay in the log, do not acknowledge it", e.Node, e.Leadership)
}

// Unwrap returns leadership.ErrUnknownOutcome.
func (e *UnconfirmedError) Unwrap() error { return leadership.ErrUnknownOutcome }

// UnsettledError is returned when it is not known whether a change of the
// record is on disk: Save failed, or the context ended after the gate was shut.
// The gate stays shut for every term below Term. The same call again, or any
// later one, settles it. It is an ErrUnknownOutcome.
type UnsettledError struct {
	Node leadership.NodeID
	// Term is the promise of the record that was to be written.
	Term leadership.Term
	Err  error
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("acceptor: node %s: not known whether the record with the promise of %s is on disk: %v", e.Node, e.Term, e.Err)
}

// Unwrap returns leadership.ErrUnknownOutcome and the cause.
func (e *UnsettledError) Unwrap() []error { return []error{leadership.ErrUnknownOutcome, e.Err} }

// PendingError is returned for a call that was refused because of a promise
// that is not known to be on disk, and could not be brought there now. The call
// was not executed.
type PendingError struct {
	Node  leadership.NodeID
	Asked leadership.Term
	Err   error // why the promise could not be settled, nil when not tried
}

func (e *PendingError) Error() string {
	s := fmt.Sprintf("acceptor: node %s refuses term %s: a higher promise is not settled", e.Node, e.Asked)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// NotExecuted reports true.
func (e *PendingError) NotExecuted() bool { return true }

// CanceledError is returned when the context ended before anything was
// touched.
type CanceledError struct{ Err error }

func (e *CanceledError) Error() string {
	return fmt.Sprintf("acceptor: not executed: %v", e.Err)
}

// Unwrap returns the cause of the context's end.
func (e *CanceledError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *CanceledError) NotExecuted() bool { return true }

// ReadError is returned beside a valid testimony without a position: the block
// holds, but reading failed. The same call again only reads.
type ReadError struct {
	Node leadership.NodeID
	Term leadership.Term
	Err  error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("acceptor: node %s has promised %s but its position was not read: %v", e.Node, e.Term, e.Err)
}

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// ShortReadingError is the cause of a *ReadError for a Reading that says less
// than the log is known to hold: it is empty although an entry was confirmed, or
// below the term of a marker that was installed here, of the grant, or of
// Options.LogTerm. As evidence it would let completed requests be dropped, so it
// is none. Most often a ReadFunc forgot a field; else entries are gone from the
// log, and the node needs a floor (SetFloor) or another name.
type ShortReadingError struct {
	// Known is a term that the log ends at or above; zero when it is only
	// known not to be empty.
	Known leadership.Term
	Got   leadership.Position
}

func (e *ShortReadingError) Error() string {
	if e.Known.IsZero() {
		return "acceptor: the log was read as empty, and an entry in it was confirmed: does the ReadFunc fill in Position?"
	}
	return fmt.Sprintf("acceptor: the log was read as ending at %q, and it is known to end at term %s or above: does the ReadFunc fill in Position?", e.Got, e.Known)
}
