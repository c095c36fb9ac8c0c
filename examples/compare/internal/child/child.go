// Package child runs programs beside this one, and ends them with it.
//
//	c, err := child.Start(cmd, logPath)
//	defer c.Kill()
//
// # Guarantees
//
// Kill returns when the process is gone. One that is not killed ends with the thread
// that started it.
//
// # What it does not guarantee
//
// Processes that the child started are not ended with it.
//
// # Assumptions
//
// Linux. The goroutine that starts children is locked to its thread.
//
// # State model
//
//	started --ends by itself, Kill--> ended
//
// # Failure handling
//
// Err says how a process ended, with the end of what it said.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/tenure-go/tenure/examples/failover/stage"
)

// Child is one process.
type Child struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // set before done is closed
}

// Start starts a command, which writes to the end of a log.
func Start(cmd *exec.Cmd, log string) (*Child, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = f, f
	stage.Tie(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Path, err)
	}
	c := &Child{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// Signal sends a signal.
func (c *Child) Signal(sig os.Signal) error { return c.cmd.Process.Signal(sig) }

// Kill ends it with SIGKILL, stopped or not, and waits for it. A nil Child, and one
// that has ended, are left alone.
func (c *Child) Kill() error {
	if c == nil {
		return nil
	}
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.done
	return nil
}

// Done is closed when it has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err says how it ended, nil while it runs or when it ended well.
func (c *Child) Err() error {
	select {
	case <-c.done:
		if c.err == nil {
			return nil
		}
		return fmt.Errorf("%s: %w\n%s", c.cmd.Path, c.err, c.Tail())
	default:
		return nil
	}
}

// Tail is the end of the log.
func (c *Child) Tail() string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}
