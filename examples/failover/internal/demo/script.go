package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

// play is the script.
func (r *run) play(ctx context.Context) error {
	for range 3 {
		if err := r.planned(ctx); err != nil {
			return err
		}
	}
	if err := r.Watch(ctx, "w1", "w2", "w3"); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{r.planned, r.killed, r.planned, r.frozen, r.planned} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// change plays one change, and waits until it has left no trace in the load.
func (r *run) change(ctx context.Context, name string, strict bool, body func(*measure.Change) error) error {
	ch := measure.Change{Name: name, Strict: strict}
	r.Say("%s", name)
	ch.Begin = r.now()
	err := body(&ch)
	if ch.End == 0 {
		ch.End = r.now()
	}
	if err != nil {
		ch.Result = "failed"
		r.changes = append(r.changes, ch)
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Say("  = %s, %s without a leader", ch.Result, measure.Short(ch.Leaderless))
	r.changes = append(r.changes, ch)
	if err := r.Await(ctx, "the load to flow", func(ctx context.Context) error { return r.load.AwaitAcks(ctx, 20) }); err != nil {
		return err
	}
	quiet := ch.End + before + after
	return r.Poll(ctx, "the next act", func(context.Context) (bool, error) { return r.now() > quiet, nil })
}

// planned hands the leadership to the next node.
func (r *run) planned(ctx context.Context) error {
	lead, err := r.Leader(ctx)
	if err != nil {
		return err
	}
	to := r.IDs[(slices.Index(r.IDs, lead)+1)%len(r.IDs)]
	if err := r.Ready(ctx, to); err != nil {
		return err
	}
	return r.change(ctx, fmt.Sprintf("planned %s -> %s", lead, to), true, func(ch *measure.Change) error {
		d, err := r.Tool(ctx, 0, "planned", "-to", string(to))
		ch.Result, ch.Leaderless = fmt.Sprintf("%s, %s leads", d.Outcome, d.Report.To), d.Report.Gap
		return err
	})
}

// killed is kill -9 of the leader, whose server then comes back.
func (r *run) killed(ctx context.Context) error {
	lead, err := r.Leader(ctx)
	if err != nil {
		return err
	}
	err = r.detected(ctx, "kill -9 "+string(lead), lead, r.Servers[lead].Kill)
	if err != nil {
		return err
	}
	if err := r.ComeBack(ctx, lead); err != nil {
		return err
	}
	return r.Rejoin(ctx, lead)
}

// frozen is kill -STOP of the leader, which wakes up when another one leads.
func (r *run) frozen(ctx context.Context) error {
	lead, err := r.Leader(ctx)
	if err != nil {
		return err
	}
	if err := r.detected(ctx, "kill -STOP "+string(lead), lead, r.Servers[lead].Freeze); err != nil {
		return err
	}
	return r.change(ctx, "kill -CONT "+string(lead)+", it rejoins", false, func(ch *measure.Change) error {
		if err := r.Servers[lead].Thaw(); err != nil {
			return err
		}
		ch.Result = "follows"
		return r.Rejoin(ctx, lead)
	})
}

// detected does something to the leader and waits until a watcher has replaced it.
func (r *run) detected(ctx context.Context, name string, lead leadership.NodeID, do func() error) error {
	return r.change(ctx, name+", watchers", false, func(ch *measure.Change) error {
		gone := time.Now()
		if err := do(); err != nil {
			return err
		}
		by, err := r.Replaced(ctx, lead, gone)
		if err != nil {
			return err
		}
		ch.Leaderless = by.Leaderless
		ch.End = by.At.Sub(r.epoch)
		ch.Result = fmt.Sprintf("%s, %s leads", by.Outcome, by.To)
		return nil
	})
}
