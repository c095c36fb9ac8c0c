package lameduck

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// undated is a context whose deadline is not announced: a plan that does not
// fit into it is begun nevertheless, and forced when it ends.
type undated struct{ context.Context }

// Deadline implements context.Context.
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// drain brings the gate to the end of a drain: its own, or another's that is
// under way or over. It returns ErrResumed when a planned one was undone.
func (s *HTTPServer) drain(ctx context.Context) (Report, error) {
	p := s.opts.Plan
	// Between a drain that ctx has broken off and the one that forces, the gate
	// stays closed.
	p.Hold = true
	limit := time.NewTimer(p.total())
	defer limit.Stop()
	for ctx.Err() == nil {
		changed := s.gate.Changed()
		rep, err := s.gate.Drain(undated{ctx}, p)
		var broken *BrokenOffError
		var phase *PhaseError
		var plan *PlanError
		switch {
		case errors.As(err, &plan) && !p.Until.IsZero():
			p.Until = leadership.Term{} // the term served has risen since
			continue
		case errors.Is(err, ErrDraining):
			select {
			case <-changed:
				continue
			case <-limit.C:
			case <-ctx.Done():
			}
		case errors.As(err, &phase):
			return s.standing(), nil
		case !errors.As(err, &broken):
			return rep, err
		}
		break
	}
	return s.force(ctx)
}

// force closes the gate at once, cancels what runs, and ends another's drain.
func (s *HTTPServer) force(ctx context.Context) (Report, error) {
	o := &s.opts.Plan
	p := Plan{Cancel: s.opts.Close, Leader: o.Leader, Reason: o.Reason, RetryAfter: o.RetryAfter,
		Expire: o.Expire, Survivors: o.Survivors}
	for {
		rep, err := s.gate.Drain(context.WithoutCancel(ctx), p)
		var phase *PhaseError
		switch {
		case errors.Is(err, ErrDraining):
			if s.gate.Resume() == nil {
				continue
			}
		case errors.As(err, &phase):
			return s.standing(), nil
		}
		return rep, err
	}
}

// standing is the report on a gate that others have drained.
func (s *HTTPServer) standing() Report {
	st := s.gate.State()
	return Report{Gate: s.gate.Name(), Term: st.Term, Phase: st.Phase}
}

// closing is what comes after the drain.
type closing struct {
	ctx    context.Context
	conns  *connSet
	served <-chan error // the end of the accept loop
	quiet  time.Duration
	limit  time.Duration
}

// run stops the listener and ends every connection. It returns how many were
// closed in use, how many handlers have not returned, and how the accept loop
// ended.
func (c *closing) run(l *stoppable) (cut, left int, accepting error) {
	timer := time.NewTimer(c.limit)
	defer timer.Stop()
	l.stop(c.quiet, time.Now().Add(c.limit))
	c.conns.linger(c.quiet)
	select {
	case accepting = <-c.served:
	case <-c.ctx.Done():
		_ = l.Close()
		accepting = <-c.served
	}
	// From here on no connection is added.
	if c.empty(timer, c.ctx.Done()) {
		return 0, 0, accepting
	}
	cut = c.conns.closeAll()
	timer.Reset(c.limit)
	c.empty(timer, nil)
	return cut, c.conns.len(), accepting
}

// empty waits until no connection is left and reports whether that is so.
func (c *closing) empty(timer *time.Timer, over <-chan struct{}) bool {
	for c.conns.len() > 0 {
		select {
		case <-c.conns.gone:
			continue
		case <-timer.C:
		case <-over:
		}
		return c.conns.len() == 0
	}
	return true
}
