package leadership

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenure-go/tenure/internal/nils"
)

var (
	// ErrEmptyCohort is returned for a cohort or a ruleset of no nodes.
	ErrEmptyCohort = errors.New("leadership: the cohort is empty")
	// ErrUnknownOutcome marks an operation that may or may not have taken
	// effect. It is never returned for one that is known not to have.
	ErrUnknownOutcome = errors.New("leadership: unknown outcome: it may or may not have happened")
	// ErrClosed is returned by a registry, a barrier or a store after Close.
	ErrClosed = errors.New("leadership: closed")
	// ErrNotMinted is returned when a Revocation, Proposal or Installed was
	// not made by the step before it (a zero value, or a nil pointer).
	ErrNotMinted = errors.New("leadership: this value was not minted by the step that must precede it")
	// ErrNoRegistry is returned by Update for a nil Registry.
	ErrNoRegistry = errors.New("leadership: no registry given")
	// ErrNoPolicy is returned for a nil policy or an empty policy spec.
	ErrNoPolicy = errors.New("leadership: no durability policy given")
)

// TermError is returned for a term that no attempt may use.
type TermError struct{ Text, Reason string }

func (e *TermError) Error() string {
	return fmt.Sprintf("leadership: bad term %q: %s", e.Text, e.Reason)
}

// TextError is returned when a text that should be of our making is not.
type TextError struct{ What, Text, Reason string }

func (e *TextError) Error() string {
	return fmt.Sprintf("leadership: bad %s %q: %s", e.What, e.Text, e.Reason)
}

// NodeIDError is returned for a NodeID of the wrong form.
type NodeIDError struct{ ID NodeID }

func (e *NodeIDError) Error() string {
	return fmt.Sprintf("leadership: bad node id %q: want [A-Za-z0-9][A-Za-z0-9._-]{0,62}", string(e.ID))
}

// CohortSizeError is returned for more than MaxMembers nodes in one bit space.
type CohortSizeError struct{ Size int }

func (e *CohortSizeError) Error() string {
	return fmt.Sprintf("leadership: a cohort of %d: at most %d members", e.Size, MaxMembers)
}

// DuplicateNodeError is returned when a node is named twice.
type DuplicateNodeError struct{ Node NodeID }

func (e *DuplicateNodeError) Error() string {
	return fmt.Sprintf("leadership: node %s is named twice", e.Node)
}

// UnknownNodeError is returned for a node that is not in the cohort.
type UnknownNodeError struct{ Node NodeID }

func (e *UnknownNodeError) Error() string {
	return fmt.Sprintf("leadership: node %q is not in the cohort", string(e.Node))
}

// WeightError is returned for a negative weight.
type WeightError struct {
	Node   NodeID
	Weight int
}

func (e *WeightError) Error() string {
	return fmt.Sprintf("leadership: node %s has weight %d: weights are not negative", e.Node, e.Weight)
}

// PolicyError is returned for a policy that cannot be used with these nodes:
// its spec cannot be parsed, no set of the cohort satisfies it for any
// eligible leader, or it is no durability predicate at all.
type PolicyError struct{ Spec, Reason string }

func (e *PolicyError) Error() string {
	return fmt.Sprintf("leadership: policy %q: %s", e.Spec, e.Reason)
}

// UnenforceablePolicyError is returned when a node's engine cannot keep the
// policy at the leader. A leader that completes by anything weaker than the
// policy used for revocation voids every revocation made by followers.
type UnenforceablePolicyError struct {
	Node   NodeID
	Policy string
	Err    error
}

func (e *UnenforceablePolicyError) Error() string {
	return fmt.Sprintf("leadership: node %s cannot enforce policy %q as leader: %v", e.Node, e.Policy, e.Err)
}

// Unwrap returns the node's own reason.
func (e *UnenforceablePolicyError) Unwrap() error { return e.Err }

// IneligibleError is returned for a leader that may not lead.
type IneligibleError struct {
	Node   NodeID
	Reason string
}

func (e *IneligibleError) Error() string {
	return fmt.Sprintf("leadership: node %s cannot lead: %s", e.Node, e.Reason)
}

// StaleTermError is returned by a node that has promised a higher term than
// the one asked with. The operation was not executed. Whoever asks takes it for
// the word of a newer attempt only when Promised is above the term it asked with.
type StaleTermError struct {
	Node     NodeID
	Asked    Term
	Promised Term
}

func (e *StaleTermError) Error() string {
	if !e.Asked.Less(e.Promised) {
		return fmt.Sprintf("leadership: node %s refuses term %s and names %s, which is not above it", e.Node, e.Asked, e.Promised)
	}
	return fmt.Sprintf("leadership: node %s has promised term %s, above %s: a newer attempt exists", e.Node, e.Promised, e.Asked)
}

// NotExecuted reports true.
func (e *StaleTermError) NotExecuted() bool { return true }

// ContradictionError is returned for a refusal that says nothing: by the contract
// of every call with a term a node refuses only below its promise, and this one
// named a promise that is not above the term it was asked with. The node may be
// between two promises, the answer may be of another call, or its adapter errs. So
// it is proof of neither thing that a refusal proves: what was asked may have been
// done, and whether a newer attempt exists is not known. It is an
// ErrUnknownOutcome. Asked again, the node may know better.
type ContradictionError struct {
	Node     NodeID
	Asked    Term
	Promised Term // the highest that it named
	Err      error
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("leadership: node %s refused term %s and names a promise of %s, which is not above it: it may have done it all the same: ask it again: %v", e.Node, e.Asked, e.Promised, e.Err)
}

// Unwrap returns ErrUnknownOutcome and the answer.
func (e *ContradictionError) Unwrap() []error { return []error{ErrUnknownOutcome, e.Err} }

// NotExecuted reports false, whatever the answer says of itself.
func (e *ContradictionError) NotExecuted() bool { return false }

// SupersededError is returned when a newer attempt exists. The loser touches
// nothing more.
type SupersededError struct {
	Term Term
	By   Term
}

func (e *SupersededError) Error() string {
	return fmt.Sprintf("leadership: term %s was superseded by term %s", e.Term, e.By)
}

// BusyError is returned when another change is under way, whose intent it has.
type BusyError struct{ Intent Intent }

func (e *BusyError) Error() string {
	return fmt.Sprintf("leadership: busy: %s (resume it, or force this one)", e.Intent)
}

// IncarnationError is returned for testimony or a record of another storage
// incarnation or identity than the one expected.
type IncarnationError struct {
	Node      NodeID
	Want, Got string
}

func (e *IncarnationError) Error() string {
	return fmt.Sprintf("leadership: node %s: storage incarnation %q, want %q: a node whose storage was replaced is another node", e.Node, e.Got, e.Want)
}

// CounterExample is a way in which an old leadership could still do what a
// test says it cannot.
type CounterExample struct {
	Ruleset uint64   `json:"ruleset"` // the version of the ruleset it is under
	Leader  NodeID   `json:"leader"`  // who could lead
	Could   []NodeID `json:"could"`   // with which set, the leader included
}

// String returns "n1 could still complete with {n1, n3}: reach n1 or n3".
func (c CounterExample) String() string { return c.text("could still complete with") }

func (c CounterExample) text(verb string) string {
	return fmt.Sprintf("%s %s %s (ruleset %d): reach %s", c.Leader, verb, setText(c.Could), c.Ruleset, orText(c.Could))
}

// NotRevokedError is returned while some potential leader could still complete
// a new request with nodes that were not reached.
type NotRevokedError struct {
	Term    Term
	Counter CounterExample
}

func (e *NotRevokedError) Error() string {
	return fmt.Sprintf("leadership: not revoked below term %s: %s", e.Term, e.Counter)
}

// NotDiscoveredError is returned while a completed request could exist only on
// nodes whose position was not read.
type NotDiscoveredError struct {
	Term    Term
	Counter CounterExample
}

func (e *NotDiscoveredError) Error() string {
	return fmt.Sprintf("leadership: not discovered at term %s: %s", e.Term, e.Counter.text("could have completed a request seen only by"))
}

// NotReadyError is returned when the node cannot be established: it was not
// reached, or too few willing nodes were to make its marker durable.
type NotReadyError struct {
	Node   NodeID
	Reason string
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("leadership: %s is not ready to lead: %s", e.Node, e.Reason)
}

// NotDurableError is returned while the marker of a proposal is not on a
// durable set under every ruleset in force.
type NotDurableError struct {
	Term    Term
	Leader  NodeID
	Ruleset uint64
	Have    []NodeID
	Missing []NodeID // members that have not accepted it
}

func (e *NotDurableError) Error() string {
	return fmt.Sprintf("leadership: the marker of %s@%s is not durable under ruleset %d: it is on %s, waiting for some of %s",
		e.Leader, e.Term, e.Ruleset, setText(e.Have), setText(e.Missing))
}

// ReadBeforeBlockError is returned for a position that was read before the
// node's own block and before revocation held: an acknowledgement given in
// between would be missed.
type ReadBeforeBlockError struct{ Node NodeID }

func (e *ReadBeforeBlockError) Error() string {
	return fmt.Sprintf("leadership: the position of %s was read before it was blocked, it proves nothing: read it again", e.Node)
}

// DivergedError names nodes whose logs disagree within one term, so that no
// choice between them is provably right. The change stops; an operator
// decides, with a Waiver, which of them is gone.
type DivergedError struct {
	Positions []NodePosition
	// Without, unless zero, is the term of an attempt that was let go on without
	// a log (Waiver.Loss), and was given up: the first of Positions has its
	// marker, the second is of a node that was declared gone for it and is back,
	// and holds what the first does not. Nothing tells which of the two clients
	// were answered from.
	Without Term
}

func (e *DivergedError) Error() string {
	parts := make([]string, 0, len(e.Positions))
	for _, p := range e.Positions {
		parts = append(parts, string(p.Node)+" at "+p.Position.String())
	}
	if !e.Without.IsZero() {
		return "leadership: a log was given up as lost at term " + e.Without.String() + ", is back, and was not replaced: " + strings.Join(parts, ", ") + ": keep both and decide by hand: declare one of the nodes gone, with it down"
	}
	return "leadership: diverged within one term: " + strings.Join(parts, ", ") + ": an invariant is broken, keep all of them and decide by hand"
}

// Nodes returns the diverged nodes.
func (e *DivergedError) Nodes() []NodeID {
	ids := make([]NodeID, 0, len(e.Positions))
	for _, p := range e.Positions {
		ids = append(ids, p.Node)
	}
	return ids
}

// BarredError is returned for a node that may not be evidence or candidate:
// it is below the floor that it recorded before a repair, or the record bars
// this incarnation.
type BarredError struct {
	Node   NodeID
	Reason string
}

func (e *BarredError) Error() string {
	return fmt.Sprintf("leadership: node %s is barred: %s", e.Node, e.Reason)
}

// BoundError is returned when a term is asked to carry a second proposal.
type BoundError struct {
	Term    Term
	To      NodeID
	Ruleset uint64
}

func (e *BoundError) Error() string {
	return fmt.Sprintf("leadership: term %s is bound to %s with ruleset %d: another candidate or ruleset takes a new term", e.Term, e.To, e.Ruleset)
}

// WaiverError is returned for a waiver that lacks what makes it accountable.
type WaiverError struct{ Reason string }

func (e *WaiverError) Error() string { return "leadership: waiver refused: " + e.Reason }

// ConflictError is returned by Registry.Swap when the record has another
// version than the base. Nothing was written.
type ConflictError struct{ Base, Current uint64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("leadership: registry is at version %d, not %d", e.Current, e.Base)
}

// NotExecuted reports true.
func (e *ConflictError) NotExecuted() bool { return true }

// TransitionError is returned for a step that the record does not allow.
// Nothing was written.
type TransitionError struct{ Step, Reason string }

func (e *TransitionError) Error() string {
	return fmt.Sprintf("leadership: cannot %s: %s", e.Step, e.Reason)
}

// NotExecuted reports true.
func (e *TransitionError) NotExecuted() bool { return true }

// CorruptError is returned for a registry or acceptor file that cannot be
// trusted. It is never repaired silently: the file is left as it is.
type CorruptError struct {
	Path   string
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("leadership: corrupt file %s: %s", e.Path, e.Reason)
}

// NotExecuted reports whether err proves that the operation it is about had no
// effect and never will have. It follows wrapped and joined errors; one part of
// a joined error that proves nothing makes the whole prove nothing. A nil pointer
// proves nothing, whatever its method says: it is what a call that succeeded
// returns by mistake.
func NotExecuted(err error) bool {
	if nils.Is(err) {
		return false
	}
	if p, ok := err.(interface{ NotExecuted() bool }); ok {
		return p.NotExecuted()
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return NotExecuted(u.Unwrap())
	case interface{ Unwrap() []error }:
		errs := u.Unwrap()
		return len(errs) > 0 && !slices.ContainsFunc(errs, func(e error) bool { return !NotExecuted(e) })
	}
	return false
}

func setText(ids []NodeID) string { return "{" + joinIDs(ids, ", ") + "}" }

func orText(ids []NodeID) string { return joinIDs(ids, " or ") }

func joinIDs(ids []NodeID, sep string) string {
	ss := make([]string, len(ids))
	for i, id := range ids {
		ss[i] = string(id)
	}
	return strings.Join(ss, sep)
}
