package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// coordinator is the process of one, as its parent sees it.
type coordinator struct {
	by     string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
	heard  func(message)
	// said is all it said, over that the process is gone; both belong to
	// whoever runs the coordinator.
	said []message
	over bool
}

// errGone is returned for a coordinator that ended without a result.
var errGone = errors.New("the coordinator ended without a result")

// dispatch starts a coordinator process, which then waits for run. heard is
// called with each of its messages. The process ends with ctx at the latest.
func (c *cluster) dispatch(ctx context.Context, o order, heard func(message)) (*coordinator, error) {
	o.Registry, o.Peers = c.registry, c.peers
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	k := &coordinator{by: o.By, heard: heard, cmd: exec.CommandContext(ctx, c.exe, string(b))}
	k.cmd.Env = append(os.Environ(), roleVar+"="+roleCoordinator)
	k.cmd.Stderr = &k.stderr
	tie(k.cmd)
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	k.out = bufio.NewScanner(stdout)
	k.out.Buffer(nil, 1<<20)
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	c.coordinators = append(c.coordinators, k)
	if _, err := k.until("ready"); err != nil {
		k.kill()
		return nil, err
	}
	return k, nil
}

// until reads messages up to one of the given kinds.
func (k *coordinator) until(kinds ...string) (message, error) {
	for k.out.Scan() {
		var m message
		if err := json.Unmarshal(k.out.Bytes(), &m); err != nil {
			return m, fmt.Errorf("coordinator %s: %w", k.by, err)
		}
		k.said = append(k.said, m)
		k.heard(m)
		if slices.Contains(kinds, m.What) {
			return m, nil
		}
	}
	return message{}, fmt.Errorf("coordinator %s: %w: %s", k.by, errGone, k.stderr.String())
}

// run lets the coordinator begin and returns its last word, or that it hangs
// where it was told to. Then it has ended, unless it hangs.
func (k *coordinator) run() (message, error) {
	if _, err := io.WriteString(k.stdin, "go\n"); err != nil {
		k.kill()
		return message{}, err
	}
	m, err := k.until("blocked", "end")
	switch {
	case err != nil:
		k.kill()
	case m.What == "end":
		_ = k.stdin.Close()
		k.over = true
		err = k.cmd.Wait()
	}
	return m, err
}

// did reports whether the coordinator said that it has taken a step.
func (k *coordinator) did(step reparent.Step) bool {
	return slices.ContainsFunc(k.said, func(m message) bool { return m.What == "after" && m.Step == step && m.Error == "" })
}

// kill is kill -9. It returns when the process is gone.
func (k *coordinator) kill() {
	if k.over {
		return
	}
	k.over = true
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

// runAll lets coordinators begin at the same moment.
func runAll(ks ...*coordinator) ([]message, error) {
	out := make([]message, len(ks))
	errs := make([]error, len(ks))
	var wg sync.WaitGroup
	for i, k := range ks {
		wg.Go(func() { out[i], errs[i] = k.run() })
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// record loads what the registry shows, through a handle of its own.
func (c *cluster) record(ctx context.Context) (leadership.Record, error) {
	reg, err := leadership.OpenFileRegistry(c.registry)
	if err != nil {
		return leadership.Record{}, err
	}
	defer reg.Close()
	return reg.Load(ctx)
}
