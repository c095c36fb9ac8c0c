package reparenttest

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// shutGate returns the gate of a node that boots: it serves nobody.
func shutGate(h *Host) (*lameduck.Gate, error) {
	g, err := lameduck.New(lameduck.Options{Name: string(h.ID)})
	if err != nil {
		return nil, err
	}
	_, err = g.Drain(context.Background(), lameduck.Plan{Reason: "not leading"})
	return g, err
}

// enter admits a request of a client, or refuses it with what the node knows of
// where to go.
func (n *store) enter() (lameduck.Token, leadership.Term, error) {
	st, takes := n.acc.Status(), n.takes()
	until := leadership.MaxTerm(st.Promised, st.Leads)
	tok, err := n.gate.Enter(lameduck.Single)
	var r *leadership.Refusal
	switch {
	case errors.As(err, &r):
		out := *r
		out.Until = leadership.MaxTerm(out.Until, until)
		if out.Leader == "" {
			out.Leader = st.Source.Leader
		}
		return tok, takes, &out
	case err != nil:
		return tok, takes, err
	case takes.IsZero():
		tok.Exit()
		return tok, takes, &leadership.Refusal{Until: until, Leader: st.Source.Leader, Reason: "not leading"}
	}
	return tok, takes, nil
}

// Drain implements revoke.StepDowner. The node ends its drain by itself when no
// step-down follows.
func (n *store) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	if err := n.current(t); err != nil {
		return revoke.Drained{}, err
	}
	defer n.does("drain", stepsim.Cause(ctx), 0)()
	rep, err := n.gate.Drain(ctx, lameduck.Plan{All: d, Until: t, Expire: d + 200*time.Millisecond})
	var forced *lameduck.ForcedError
	var ended *lameduck.PhaseError
	switch {
	case errors.As(err, &ended):
		return revoke.Drained{}, nil // it was drained before, or never served
	case errors.As(err, &forced), err == nil:
		return revoke.Drained{Finished: rep.Finished, Survivors: rep.Surviving}, nil
	}
	return revoke.Drained{}, err
}

// close ends what a drain left open, for good: the node has promised t.
func (n *store) close(ctx context.Context, t leadership.Term) {
	for range 3 {
		st := n.gate.State()
		if st.Term.IsZero() || t.Compare(st.Term) <= 0 || t.Compare(st.Sealed) <= 0 {
			return // it serves t, or a later one, or nobody
		}
		if !st.Phase.Ended() {
			_, _ = n.gate.Drain(ctx, lameduck.Plan{Until: t, Reason: "promised away"})
		}
		if n.gate.Seal(t) == nil {
			return
		}
	}
}

// serve opens the gate for a leadership of this node.
func (n *store) serve(t leadership.Term) error {
	var order *lameduck.TermOrderError
	if err := n.gate.Serve(t); err != nil && !errors.As(err, &order) {
		return err
	}
	return nil
}
