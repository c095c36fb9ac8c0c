package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// doc is what is read of a verb's result.
type doc struct {
	Exit    int
	Outcome reparent.Outcome
	Error   string
	Status  *struct{ Leader leadership.NodeID }
	Rejoin  struct{ Did string }
	Report  report
}

// report is what is read of a change's report: its positions are the engine's own.
type report struct {
	Outcome reparent.Outcome
	Error   string
	To      leadership.NodeID
	Took    time.Duration
	Gap     time.Duration
	Steps   []reparent.StepReport
}

// tool runs a verb to its end. want is the exit code that it must have, -1 for any.
func (r *run) tool(ctx context.Context, want int, args ...string) (doc, error) {
	ctx, cancel := context.WithTimeout(ctx, stepBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Exe, append(args, "-config", r.Config, "-output", "json")...)
	tie(cmd)
	// A change that is broken off is undone first.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stepBound
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return doc{}, err
	}
	var d doc
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		return d, fmt.Errorf("%v said %q: %w: %s", args, out.String(), err, errOut.String())
	}
	if want >= 0 && d.Exit != want {
		return d, fmt.Errorf("%v: exit code %d: %s\n%s", args, d.Exit, d.Error, errOut.String())
	}
	return d, nil
}

// said is one line of a watcher.
type said struct {
	At      time.Time
	Verdict *struct {
		State, Do string
		Reasons   []string
	}
	Report *report
}

// watcher is a process that watches.
type watcher struct {
	name string
	cmd  *exec.Cmd
	wg   sync.WaitGroup

	mu     sync.Mutex // guards what follows, between the reader and the script
	all    []said
	err    error
	closed bool
}

func (r *run) startWatchers(ctx context.Context, names ...string) error {
	for _, name := range names {
		w := &watcher{name: name, cmd: exec.Command(r.Exe, "watch", "-name", name, "-config", r.Config, "-output", "json", "-quiet")}
		tie(w.cmd)
		out, err := w.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		var errOut bytes.Buffer
		w.cmd.Stderr = &errOut
		if err := w.cmd.Start(); err != nil {
			return err
		}
		r.watchers = append(r.watchers, w)
		w.wg.Go(func() { w.read(out, &errOut) })
	}
	return r.poll(ctx, "the watchers to see a healthy leader", func(context.Context) (bool, error) {
		for _, w := range r.watchers {
			all, err := w.said()
			if err != nil {
				return false, err
			}
			if len(all) == 0 || all[len(all)-1].Verdict == nil || all[len(all)-1].Verdict.State != "healthy" {
				return false, nil
			}
		}
		return true, nil
	})
}

// read reads what the watcher says, until it ends.
func (w *watcher) read(out io.Reader, errOut *bytes.Buffer) {
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		var s said
		err := json.Unmarshal(sc.Bytes(), &s)
		w.mu.Lock()
		w.err = errors.Join(w.err, err)
		w.all = append(w.all, s)
		w.mu.Unlock()
	}
	err := errors.Join(sc.Err(), w.cmd.Wait())
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.err = errors.Join(w.err, fmt.Errorf("watcher %s ended by itself: %w: %s", w.name, errors.Join(err, io.EOF), errOut.String()))
	}
}

func (w *watcher) said() ([]said, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all, w.err
}

// replaced returns what the watcher said that has replaced a leader since.
func (r *run) replaced(since time.Time) (said, error) {
	for _, w := range r.watchers {
		all, err := w.said()
		if err != nil {
			return said{}, err
		}
		for _, s := range all {
			if s.Report != nil && s.Report.Outcome == reparent.Done && s.At.After(since) {
				return s, nil
			}
		}
	}
	return said{}, nil
}

// lastSaid is the last verdict of each watcher, for an error.
func (r *run) lastSaid() string {
	var b strings.Builder
	for _, w := range r.watchers {
		all, err := w.said()
		fmt.Fprintf(&b, "%s (%v):", w.name, err)
		for _, s := range all[max(0, len(all)-3):] {
			if s.Verdict != nil {
				fmt.Fprintf(&b, " %s %s %q", s.Verdict.State, s.Verdict.Do, s.Verdict.Reasons)
			}
			if s.Report != nil {
				fmt.Fprintf(&b, " ran: %s %s", s.Report.Outcome, s.Report.Error)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// endWatchers ends them and waits until they have.
func (r *run) endWatchers() {
	for _, w := range r.watchers {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		_ = w.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	}
	for _, w := range r.watchers {
		kill := time.AfterFunc(stepBound, func() { _ = w.cmd.Process.Kill() })
		w.wg.Wait()
		kill.Stop()
	}
	r.watchers = nil
}
