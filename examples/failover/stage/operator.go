package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// StepBound bounds each step of an Operator.
const StepBound = 60 * time.Second

// QuickWatch is for Options.More, and makes the watchers as quick as three processes on a busy machine may
// be without crying wolf.
const QuickWatch = `watch:
  enabled: true
  observers: 3
  interval: 100ms
  timeout: 300ms
  refused_after: 200ms
  dead_after: 1s
  calm: 2s
  retry: 1s
  most: 20
`

// Operator works on a stage as a person would, with the tool in processes of its own.
// Children end with the thread that starts them, so that the goroutine which uses it
// has to be locked to its own. One goroutine at a time may use it.
type Operator struct {
	*Stage
	// Exe is the tool's program. Required.
	Exe string
	// Say is told what happens. Required.
	Say func(format string, args ...any)

	watchers []*watcher
}

// Begin makes the records of the members and the first leadership, that of n1.
func (o *Operator) Begin(ctx context.Context) error {
	if _, err := o.Tool(ctx, 0, "setup", "all"); err != nil {
		return err
	}
	first := "bootstrap"
	if o.Engine == config.PostgresEngine {
		first = "adopt" // its servers were made from one template, and n1 leads already
	}
	_, err := o.Tool(ctx, 0, first, "-to", "n1")
	return err
}

// Doc is what is read of a verb's result.
type Doc struct {
	Exit    int
	Outcome reparent.Outcome
	Error   string
	Status  *struct{ Leader leadership.NodeID }
	Rejoin  struct{ Did string }
	Report  Report
}

// Report is what is read of a change's report: its positions are the engine's own.
type Report struct {
	Outcome reparent.Outcome
	Error   string
	To      leadership.NodeID
	Took    time.Duration
	Gap     time.Duration
	Steps   []reparent.StepReport
}

// Tool runs a verb to its end. want is the exit code that it must have, -1 for any.
func (o *Operator) Tool(ctx context.Context, want int, args ...string) (Doc, error) {
	ctx, cancel := context.WithTimeout(ctx, StepBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.Exe, append(args, "-config", o.Config, "-output", "json")...)
	Tie(cmd)
	// A change that is broken off is undone first.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = StepBound
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Doc{}, err
	}
	var d Doc
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		return d, fmt.Errorf("%v said %q: %w: %s", args, out.String(), err, errOut.String())
	}
	if want >= 0 && d.Exit != want {
		return d, fmt.Errorf("%v: exit code %d: %s\n%s", args, d.Exit, d.Error, errOut.String())
	}
	return d, nil
}

// Ready waits until a planned change to the node would begin. After a crash a node may
// have to be brought back that is not the one that crashed.
func (o *Operator) Ready(ctx context.Context, to leadership.NodeID) error {
	tried := false
	return o.Poll(ctx, string(to)+" to be able to lead", func(ctx context.Context) (bool, error) {
		d, err := o.Tool(ctx, -1, "plan", "planned", "-to", string(to))
		if err != nil || d.Exit == 0 {
			return true, err
		}
		if !tried {
			tried = true
			o.Say("  %s could not lead: %s", to, d.Error)
			return false, o.Rejoin(ctx, to)
		}
		return false, nil
	})
}

// Rejoin brings a node back. One that has to be ended for it is started again.
func (o *Operator) Rejoin(ctx context.Context, id leadership.NodeID) error {
	var last error
	for range 3 {
		d, err := o.Tool(ctx, -1, "rejoin", string(id))
		if err != nil {
			return err
		}
		if d.Exit == 0 {
			o.Say("  %s: %s", id, d.Rejoin.Did)
			return nil
		}
		last = errors.New(d.Error)
		o.Say("  %s: %s", id, d.Error)
		if o.Servers[id].Running() {
			// What a leader of the past has and no other is in the way. A server
			// of MariaDB that is killed and starts as a replica takes out what
			// nobody acknowledged.
			o.Say("  %s is ended with SIGKILL and started again", id)
			if err := o.Servers[id].Kill(); err != nil {
				return err
			}
		}
		if err := o.ComeBack(ctx, id); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not come back: %w", id, last)
}

// Leader is who leads by every condition.
func (o *Operator) Leader(ctx context.Context) (lead leadership.NodeID, err error) {
	err = o.Poll(ctx, "a leader", func(ctx context.Context) (bool, error) {
		d, err := o.Tool(ctx, -1, "status")
		if err != nil || d.Status == nil {
			return false, err
		}
		lead = d.Status.Leader
		return lead != "", nil
	})
	return lead, err
}

// Await bounds one step.
func (o *Operator) Await(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, StepBound)
	defer cancel()
	if err := f(ctx); err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// Poll waits until ok.
func (o *Operator) Poll(ctx context.Context, what string, ok func(context.Context) (bool, error)) error {
	return o.Await(ctx, what, func(ctx context.Context) error {
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

// Settled checks the rows once the other servers have what the leader has, or have
// had the time.
func (o *Operator) Settled(ctx context.Context, h load.History, lead leadership.NodeID) (v load.Verdict, err error) {
	bound := time.Now().Add(StepBound / 2)
	err = o.Poll(ctx, "the servers to be equal", func(ctx context.Context) (bool, error) {
		leader, err := o.Rows(ctx, lead)
		if err != nil {
			return false, err
		}
		var others []load.Rows
		for _, id := range o.IDs {
			if id != lead {
				rows, err := o.Rows(ctx, id)
				if err != nil {
					return false, err
				}
				others = append(others, rows)
			}
		}
		v = h.Check(leader, others...)
		return len(v.Problems) == 0 || time.Now().After(bound), nil
	})
	return v, err
}
