package reparent_test

import (
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// truthful checks what coordinators said of their changes against what became
// of them.
func (c *cluster) truthful() error {
	granted := map[leadership.Term]bool{}
	for _, g := range c.grants {
		granted[g.Term] = true
	}
	for _, r := range c.reports {
		switch {
		case r.Outcome == reparent.NotStarted && c.promised[r.Term]:
			return fmt.Errorf("G9: reported as not started, and a node promised %s:\n%s", r.Term, r)
		case r.Outcome == reparent.Done && !granted[r.Term]:
			return fmt.Errorf("G9: reported as done, and %s was never granted:\n%s", r.Term, r)
		case r.Outcome == reparent.Restored && (r.Undo == nil || !granted[r.Undo.Term]):
			return fmt.Errorf("G9: reported as restored, and nobody was:\n%s", r)
		case r.Outcome != reparent.Done && r.Outcome != reparent.Incomplete && r.Outcome != reparent.Unknown && granted[r.Term] && r.Failed != reparent.StepGrant:
			return fmt.Errorf("G9: %s was granted, and is reported as %s:\n%s", r.Term, r.Outcome, r)
		case (r.Err == nil) != (r.Outcome == reparent.Done):
			return fmt.Errorf("G9: outcome %s with error %v", r.Outcome, r.Err)
		case leadership.NotExecuted(r.Err) && c.promised[r.Term] && r.Outcome == reparent.NotStarted:
			return fmt.Errorf("G9: %v proves that nothing happened, and it did", r.Err)
		}
	}
	return nil
}

// verify checks what clients were told against the log that a leader has.
func (c *cluster) verify(leader leadership.NodeID) error {
	if err := errors.Join(c.err, c.truthful()); err != nil {
		return err
	}
	at := map[int]int{}
	for _, e := range c.nodes[leader].log {
		if e.Val != 0 {
			if at[e.Val]++; at[e.Val] > 1 {
				return fmt.Errorf("G2: write %d is in the log twice", e.Val)
			}
		}
	}
	for v := range c.acked {
		if at[v] == 0 {
			return fmt.Errorf("G2: write %d was acknowledged and is lost", v)
		}
	}
	for v := range c.refused {
		if at[v] != 0 {
			return fmt.Errorf("G9: write %d was refused as not executed and is in the log", v)
		}
	}
	return nil
}
