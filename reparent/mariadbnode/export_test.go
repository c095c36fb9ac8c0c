package mariadbnode

import (
	"context"

	"github.com/tenure-go/tenure/leadership"
)

// Evict ends a connection that was seen to have the turn, and to have noted t.
func Evict(ctx context.Context, n *Node, conn uint64, t leadership.Term) error {
	return n.pinned(ctx, func(s *session) error { return s.evict(ctx, holder{conn: conn, wrote: conn, term: t}) })
}

// Settled reports whether the server is seen to have applied what it received.
func Settled(ctx context.Context, n *Node) (bool, error) {
	l, err := n.look(ctx, n.pool())
	return l.settled(), err
}
