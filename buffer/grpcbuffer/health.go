package grpcbuffer

import (
	"context"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tenure-go/tenure/lameduck"
)

// expiryPoll is how often Run asks an ended, unsealed gate whether its drain
// has expired. Nothing in a gate announces that, the first question finds it,
// and clients that believe the health service send nothing that would ask.
const expiryPoll = 250 * time.Millisecond

// Run keeps ServerOptions.Health in step with the gate until ctx ends, and
// returns context.Cause(ctx) then: NOT_SERVING from Announced on, SERVING while
// the gate serves, so again after an undo. It is driven by the level of the
// gate, so a change that is undone at once may pass unseen. The expiry of a
// drain (lameduck.Plan.Expire) is noticed within 250ms. It runs in the caller's
// goroutine and starts none; the last status set stays when it returns. Without
// Health it only waits for ctx. A nil ctx is an *ArgumentError.
func (s *Server) Run(ctx context.Context) error {
	switch {
	case s.gate == nil:
		return errNotMade
	case ctx == nil:
		return &ArgumentError{"ctx", "is nil"}
	}
	for {
		changed := s.gate.Changed()
		st := s.gate.State()
		s.setHealth(st.Ready())
		if err := wait(ctx, changed, st); err != nil {
			return err
		}
	}
}

// wait returns when the gate has to be asked again.
func wait(ctx context.Context, changed <-chan struct{}, st lameduck.State) error {
	var poll <-chan time.Time
	if st.Phase.Ended() && st.Sealed.IsZero() {
		t := time.NewTimer(expiryPoll)
		defer t.Stop()
		poll = t.C
	}
	select {
	case <-changed:
	case <-poll:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (s *Server) setHealth(ready bool) {
	if s.o.Health == nil {
		return
	}
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthpb.HealthCheckResponse_SERVING
	}
	for _, name := range s.o.Services {
		s.o.Health.SetServingStatus(name, status)
	}
}
