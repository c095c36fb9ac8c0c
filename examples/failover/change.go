package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// change runs the change that the verb names.
func change(ctx context.Context, c *call) int {
	ch, err := c.change(leadership.Kind(c.verb.name))
	if err != nil {
		return c.out.fail(exitUsage, err)
	}
	if c.dry {
		return c.plan(ctx, ch)
	}
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitNotStarted, err)
	}
	if l := &cl.cfg.Limits.Linger; *l == 0 && (ch.Kind == leadership.KindPlanned || ch.Kind == leadership.KindRefresh) {
		*l = config.Duration(orderlyLinger)
	}
	g, err := cl.guard(c.out.hooks(), nil)
	if err != nil {
		return c.out.fail(exitNotStarted, errors.Join(err, cl.close()))
	}
	rep, err := g.Run(ctx, ch)
	if e := cl.close(); e != nil {
		c.out.errorf("failover: closing: %v", e) // what was done is done
	}
	return c.out.print(document{
		Exit: exitOf(rep.Outcome), Outcome: rep.Outcome, Report: rep, Error: oneText(err), text: rep.String(),
	})
}

// plan says what a change would do.
func plan(ctx context.Context, c *call) int {
	ch, err := c.change(leadership.Kind(c.args[0]))
	if err != nil {
		return c.out.fail(exitUsage, err)
	}
	return c.plan(ctx, ch)
}

// plan plans a change with the code that would run it, and touches nothing. A
// change that would not begin exits as it would if it were run.
func (c *call) plan(ctx context.Context, ch reparent.Change) int {
	cl, err := c.open()
	if err != nil {
		return c.out.fail(exitNotStarted, err)
	}
	g, err := cl.guard(reparent.Hooks{}, nil)
	if err != nil {
		return c.out.fail(exitNotStarted, errors.Join(err, cl.close()))
	}
	p, err := g.Plan(ctx, ch)
	if e := cl.close(); e != nil {
		c.out.errorf("failover: closing: %v", e)
	}
	d := document{DryRun: true, Plan: p, Error: oneText(err), text: p.String()}
	if err != nil {
		d.Exit, d.Outcome = exitNotStarted, reparent.NotStarted
		if ctx.Err() != nil {
			d.Exit, d.Outcome = exitInterrupt, ""
		}
	}
	return c.out.print(d)
}

// change makes the change of a kind from the flags, or says which is missing.
func (c *call) change(kind leadership.Kind) (reparent.Change, error) {
	var ch reparent.Change
	to := leadership.NodeID(c.to)
	needsTo := func() error {
		if to == "" {
			return &usageError{fmt.Sprintf("%s needs -to, the node that is to lead", kind)}
		}
		return nil
	}
	var err error
	switch kind {
	case leadership.KindPlanned:
		err, ch = needsTo(), reparent.Planned(to)
	case leadership.KindEmergency:
		ch = reparent.Emergency()
		ch.To = to
	case leadership.KindRefresh:
		ch = reparent.Refresh()
	case leadership.KindResume:
		ch = reparent.Resume()
	case leadership.KindBootstrap, leadership.KindAdopt:
		rs, rerr := c.cfg.Ruleset()
		err = errors.Join(needsTo(), rerr)
		ch = reparent.Adopt(rs, to)
		if kind == leadership.KindBootstrap {
			ch = reparent.Bootstrap(rs, to)
		}
		ch.Mode = c.cfg.Mode
	default:
		return ch, &usageError{fmt.Sprintf("%q is no kind of change: want planned, emergency, refresh, resume, bootstrap or adopt", kind)}
	}
	if err != nil {
		return ch, err
	}
	if to != "" && (kind == leadership.KindRefresh || kind == leadership.KindResume) {
		return ch, &usageError{fmt.Sprintf("%s chooses who leads by itself: -to makes no sense", kind)}
	}
	ch.Force, ch.GoOnIfLate = c.force, c.late
	return ch, c.waive(&ch)
}

// waive puts a person's statement about lost nodes into the change.
func (c *call) waive(ch *reparent.Change) error {
	if c.gone == "" {
		return nil
	}
	w := leadership.Waiver{Loss: c.loss, Reason: c.reason, By: c.cfg.By}
	for id := range strings.SplitSeq(c.gone, ",") {
		w.Gone = append(w.Gone, leadership.NodeID(strings.TrimSpace(id)))
	}
	if err := w.Validate(); err != nil {
		return &usageError{err.Error()}
	}
	ch.Waiver = &w
	return nil
}
