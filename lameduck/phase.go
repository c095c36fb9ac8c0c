package lameduck

import (
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// Phase is where a gate stands in its drain.
type Phase uint8

// Phases in the order a drain passes them.
const (
	// Serving admits everything and is ready.
	Serving Phase = iota
	// Announced still admits everything but is not ready: balancers and
	// routers are given the time to look elsewhere.
	Announced
	// DrainUnits refuses new units and streams; singles and continuations pass.
	DrainUnits
	// DrainAll refuses everything but the continuations of admitted units.
	DrainAll
	// Cancelled refuses continuations too; contexts of what still runs are
	// cancelled with a *CancelledError as their cause.
	Cancelled
	// Drained is an end: nothing runs.
	Drained
	// Forced is an end: the caps ran out and something still runs.
	Forced
)

// String returns the phase's name in lower case.
func (p Phase) String() string {
	switch p {
	case Serving:
		return "serving"
	case Announced:
		return "announced"
	case DrainUnits:
		return "drain-units"
	case DrainAll:
		return "drain-all"
	case Cancelled:
		return "cancelled"
	case Drained:
		return "drained"
	case Forced:
		return "forced"
	}
	return "phase(" + strconv.Itoa(int(p)) + ")"
}

// Ended reports whether p is Drained or Forced.
func (p Phase) Ended() bool { return p == Drained || p == Forced }

// Kind is what enters a gate.
type Kind uint8

// Kinds of work.
const (
	// Single is one request that is complete in itself.
	Single Kind = iota
	// Unit is several requests that end together, such as a transaction. The
	// unit itself is idle; each of its requests is a continuation.
	Unit
	// Stream is long-lived and is told to end, never waited for.
	Stream
	// continuation is one request of a unit.
	continuation
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Single:
		return "single"
	case Unit:
		return "unit"
	case Stream:
		return "stream"
	case continuation:
		return "continuation"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// State is a gate's standing at one moment, its ancestors' drains included.
type State struct {
	// Phase is the furthest of the gate's own phase and its ancestors'.
	Phase Phase
	// Term is the term served, zero when none was named.
	Term leadership.Term
	// Sealed is the term of the last Seal of this gate, zero when it is not
	// sealed.
	Sealed leadership.Term
	// Refusal is what new work is refused with now, nil while everything is
	// admitted.
	Refusal *leadership.Refusal
}

// Ready reports whether new work should be sent here.
func (s State) Ready() bool { return s.Phase == Serving }

// Counts is what is in flight.
type Counts struct {
	// Active is the number of requests being executed: singles and
	// continuations.
	Active int
	// Units is the number of open units, idle or not.
	Units int
	// Streams is the number of open streams.
	Streams int
}
