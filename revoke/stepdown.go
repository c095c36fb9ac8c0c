package revoke

import (
	"context"
	"maps"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// StepDown drains the leader and lets it promise: the one mechanism in which
// the old leader takes part, and the one that costs clients no error. Make one
// with NewStepDown.
type StepDown struct {
	nodes map[leadership.NodeID]StepDowner
}

// NewStepDown returns the mechanism over the nodes that can step down. Errors as
// NewProposal.
func NewStepDown(nodes map[leadership.NodeID]StepDowner) (*StepDown, error) {
	if err := checkNodes(nodes); err != nil {
		return nil, err
	}
	return &StepDown{nodes: maps.Clone(nodes)}, nil
}

// Revoke implements Revoker: it drains ask.Leader for at most ask.Drain, and
// then steps it down. It fails before anything is touched when ask.Leader is
// empty or unknown. A drain that fails is not followed by a step-down: the
// node then resumes by itself. When ctx ends between the two, likewise.
func (s *StepDown) Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if err := begin(ctx, ask, report); err != nil {
		return err
	}
	if s == nil {
		return ErrNilMechanism
	}
	id := ask.Leader
	n, ok := s.nodes[id]
	switch {
	case id == "":
		return &TargetError{Reason: "no leader is known that could step down"}
	case !ok:
		return &leadership.UnknownNodeError{Node: id}
	}
	d, err := n.Drain(ctx, ask.Term, ask.Drain)
	if err != nil {
		return s.failed(id, "drain", ask.Term, err, report)
	}
	if ask.Drained != nil {
		ask.Drained(id, d)
	}
	if ctx.Err() != nil {
		return &NodeError{Node: id, Op: "step down", Err: context.Cause(ctx)}
	}
	t, err := n.StepDown(ctx, ask.Term)
	if err != nil {
		return nodecall.Partial{Err: s.failed(id, "step down", ask.Term, err, report)} // it has drained
	}
	if err := say(&t, id, ask.Term, "step down", "step-down"); err != nil {
		return err
	}
	report(t)
	return nil
}

func (s *StepDown) failed(id leadership.NodeID, op string, t leadership.Term, err error, report func(leadership.Testimony)) error {
	if r, ok := refused(id, t, err); ok {
		r.Mechanism = "step-down"
		report(r)
	}
	return &NodeError{Node: id, Op: op, Err: nodecall.Judge(t, err)}
}
