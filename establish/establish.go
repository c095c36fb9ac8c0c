package establish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Establisher is a mechanism that makes a proposed leadership true.
type Establisher interface {
	// Install brings the candidate to the selected log, installs the marker
	// there, lets the members follow, and reports each acceptance as it
	// comes. It returns when all have answered or ctx has ended, nil only in
	// the former case; by then every goroutine it started has ended. report
	// may be called from several goroutines at once.
	Install(ctx context.Context, p *leadership.Proposal, report func(leadership.Acceptance)) error
	// Grant opens the installed leader to clients. It is idempotent. After an
	// error, or the end of ctx, the node may lead all the same.
	Grant(ctx context.Context, in *leadership.Installed) error
}

// Options tune how nodes are asked.
type Options struct {
	// Retry is the pause before a node that failed is asked again, until ctx
	// ends; one that has promised a higher term is not. 0: each node is asked
	// once. Donors are asked once each, one after the other. A node that refuses
	// without naming a higher term has not answered: it is asked again like one
	// that failed, and its error is a *leadership.ContradictionError.
	Retry time.Duration
	_     struct{}
}

// ErrNilNode is returned for a nil Candidate, Follower or Repairer, for a nil
// report, by nil Nodes, and by NewProposal and NewSource when there is no candidate at all.
var ErrNilNode = errors.New("establish: nil node")

// NodeError is what asking one node came to.
type NodeError struct {
	Node leadership.NodeID
	Op   string // "catch up from", "install", "follow", "read", "repair", "grant", ...
	Err  error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("establish: %s at %s: %v", e.Op, e.Node, e.Err)
}

// Unwrap returns the node's own error.
func (e *NodeError) Unwrap() error { return e.Err }

// CatchUpError is returned when no donor could bring the candidate to the
// selected position.
type CatchUpError struct {
	Node   leadership.NodeID
	Donors []leadership.NodeID
	Err    error
}

func (e *CatchUpError) Error() string {
	return fmt.Sprintf("establish: %s could not be brought to the selected log from %v: %v", e.Node, e.Donors, e.Err)
}

// Unwrap returns the donors' errors, joined.
func (e *CatchUpError) Unwrap() error { return e.Err }

// NeedsRepairError names a member that was left out because its log cannot get
// to the selected one by appending and that has no Repairer.
type NeedsRepairError struct {
	Node          leadership.NodeID
	At, Selection leadership.Position
}

func (e *NeedsRepairError) Error() string {
	return fmt.Sprintf("establish: %s is at %s, which the selected log %s does not contain: it was left out: it needs a repair and offers none", e.Node, e.At, e.Selection)
}
