package pgnode

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// scout is a look at the leader that is to be followed, which goes on while the node's own
// server is looked at.
type scout struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when what follows is there
	st     state
	err    error
}

// errNotYet says that the leader is not as far yet, so that the node's turn has to be
// given up: others wait for it.
var errNotYet = errors.New("what the leader holds is not known yet")

// scoutWait is how long a node's turn is kept for a look at its leader.
const scoutWait = 100 * time.Millisecond

func (n *Node) scout(ctx context.Context, p Peer, l leadership.Leadership) *scout {
	s := &scout{done: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		s.st, s.err = n.leading(ctx, p, l, early)
	}()
	return s
}

// soon returns what the leader holds, or errNotYet.
func (s *scout) soon(ctx context.Context) (state, error) {
	t := time.NewTimer(scoutWait)
	defer t.Stop()
	select {
	case <-s.done:
		return s.st, s.err
	case <-t.C:
		return state{}, errNotYet
	case <-ctx.Done():
		return state{}, context.Cause(ctx)
	}
}

// end ends the look, which it waits for as long as it takes when patient, and returns what
// came of it.
func (s *scout) end(patient bool) (state, error) {
	if patient {
		<-s.done
	}
	s.cancel()
	<-s.done
	return s.st, s.err
}
