package reparenttest

import (
	"context"
	"sync"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// decides runs an operation of the acceptor, one after the other, as the acceptor
// would by itself. op calls next when the acceptor is done with it and it has more
// to do.
func (n *store) decides(ctx context.Context, op func(next func()) error) error {
	if err := n.queue(ctx, n.desk, "decide"); err != nil {
		return &acceptor.CanceledError{Err: err}
	}
	next := sync.OnceFunc(func() { <-n.desk })
	defer next()
	return op(next)
}

// queue waits until what at most one may have is free. When one who had it gives it
// to the next, both go on: which of them comes first to what they want then, and
// what a third sees of it, would not be the scheduler's to say. So who had to wait
// goes on in a step of its own.
func (n *store) queue(ctx context.Context, free chan struct{}, what string) error {
	select { // what is free is taken by whoever comes, cancelled or not
	case free <- struct{}{}:
		n.h.proc.Sim().Shaken()
		return nil
	default:
	}
	defer n.does(what, stepsim.Cause(ctx), 0)()
	select {
	case free <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if over(ctx) {
		<-free
		return context.DeadlineExceeded
	}
	if err := n.h.proc.Yield(ctx, "turn"); err != nil {
		<-free
		return err
	}
	return nil
}
