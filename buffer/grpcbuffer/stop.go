package grpcbuffer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/tenure-go/tenure/lameduck"
)

// StopPlan bounds Stop. The zero plan closes the gate at once and cuts every
// connection.
type StopPlan struct {
	// Drain is the plan for the gate. Its Announce is the time that clients
	// get to see NOT_SERVING.
	Drain lameduck.Plan
	// Graceful caps GracefulStop, in which streams may end and the last answers
	// are delivered. It is skipped at 0, and when the drain left requests
	// running: those would keep it waiting for nothing.
	Graceful time.Duration
	// Force caps the wait for handlers after the connections were cut. 0 means
	// 1s. It is the only wait that outlives the context.
	Force time.Duration

	_ struct{}
}

// StopReport is the account of one Stop.
type StopReport struct {
	// Drain is the account of the drain, zero when the gate had been drained
	// before.
	Drain lameduck.Report
	// Graceful is true when GracefulStop ended by itself: no connection was
	// cut.
	Graceful bool
	// GracefulFor and ForceFor are the time spent in each step.
	GracefulFor, ForceFor time.Duration
}

// StuckError is returned by Stop when handlers still run after their contexts
// were cancelled and their connections closed. Nothing can end such a
// goroutine. What remains is those handlers and at most two goroutines of Stop
// that wait for them: in grpc-go before v1.85 Server.Stop waits for the
// handlers of a GracefulStop under way
// (https://github.com/grpc/grpc-go/issues/9393); in any version GracefulStop
// does, and so does Stop under grpc.WaitForHandlers.
type StuckError struct {
	// Handlers is how many calls still run behind the interceptors.
	Handlers int
	// Waiting is how many goroutines of Stop wait for them: 0, 1 or 2.
	Waiting int

	done <-chan struct{}
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("grpcbuffer: stopped, but %d handlers ignore their contexts (%d goroutines wait for them)", e.Handlers, e.Waiting)
}

// Done returns a channel that is closed when all of them have ended.
func (e *StuckError) Done() <-chan struct{} {
	if e.done == nil { // of nobody's
		none := make(chan struct{})
		close(none)
		return none
	}
	return e.done
}

// live counts handlers, and goroutines of Stop, and tells when none is left.
type live struct {
	handlers, waiting atomic.Int64
	// idle is closed and taken out by whoever finds both at zero.
	idle atomic.Pointer[chan struct{}]
}

func (l *live) exit(n *atomic.Int64) {
	n.Add(-1)
	l.wake()
}

// wake is called after a count fell, and after idle was set: whichever of the
// two comes last sees the other.
func (l *live) wake() {
	if l.idle.Load() == nil || l.handlers.Load() != 0 || l.waiting.Load() != 0 {
		return
	}
	if ch := l.idle.Swap(nil); ch != nil {
		close(*ch)
	}
}

func (l *live) ended() <-chan struct{} {
	ch := make(chan struct{})
	if !l.idle.CompareAndSwap(nil, &ch) {
		if other := l.idle.Load(); other != nil {
			return *other
		}
		close(ch) // the other one was closed in between
		return ch
	}
	l.wake()
	return ch
}

// start runs f in a goroutine that is counted, and returns when that ends.
func (l *live) start(f func()) <-chan struct{} {
	done := make(chan struct{})
	l.waiting.Add(1)
	go func() {
		defer close(done)
		defer l.exit(&l.waiting)
		f()
	}()
	return done
}

// Stop takes the server out of service, in this order: the gate is announced
// and, with it, Health goes to NOT_SERVING; the gate drains as plan.Drain says;
// exempt calls such as health watches are cancelled; srv.GracefulStop; and
// srv.Stop for what that leaves. It returns within the sum of the plan's caps
// and of ctx.
//
// While the gate drains, Resume and Serve of the gate undo the stop: it returns
// lameduck.ErrResumed, srv was not touched and serves. The same holds for every
// other error of lameduck.Gate.Drain but *lameduck.ForcedError, which only
// shows in the report; Health is brought in step with the gate once more. A
// gate whose drain ended before is not drained again. From the end of the drain
// on nothing is undone: when ctx ends, the connections are cut at once.
//
// A nil error means that srv is stopped, that every call that came through the
// interceptors has ended, and that no goroutine of Stop is left. *StuckError
// means that srv accepts and serves nothing any more, but handlers run on.
// Before anything is touched: *ArgumentError for a negative bound, a nil ctx or
// a nil srv.
//
// srv must be the only server that uses these interceptors; several Servers can
// share a gate.
func (s *Server) Stop(ctx context.Context, srv *grpc.Server, plan StopPlan) (StopReport, error) {
	var rep StopReport
	switch {
	case s.gate == nil:
		return rep, errNotMade
	case ctx == nil:
		return rep, &ArgumentError{"ctx", "is nil"}
	case srv == nil:
		return rep, &ArgumentError{"server", "is nil"}
	case plan.Graceful < 0:
		return rep, &ArgumentError{"Graceful", "is negative"}
	case plan.Force < 0:
		return rep, &ArgumentError{"Force", "is negative"}
	case plan.Force == 0:
		plan.Force = time.Second
	}
	var forced *lameduck.ForcedError
	var before *lameduck.PhaseError
	var err error
	rep.Drain, err = s.drain(ctx, plan.Drain)
	if err != nil && !errors.As(err, &forced) && (!errors.As(err, &before) || !before.Phase.Ended()) {
		return rep, err
	}
	// It waits for nothing. What it returns says that they were not waited for,
	// or that an earlier Stop did the same.
	_, _ = s.exempt.Drain(context.WithoutCancel(ctx), lameduck.Plan{Reason: "the server stops"})

	if plan.Graceful > 0 && forced == nil {
		start := time.Now()
		rep.Graceful = within(s.live.start(srv.GracefulStop), plan.Graceful, ctx.Done())
		rep.GracefulFor = time.Since(start)
		if rep.Graceful {
			return rep, nil
		}
	}
	start := time.Now()
	s.live.start(srv.Stop)
	ended := s.live.ended()
	ok := within(ended, plan.Force, nil)
	rep.ForceFor = time.Since(start)
	if !ok {
		return rep, &StuckError{Handlers: int(s.live.handlers.Load()), Waiting: int(s.live.waiting.Load()), done: ended}
	}
	return rep, nil
}

// within reports whether done is closed within d and before quit.
func within(done <-chan struct{}, d time.Duration, quit <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	case <-quit:
	}
	return false
}

// drain drains the gate and keeps Health in step meanwhile.
func (s *Server) drain(ctx context.Context, plan lameduck.Plan) (lameduck.Report, error) {
	if s.o.Health == nil {
		return s.gate.Drain(ctx, plan)
	}
	follow, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(follow) })
	rep, err := s.gate.Drain(ctx, plan)
	cancel()
	wg.Wait()
	s.setHealth(s.gate.State().Ready())
	return rep, err
}
