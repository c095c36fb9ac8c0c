package reparenttest

import (
	"context"

	"github.com/tenure-go/tenure/internal/stepsim"
)

// queue lets whoever saved the acceptor's record in this step go first. It gives
// the acceptor to the next who waits and goes on, and so does that one: which of
// them comes first to what they want next is not the scheduler's to say.
func (n *store) queue(ctx context.Context) error {
	n.mu.Lock()
	second := n.saved != save{} && n.saved.step == n.h.w.now.Load() && n.saved.by != stepsim.Cause(ctx)
	n.mu.Unlock()
	if !second {
		return nil
	}
	return n.h.proc.Yield(ctx, "turn")
}

// save is when and by which request's handler the acceptor's record was saved.
type save struct {
	step int64 // quiescent points before it
	by   uint64
}

func (n *store) noteSave(ctx context.Context) {
	n.mu.Lock()
	n.saved = save{n.h.w.now.Load(), stepsim.Cause(ctx)}
	n.mu.Unlock()
}
