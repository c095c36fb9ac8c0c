package stage

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

// Said is one line of a watcher.
type Said struct {
	At      time.Time
	Verdict *struct {
		State, Do string
		Reasons   []string
	}
	Report *Report
}

// watcher is a process that watches.
type watcher struct {
	name string
	cmd  *exec.Cmd
	wg   sync.WaitGroup

	mu     sync.Mutex // guards what follows, between the reader and the script
	all    []Said
	err    error
	closed bool
}

// Watch starts watchers, and returns when each of them sees a healthy leader.
func (o *Operator) Watch(ctx context.Context, names ...string) error {
	for _, name := range names {
		w := &watcher{name: name, cmd: exec.Command(o.Exe, "watch", "-name", name, "-config", o.Config, "-output", "json", "-quiet")}
		Tie(w.cmd)
		out, err := w.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		var errOut bytes.Buffer
		w.cmd.Stderr = &errOut
		if err := w.cmd.Start(); err != nil {
			return err
		}
		o.watchers = append(o.watchers, w)
		w.wg.Go(func() { w.read(out, &errOut) })
	}
	return o.Poll(ctx, "the watchers to see a healthy leader", func(context.Context) (bool, error) {
		for _, w := range o.watchers {
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
		var s Said
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

func (w *watcher) said() ([]Said, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all, w.err
}

// replaced returns what the watcher said that has replaced a leader since.
func (o *Operator) replaced(since time.Time) (Said, error) {
	for _, w := range o.watchers {
		all, err := w.said()
		if err != nil {
			return Said{}, err
		}
		for _, s := range all {
			if s.Report != nil && s.Report.Outcome == reparent.Done && s.At.After(since) {
				return s, nil
			}
		}
	}
	return Said{}, nil
}

// lastSaid is the last verdict of each watcher, for an error.
func (o *Operator) lastSaid() string {
	var b strings.Builder
	for _, w := range o.watchers {
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

// EndWatch ends them and waits until they have.
func (o *Operator) EndWatch() {
	for _, w := range o.watchers {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		_ = w.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	}
	for _, w := range o.watchers {
		kill := time.AfterFunc(StepBound, func() { _ = w.cmd.Process.Kill() })
		w.wg.Wait()
		kill.Stop()
	}
	o.watchers = nil
}

// Replacement is a leader that watchers replaced.
type Replacement struct {
	Report
	// At is when the watcher said so. Leaderless is from when the leader was gone
	// until the next one was granted.
	At         time.Time
	Leaderless time.Duration
}

// Replaced waits until a watcher has replaced the leader that is gone since then.
func (o *Operator) Replaced(ctx context.Context, lead leadership.NodeID, gone time.Time) (Replacement, error) {
	var saw Said
	err := o.Poll(ctx, "a watcher to replace "+string(lead), func(context.Context) (bool, error) {
		var err error
		saw, err = o.replaced(gone)
		return saw.Report != nil, err
	})
	if err != nil {
		return Replacement{}, fmt.Errorf("%w\n%s", err, o.lastSaid())
	}
	granted := saw.At.Add(-saw.Report.Took)
	for _, st := range saw.Report.Steps {
		if st.Step == reparent.StepGrant {
			granted = granted.Add(st.At + st.Took)
		}
	}
	return Replacement{Report: *saw.Report, At: saw.At, Leaderless: granted.Sub(gone)}, nil
}
