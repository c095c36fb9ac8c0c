package revoke

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/tenure-go/tenure/internal/nils"
	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// Lessor gives leases of leadership.
type Lessor interface {
	// Expire makes it durably impossible that a lease of leader below t is
	// given or renewed, and returns the longest time that one given before
	// may still run, counted on the lessor's clock from the moment it
	// answers: LeaseWait(L, rho) for a lease of length L, less what has
	// passed since it was given. L less what has passed is too short: the
	// leader's clock may be slower than the lessor's. A lessor that restarted
	// and has forgotten what it gave answers with one full LeaseWait(L, rho).
	Expire(ctx context.Context, t leadership.Term, leader leadership.NodeID) (left time.Duration, err error)
}

// Lease is revocation by waiting until the leader's lease has run out. It
// reaches neither the leader nor its followers, and it discovers nothing: the
// positions must still be read, after the wait. NewLease makes one; the zero Lease
// returns ErrNilMechanism.
type Lease struct {
	lessor Lessor
	rho    float64
}

// RateError is returned for a clock rate error outside [0, 1).
type RateError struct{ Rho float64 }

func (e *RateError) Error() string {
	return fmt.Sprintf("revoke: clock rate error %v: want 0 <= rho < 1", e.Rho)
}

// NewLease returns the mechanism. rho bounds the rate error of every clock
// involved, as a fraction: 0.01 for one percent. 0 takes them to run exactly alike,
// which no two clocks do: a lease is then called over too early, and a node that
// should be blocked may complete. It returns ErrNilMechanism or a *RateError.
func NewLease(lessor Lessor, rho float64) (*Lease, error) {
	if nils.Is(lessor) {
		return nil, ErrNilMechanism
	}
	if _, err := LeaseWait(0, rho); err != nil {
		return nil, err
	}
	return &Lease{lessor: lessor, rho: rho}, nil
}

// LeaseWait returns how long to count on one clock so that left has passed on
// another, when the rate error of both is at most rho: left * (1+rho)/(1-rho),
// rounded up, at most the longest Duration. The other clock needs up to
// left/(1-rho) of real time for it, and ours shows W after no less than
// W/(1+rho). It returns a *RateError. left at or below 0 is over: 0.
//
// It is needed twice. Who grants a lease of length L counts LeaseWait(L, rho)
// from the grant before it calls the lease over, since its own clock may be the
// fast one and the leader's the slow one; what is left of that is what it
// answers. Who waits for the answer scales it again, for its own clock.
func LeaseWait(left time.Duration, rho float64) (time.Duration, error) {
	if math.IsNaN(rho) || rho < 0 || rho >= 1 {
		return 0, &RateError{Rho: rho}
	}
	switch {
	case left <= 0:
		return 0, nil
	case rho == 0:
		return left, nil
	}
	// A few units in the last place upwards: rounding must never be what
	// ends the wait too early.
	w := math.Ceil(float64(left) * (1 + rho) / (1 - rho) * (1 + 1e-15))
	if w >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return time.Duration(w), nil
}

// Revoke implements Revoker: it ends the lease of ask.Leader, waits it out on
// the monotonic clock, and reports the leader as expired. When ctx ends during
// the wait nothing is reported; the lease still cannot be renewed.
func (l *Lease) Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if err := begin(ctx, ask, report); err != nil {
		return err
	}
	if l == nil || l.lessor == nil {
		return ErrNilMechanism
	}
	if ask.Leader == "" {
		return &TargetError{Reason: "no leader is known whose lease could expire"}
	}
	left, err := l.lessor.Expire(ctx, ask.Term, ask.Leader)
	if err != nil {
		if r, ok := refused(ask.Leader, ask.Term, err); ok {
			r.Mechanism = "lease"
			report(r)
		}
		return &NodeError{Node: ask.Leader, Op: "expire the lease of", Err: nodecall.Judge(ask.Term, err)}
	}
	wait, err := LeaseWait(left, l.rho)
	if err != nil {
		return err
	}
	if wait > 0 && !nodecall.Sleep(ctx, wait) {
		return &NodeError{Node: ask.Leader, Op: "wait for the lease of", Err: context.Cause(ctx)}
	}
	report(leadership.Testimony{Node: ask.Leader, Term: ask.Term, Kind: leadership.LeaseExpired, Mechanism: "lease"})
	return nil
}
