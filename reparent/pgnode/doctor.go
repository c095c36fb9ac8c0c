package pgnode

import (
	"context"

	"github.com/tenure-go/tenure/reparent"
)

// Doctor reads the server's live configuration and says, for each setting that
// can cost a completed write or a change of leadership, what can be lost and what
// mends it. It changes nothing. The error is that of a server that could not be
// asked.
func (n *Node) Doctor(ctx context.Context) ([]reparent.Finding, error) {
	// With no setting of its own, the session has what clients have.
	s, err := dialWith(ctx, n.conf, n.cfg.Limits.Connect, nil)
	if err != nil {
		return nil, n.failed("doctor", err)
	}
	defer s.close()
	f, err := gather(ctx, s)
	if err != nil {
		return nil, n.failed("doctor", err)
	}
	return n.diagnose(f), nil
}
