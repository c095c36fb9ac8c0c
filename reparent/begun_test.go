package reparent_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// ruled is a registry that writes until no is set, and then says why not.
type ruled struct {
	leadership.Registry
	no *error
}

func (r ruled) Swap(ctx context.Context, base uint64, next leadership.Record) (leadership.Record, error) {
	if *r.no != nil {
		return leadership.Record{}, *r.no
	}
	return r.Registry.Swap(ctx, base, next)
}

// What ended the change is proof that one write of the record, or one request of
// somebody else, did nothing. Nodes had promised by then, and one of them may lead.
func TestG9_WhatEndedAChangeThatBeganIsNoProofThatItDidNothing(t *testing.T) {
	t.Parallel()
	why := &leadership.Refusal{Term: leadership.Term{Num: 1, Proposer: "boot-1"}, Reason: "it leads no more"}
	rule := &leadership.TransitionError{Step: "write", Reason: "it is not the time"}
	require.True(t, leadership.NotExecuted(why))
	require.True(t, leadership.NotExecuted(rule))
	steps := []reparent.Step{reparent.StepRevoke, reparent.StepPropose, reparent.StepInstall, reparent.StepActivate, reparent.StepRoute}
	for _, ch := range []reparent.Change{reparent.Emergency(), reparent.Planned("n2")} {
		for _, at := range steps {
			for _, gives := range []bool{false, true} {
				inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					var no error
					p := c.Process("c1")
					p.Registry = ruled{p.Registry, &no}
					g := guard(t, p, func(cfg *reparent.Config) {
						cfg.Hooks.Before = func(_ context.Context, e reparent.Event) error {
							switch {
							case e.Step != at || e.Kind != ch.Kind:
							case gives:
								cancel(why)
							default:
								no = rule
							}
							return nil
						}
					})
					var rep *reparent.Report
					var err error
					require.NoError(t, c.Do(func() { rep, err = p.Run(ctx, g, ch) }))
					require.False(t, rep.Outcome != reparent.NotStarted && leadership.NotExecuted(err), "before %s: %s", at, rep)
					if !gives {
						require.ErrorIs(t, err, rule)
					}
				})
			}
		}
	}
}
