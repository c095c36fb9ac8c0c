package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Config says what Start starts.
type Config struct {
	_ struct{}

	// Workers is how many processes write. 0 means 1.
	Workers int
	// Spec is what each of them does. The workers of several loads on one
	// table need different numbers: Spec.Number is that of the first.
	Spec Spec
	// Exe is the program, whose main calls Main; "" is this one. Args are its
	// arguments, and Env is added to its environment.
	Exe       string
	Args, Env []string
}

// Load is workers that write. Its methods may be called from several goroutines
// at once.
type Load struct {
	spec    Spec
	workers []*process
	reading chan struct{} // one reader of the files at a time
}

type process struct {
	cmd    *exec.Cmd
	stdin  *os.File // its other end is the worker's
	errs   string   // path of what it said
	done   chan struct{}
	err    error // set before done is closed
	killed chan struct{}
	file   follower // guarded by Load.reading
}

const (
	readyBound = 30 * time.Second
	endBound   = 10 * time.Second
)

// Start starts the workers and returns when all of them write. A *SpecError
// says that nothing was started; after any other error nothing runs either.
func Start(ctx context.Context, c Config) (*Load, error) {
	spec, err := c.Spec.withDefaults()
	if err != nil {
		return nil, err
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Workers < 1 || spec.Number+c.Workers > maxWorkers {
		return nil, &SpecError{"Workers", fmt.Sprintf("is %d", c.Workers)}
	}
	if c.Exe == "" {
		if c.Exe, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyBound)
	defer cancel()
	l := &Load{spec: spec, reading: make(chan struct{}, 1)}
	for i := range c.Workers {
		s := spec
		s.Number += i
		p, err := startWorker(ctx, c, s)
		if p != nil {
			l.workers = append(l.workers, p)
		}
		if err != nil {
			return nil, errors.Join(err, l.killAll())
		}
	}
	return l, nil
}

// startWorker returns the process, if one runs, also with an error.
func startWorker(ctx context.Context, c Config, s Spec) (*process, error) {
	env, err := s.env()
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd: exec.Command(c.Exe, c.Args...), done: make(chan struct{}), killed: make(chan struct{}, 1),
		errs: filepath.Join(s.Dir, fmt.Sprintf("worker-%03d.err", s.Number)),
		file: follower{path: journalPath(s.Dir, s.Number)},
	}
	p.cmd.Env = append(append(os.Environ(), c.Env...), env)
	errs, err := os.Create(p.errs)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer errs.Close()
	p.cmd.Stderr = errs
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer in.Close()
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load: %w", err), stdin.Close())
	}
	defer stdout.Close()
	p.cmd.Stdin, p.cmd.Stdout, p.stdin = in, out, stdin
	err = p.cmd.Start()
	_ = out.Close() // the worker's end: with it open here, its death would not be read
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load: %w", err), stdin.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	end, _ := ctx.Deadline()
	if err := stdout.SetReadDeadline(end); err != nil {
		return p, fmt.Errorf("load: %w", err)
	}
	// ctx may end before its deadline.
	stop := context.AfterFunc(ctx, func() { _ = stdout.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	said := make([]byte, len(ready))
	if _, err := io.ReadFull(stdout, said); err != nil || string(said) != ready {
		return p, errors.Join(fmt.Errorf("load: worker %d did not begin: %w", s.Number, err), context.Cause(ctx), p.kill(), p.said())
	}
	return p, nil
}

// said returns what a worker wrote to its standard error, nil for nothing.
func (p *process) said() error {
	b, err := os.ReadFile(p.errs)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	return errors.New(string(b[max(0, len(b)-errLength):]))
}

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() error {
	select {
	case p.killed <- struct{}{}:
	default: // somebody did already
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("load: %w", err)
	}
	<-p.done
	return nil
}

func (l *Load) killAll() error {
	var errs []error
	for _, p := range l.workers {
		errs = append(errs, p.kill(), p.stdin.Close())
	}
	return errors.Join(errs...)
}

func (l *Load) worker(i int) (*process, error) {
	if i < 0 || i >= len(l.workers) {
		return nil, fmt.Errorf("load: no worker %d of %d", i, len(l.workers))
	}
	return l.workers[i], nil
}

// Kill ends worker i, counted from 0, with SIGKILL. What it had under way is of
// unknown outcome.
func (l *Load) Kill(i int) error {
	p, err := l.worker(i)
	if err != nil {
		return err
	}
	return p.kill()
}

// look reads what is new in the files and calls f, during which they stand still.
func (l *Load) look(ctx context.Context, f func()) error {
	select {
	case l.reading <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.reading }()
	for _, p := range l.workers {
		if err := p.file.read(); err != nil {
			return err
		}
	}
	f()
	return nil
}

// History returns what the workers have done by now.
func (l *Load) History(ctx context.Context) (History, error) {
	var h History
	err := l.look(ctx, func() {
		for _, p := range l.workers {
			h.add(p.file.lines)
		}
	})
	h.sort()
	return h, err
}

// AwaitAcks returns when each worker that runs has had n attempts acknowledged
// that began after the call, which proves that somebody leads now.
func (l *Load) AwaitAcks(ctx context.Context, n int) error {
	since := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, last := 0, ""
		err := l.look(ctx, func() {
			for _, p := range l.workers {
				if have := p.file.acksSince(since); p.runs() && have < n {
					missing++
					last = p.file.lastError()
				}
			}
		})
		if err != nil || missing == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("load: %d of %d workers did not get %d acknowledgements: %w; the last error: %s", missing, len(l.workers), n, context.Cause(ctx), last)
		}
	}
}

func (p *process) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop lets each writer see its attempt to the end, ends the workers and
// returns what all of them did. Workers that have not ended when ctx ends, or after
// Spec.Patience and 10 s, are killed, which is an error; the History is
// complete also then. A worker that Kill ended is none.
func (l *Load) Stop(ctx context.Context) (History, error) {
	ctx, cancel := context.WithTimeout(ctx, l.spec.Patience+endBound)
	defer cancel()
	var errs []error
	for _, p := range l.workers {
		if err := p.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for i, p := range l.workers {
		select {
		case <-p.done:
			if p.err != nil && len(p.killed) == 0 {
				errs = append(errs, fmt.Errorf("load: worker %d: %w", i, p.err), p.said())
			}
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("load: worker %d did not end: %w", i, context.Cause(ctx)), p.kill())
		}
	}
	h, err := l.History(context.WithoutCancel(ctx))
	return h, errors.Join(append(errs, err)...)
}
