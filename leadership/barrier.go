package leadership

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Barrier tells the coordinator of a planned change when no request of any
// router is in flight any more. It is for leaders that cannot refuse: a plain
// database server answers a request that was cut off with an error that proves
// nothing (a CALL may have half run), so there the change waits, before the
// leader is stepped down, until every router has said that it is quiet. A
// leader with a gate of its own needs no barrier: its Refusal proves that
// nothing was executed, and the request is held and sent again.
//
//	router                                     coordinator
//	Join, then load the record                 write Intent{Term: t, Phase: Holding}
//	Join again every quarter of the TTL        Wait(t) ...
//	see t held: hold, finish what is in flight
//	Ack(t)                                     ... returns: drain, step down
//	Leave, with nothing in flight
//
// It spares requests an error. No data depends on it: what keeps a superseded
// leader from completing anything is the fence of the nodes, and a router that
// breaks the rules below gets errors of unknown outcome, nothing worse.
//
// # Rules of a router
//
// It sends requests only between a load of the record that began after the Join
// that made its lease (fresh) and the moment in which RouterLease.Usable has passed
// on its own clock since it called the last Join that succeeded; after that it
// joins and loads again first. It acks a term when every request it ever sent to
// a leadership below that term is over, and sends no further one until the record
// shows that the intent of the term is over, or the intent's HoldFor has passed.
// buffer.Buffer.Join keeps these rules.
//
// # Rules of a coordinator
//
// It waits for a term whose intent is Holding in the record already. When Wait has
// returned it looks whether the intent still stands: routers that were let go
// meanwhile have acked, and send. And it steps the leader down before HoldFor has
// passed since it began to write the intent. A reparent.Guard with a Barrier keeps
// these rules, and its report claims nothing when it could not.
//
// # What a lapsed lease means
//
// A router that has died, hangs, or cannot reach the barrier is waited for until
// its lease has lapsed: its TTL after its last renewal. By its own clock it stopped
// sending before that, by the margin TTL - Usable, a fifth of TTL. No clock is
// compared with another; their rates are. With rates that are wrong by up to rho
// each, 2*rho/(1+rho) of TTL is used up by them, and the rest of the margin is for
// a router that is stopped (a paused machine, a long pause of its scheduler)
// between looking at its clock and sending: at rho = 1% nine tenths of the margin.
// What a router that lapsed still had in flight is unknown to everybody, which is
// why RollCall names it.
//
// # Implementations
//
// MemoryBarrier for one process, FileBarrier for the processes of one machine.
// An implementation must be linearizable and safe for concurrent use, and must
// give the lease and the acks of a router up together. leadershiptest.Barrier checks
// one. All methods but Wait return promptly; all return context.Cause when ctx
// ends first, and an error wrapping ErrUnknownOutcome when they cannot tell
// whether a write took effect: calling them again is then harmless.
type Barrier interface {
	// Join takes the lease, or renews it when it has not lapsed. It reports
	// fresh when the router was not counted before this call: a lease that is
	// new, lapsed meanwhile, or was left has acked nothing. It returns a
	// *RouterTakenError while another session holds the router's lease, and a
	// *RouterLeaseError.
	Join(ctx context.Context, l RouterLease) (fresh bool, err error)
	// Ack says that the router is quiet for t: see the rules above. An ack of
	// a term below one that was acked already changes nothing. It does not
	// renew the lease. It returns a *RouterLapsedError when l has no lease any
	// more, a *RouterLeaseError, and a *TermError.
	Ack(ctx context.Context, l RouterLease, t Term) error
	// Leave gives the lease back: the router has no request in flight and
	// sends none until it joins again. One with requests in flight lets the
	// lease lapse instead. Leaving what l does not hold changes nothing.
	Leave(ctx context.Context, l RouterLease) error
	// Wait returns at a moment at which every router with a lease has acked t,
	// those that joined meanwhile included; at once when there is none. It
	// returns a *SupersededError as soon as a router has acked a term above t,
	// a *TermError, and, when ctx ends first, a *NotQuietError. The RollCall
	// is what was last seen, whatever the error. Wait changes nothing, so one
	// that is given up leaves nothing behind.
	Wait(ctx context.Context, t Term) (RollCall, error)
}

// RouterID names a router: a process that sends requests to leaders. Two that
// are alive at once must not have the same name. Its form is that of a NodeID.
type RouterID string

// Validate returns nil, or a *RouterLeaseError.
func (id RouterID) Validate() error {
	if NodeID(id).Validate() != nil {
		return &RouterLeaseError{"Router", fmt.Sprintf("%q: want [A-Za-z0-9][A-Za-z0-9._-]{0,62}", clip(string(id)))}
	}
	return nil
}

const (
	// MinRouterTTL is the shortest TTL: below it timers and schedulers, not
	// routers, decide what lapses.
	MinRouterTTL = 20 * time.Millisecond
	// MaxRouterTTL is the longest: a router that died may hold up a planned
	// change for that long.
	MaxRouterTTL = time.Hour
)

// RouterLease names the lease of a router: the same value is passed to Join, Ack
// and Leave.
type RouterLease struct {
	Router RouterID
	// Session tells this run of the router from an earlier one of the same
	// name, whose acks must not count for it: 1 to 64 bytes of UTF-8, another one
	// for each start of the process.
	Session string
	// TTL is how long after its last renewal the router is counted as alive,
	// MinRouterTTL to MaxRouterTTL.
	TTL time.Duration
	_   struct{}
}

// Usable returns how long after it called Join the router may send by the lease
// that it got: four fifths of TTL.
func (l RouterLease) Usable() time.Duration { return l.TTL - l.TTL/5 }

// Renew returns how long after one Join to call the next: a quarter of TTL, so
// that two may fail before Usable is over.
func (l RouterLease) Renew() time.Duration { return l.TTL / 4 }

// Validate returns nil, or a *RouterLeaseError.
func (l RouterLease) Validate() error {
	switch {
	case l.Session == "" || len(l.Session) > 64 || strings.ToValidUTF8(l.Session, "") != l.Session:
		return &RouterLeaseError{"Session", "want 1 to 64 bytes of UTF-8"}
	case l.TTL < MinRouterTTL || l.TTL > MaxRouterTTL:
		return &RouterLeaseError{"TTL", fmt.Sprintf("%s: want %s to %s", l.TTL, MinRouterTTL, MaxRouterTTL)}
	}
	return l.Router.Validate()
}

// RollCall is what a Wait has seen. The names are sorted.
type RollCall struct {
	Term Term `json:"term"`
	// Quiet have acked the term.
	Quiet []RouterID `json:"quiet,omitempty"`
	// Late have a lease and have not acked the term.
	Late []RouterID `json:"late,omitempty"`
	// Lapsed lost their lease, within about the last minute, without leaving
	// and without having acked the term: they send nothing new, and nobody
	// knows what they still have in flight.
	Lapsed []RouterID `json:"lapsed,omitempty"`
}

// AllQuiet reports whether no router is known that may have a request in flight.
func (r RollCall) AllQuiet() bool { return len(r.Late) == 0 && len(r.Lapsed) == 0 }

// String returns "quiet for 7.c1: r1, r2; late: r3".
func (r RollCall) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "quiet for %s: ", r.Term)
	if len(r.Quiet) == 0 {
		b.WriteString("none")
	}
	b.WriteString(routerText(r.Quiet))
	if len(r.Late) > 0 {
		b.WriteString("; late: " + routerText(r.Late))
	}
	if len(r.Lapsed) > 0 {
		b.WriteString("; lease lapsed: " + routerText(r.Lapsed))
	}
	return b.String()
}

func routerText(ids []RouterID) string {
	ss := make([]string, len(ids))
	for i, id := range ids {
		ss[i] = string(id)
	}
	return strings.Join(ss, ", ")
}

// NotQuietError is returned by Barrier.Wait when its context ends while routers
// are late. Nothing was changed.
type NotQuietError struct {
	Term Term
	Late []RouterID
	Err  error // the cause of the context
}

func (e *NotQuietError) Error() string {
	return fmt.Sprintf("leadership: not quiet for term %s: waited for %s: %v", e.Term, routerText(e.Late), e.Err)
}

// Unwrap returns the cause of the context.
func (e *NotQuietError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *NotQuietError) NotExecuted() bool { return true }

// RouterLeaseError is returned by the methods of a Barrier for a lease that none
// can have. Nothing was changed.
type RouterLeaseError struct{ Field, Reason string }

func (e *RouterLeaseError) Error() string {
	return fmt.Sprintf("leadership: router lease: %s: %s", e.Field, e.Reason)
}

// NotExecuted reports true.
func (e *RouterLeaseError) NotExecuted() bool { return true }

// RouterTakenError is returned by Barrier.Join while another session holds the
// lease of the router: two processes have one name, or an earlier run ended
// without Leave. Nothing was changed. Left bounds how long the other lease lasts
// unless it is renewed.
type RouterTakenError struct {
	Router RouterID
	Left   time.Duration
}

func (e *RouterTakenError) Error() string {
	return fmt.Sprintf("leadership: another session has the lease of router %s for up to %s: wait, or use another name", e.Router, e.Left)
}

// NotExecuted reports true.
func (e *RouterTakenError) NotExecuted() bool { return true }

// RouterLapsedError is returned by Barrier.Ack when the session has no lease.
// Nothing was changed: join, load the record, and ack again.
type RouterLapsedError struct{ Router RouterID }

func (e *RouterLapsedError) Error() string {
	return fmt.Sprintf("leadership: router %s has no lease in this session: it lapsed, or was never taken", e.Router)
}

// NotExecuted reports true.
func (e *RouterLapsedError) NotExecuted() bool { return true }

// ended says what err, which ended a Wait, means: that routers were late when it
// is its context that ended, else what err says.
func (r RollCall) ended(ctx context.Context, err error) error {
	if ctx.Err() == nil || len(r.Late) == 0 {
		return err
	}
	return &NotQuietError{Term: r.Term, Late: r.Late, Err: context.Cause(ctx)}
}
