package reparent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// InfeasibleError is returned when the pre-flight check says that the change
// could revoke but not establish, which would turn a partial outage into a
// total one. Nothing was touched.
type InfeasibleError struct {
	Missing [][]leadership.NodeID // any one of these sets would do
	Err     error
}

func (e *InfeasibleError) Error() string {
	s := "reparent: it cannot succeed now: " + e.Err.Error()
	if len(e.Missing) > 0 {
		alts := make([]string, len(e.Missing))
		for i, m := range e.Missing {
			alts[i] = strings.Trim(fmt.Sprint(m), "[]")
		}
		s += "; it would with: " + strings.Join(alts, ", or with: ")
	}
	return s
}

// Unwrap returns what the check said.
func (e *InfeasibleError) Unwrap() error { return e.Err }

// NotExecuted reports true.
func (e *InfeasibleError) NotExecuted() bool { return true }

// preflight refuses a change that could not be finished.
func (a *attempt) preflight(context.Context) error {
	r, _, err := a.regard()
	if r == nil {
		return err
	}
	if err == nil {
		err = a.leaderHelps()
	}
	if err == nil {
		return nil
	}
	var diverged *leadership.DivergedError
	if a.change.Force && !errors.As(err, &diverged) {
		a.rep.note("forced although the pre-flight check said: %v", err)
		return nil
	}
	return &InfeasibleError{Missing: r.Missing(), Err: err}
}

// leaderHelps checks that an orderly change has a leader that can step down.
func (a *attempt) leaderHelps() error {
	if !a.change.orderly() || a.change.Revoke != nil {
		return nil
	}
	n, err := a.node(a.from)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.statuses, func(s leadership.Status) bool { return s.Node == a.from })
	switch {
	case n.StepDown == nil && !a.change.LeaderLed:
		return &leadership.NotReadyError{Node: a.from, Reason: "it leads and its adapter offers no StepDown: run an emergency change"}
	case i < 0 || !a.statuses[i].Reachable:
		return &leadership.NotReadyError{Node: a.from, Reason: "it leads and does not answer: run an emergency change"}
	}
	return nil
}
