package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// play is the script.
func (r *run) play(ctx context.Context) error {
	for range 3 {
		if err := r.planned(ctx); err != nil {
			return err
		}
	}
	if err := r.startWatchers(ctx, "w1", "w2", "w3"); err != nil {
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
	if err := r.await(ctx, "the load to flow", func(ctx context.Context) error { return r.load.AwaitAcks(ctx, 20) }); err != nil {
		return err
	}
	quiet := ch.End + before + after
	return r.poll(ctx, "the next act", func(context.Context) (bool, error) { return r.now() > quiet, nil })
}

// planned hands the leadership to the next node.
func (r *run) planned(ctx context.Context) error {
	lead, err := r.leader(ctx)
	if err != nil {
		return err
	}
	to := r.IDs[(slices.Index(r.IDs, lead)+1)%len(r.IDs)]
	if err := r.ready(ctx, to); err != nil {
		return err
	}
	return r.change(ctx, fmt.Sprintf("planned %s -> %s", lead, to), true, func(ch *measure.Change) error {
		d, err := r.tool(ctx, 0, "planned", "-to", string(to))
		ch.Result, ch.Leaderless = fmt.Sprintf("%s, %s leads", d.Outcome, d.Report.To), d.Report.Gap
		return err
	})
}

// ready waits until a planned change to the node would begin. After a crash a node may
// have to be brought back that is not the one that crashed.
func (r *run) ready(ctx context.Context, to leadership.NodeID) error {
	tried := false
	return r.poll(ctx, string(to)+" to be able to lead", func(ctx context.Context) (bool, error) {
		d, err := r.tool(ctx, -1, "plan", "planned", "-to", string(to))
		if err != nil || d.Exit == 0 {
			return true, err
		}
		if !tried {
			tried = true
			r.Say("  %s could not lead: %s", to, d.Error)
			return false, r.rejoin(ctx, to)
		}
		return false, nil
	})
}

// killed is kill -9 of the leader, whose server then comes back.
func (r *run) killed(ctx context.Context) error {
	lead, err := r.leader(ctx)
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
	return r.rejoin(ctx, lead)
}

// frozen is kill -STOP of the leader, which wakes up when another one leads.
func (r *run) frozen(ctx context.Context) error {
	lead, err := r.leader(ctx)
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
		return r.rejoin(ctx, lead)
	})
}

// detected does something to the leader and waits until a watcher has replaced it.
func (r *run) detected(ctx context.Context, name string, lead leadership.NodeID, do func() error) error {
	return r.change(ctx, name+", watchers", false, func(ch *measure.Change) error {
		gone := time.Now()
		if err := do(); err != nil {
			return err
		}
		var saw said
		err := r.poll(ctx, "a watcher to replace "+string(lead), func(context.Context) (bool, error) {
			var err error
			saw, err = r.replaced(gone)
			return saw.Report != nil, err
		})
		if err != nil {
			return fmt.Errorf("%w\n%s", err, r.lastSaid())
		}
		granted := saw.At.Add(-saw.Report.Took)
		for _, st := range saw.Report.Steps {
			if st.Step == reparent.StepGrant {
				granted = granted.Add(st.At + st.Took)
			}
		}
		ch.Leaderless = granted.Sub(gone)
		ch.End = saw.At.Sub(r.epoch)
		ch.Result = fmt.Sprintf("%s, %s leads", saw.Report.Outcome, saw.Report.To)
		return nil
	})
}

// rejoin brings a node back. One that has to be ended for it is started again.
func (r *run) rejoin(ctx context.Context, id leadership.NodeID) error {
	var last error
	for range 3 {
		d, err := r.tool(ctx, -1, "rejoin", string(id))
		if err != nil {
			return err
		}
		if d.Exit == 0 {
			r.Say("  %s: %s", id, d.Rejoin.Did)
			return nil
		}
		last = errors.New(d.Error)
		r.Say("  %s: %s", id, d.Error)
		if r.Servers[id].Running() {
			// What a leader of the past has and no other is in the way. A server
			// of MariaDB that is killed and starts as a replica takes out what
			// nobody acknowledged.
			r.Say("  %s is ended with SIGKILL and started again", id)
			if err := r.Servers[id].Kill(); err != nil {
				return err
			}
		}
		if err := r.ComeBack(ctx, id); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not come back: %w", id, last)
}

// leader is who leads by every condition.
func (r *run) leader(ctx context.Context) (lead leadership.NodeID, err error) {
	err = r.poll(ctx, "a leader", func(ctx context.Context) (bool, error) {
		d, err := r.tool(ctx, -1, "status")
		if err != nil || d.Status == nil {
			return false, err
		}
		lead = d.Status.Leader
		return lead != "", nil
	})
	return lead, err
}

// await bounds one step.
func (r *run) await(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepBound)
	defer cancel()
	if err := f(ctx); err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// poll waits until ok.
func (r *run) poll(ctx context.Context, what string, ok func(context.Context) (bool, error)) error {
	return r.await(ctx, what, func(ctx context.Context) error {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			done, err := ok(ctx)
			if done || err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
		}
	})
}
