package revoke

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Lessor gives leases of leadership.
type Lessor interface {
	// Expire makes it durably impossible that a lease of leader below t is
	// given or renewed, and returns the longest time that one given before
	// may still run, counted on the lessor's clock from the moment it
	// answers. A lessor that restarted and has forgotten what it gave
	// answers with one full lease.
	Expire(ctx context.Context, t leadership.Term, leader leadership.NodeID) (left time.Duration, err error)
}

// Lease is revocation by waiting until the leader's lease has run out. It
// reaches neither the leader nor its followers, and it discovers nothing: the
// positions must still be read, after the wait.
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
// involved, as a fraction: 0.01 for one percent. It returns ErrNilMechanism or
// a *RateError.
func NewLease(lessor Lessor, rho float64) (*Lease, error) {
	if lessor == nil {
		return nil, ErrNilMechanism
	}
	if _, err := LeaseWait(0, rho); err != nil {
		return nil, err
	}
	return &Lease{lessor: lessor, rho: rho}, nil
}

// LeaseWait returns how long to wait, on one's own clock, so that a lease with
// left to run on another's is over on the leader's: left * (1+rho)/(1-rho).
// The leader, counting from when it sent the renewal, stops no later than
// left/(1-rho) in real time; we, counting on, have waited at least
// W/(1+rho). It returns a *RateError.
func LeaseWait(left time.Duration, rho float64) (time.Duration, error) {
	if math.IsNaN(rho) || rho < 0 || rho >= 1 {
		return 0, &RateError{Rho: rho}
	}
	if left <= 0 {
		return 0, nil
	}
	w := math.Ceil(float64(left) * (1 + rho) / (1 - rho))
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
	if ask.Leader == "" {
		return &TargetError{Reason: "no leader is known whose lease could expire"}
	}
	left, err := l.lessor.Expire(ctx, ask.Term, ask.Leader)
	if err != nil {
		if r, ok := refused(ask.Leader, err); ok {
			report(r)
		}
		return &NodeError{Node: ask.Leader, Op: "expire the lease of", Err: err}
	}
	wait, err := LeaseWait(left, l.rho)
	if err != nil {
		return err
	}
	if wait > 0 && !sleep(ctx, wait) {
		return &NodeError{Node: ask.Leader, Op: "wait for the lease of", Err: context.Cause(ctx)}
	}
	report(leadership.Testimony{Node: ask.Leader, Term: ask.Term, Kind: leadership.LeaseExpired, Mechanism: "lease"})
	return nil
}
