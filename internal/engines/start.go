package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func (s *Server) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engines: %s: %w", s.name, context.Cause(ctx))
	}
}

func (s *Server) give() { <-s.turn }

// Start starts the server with the flags of its configuration, then those of
// this call, and returns when it serves. The bound is 30 s, or ctx. On a port
// that somebody else took it tries again: with another one until the server was
// up once, with the same one after that. A failed Start leaves no process and
// shows the end of the log. A server that runs is left alone.
func (s *Server) Start(ctx context.Context, flags ...string) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	if s.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for try := 1; ; try++ {
		offset := s.logSize()
		err := s.startOnce(ctx, flags)
		if err == nil {
			s.mu.Lock()
			s.ran = true
			s.mu.Unlock()
			return nil
		}
		log := s.logSince(offset)
		if !strings.Contains(strings.ToLower(log), "address already in use") || try == portTries {
			return fmt.Errorf("engines: %s did not start: %w\n%s", s.name, err, log)
		}
		s.mu.Lock()
		ran := s.ran
		s.mu.Unlock()
		if !ran {
			err = s.newPorts()
		} else {
			err = pause(ctx, 200*time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Server) logSize() int64 {
	info, err := os.Stat(s.Log())
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *Server) startOnce(ctx context.Context, flags []string) error {
	s.mu.Lock()
	closed, ran := s.closed, s.ran
	s.mu.Unlock()
	if closed {
		return errClosed
	}
	if !ran {
		if err := s.kind.prepare(s); err != nil {
			return err
		}
	}
	p, err := s.launch(flags)
	if err != nil {
		return err
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := s.kind.probe(ctx, s.Addr())
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the process ended: %w", p.exit())
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err, s.Kill())
		case <-tick.C:
		}
	}
}

func (p *process) exit() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

func (s *Server) launch(flags []string) (*process, error) {
	log, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	if err := own(s.Log(), s.user); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.bin[s.kind.binary], slices.Concat(s.kind.args(s), flags)...)
	cmd.Dir = s.Data()
	cmd.Stdout, cmd.Stderr = log, log
	if err := asUser(cmd, s.user, s.kind.death); err != nil {
		return nil, err
	}
	if err := s.host.run(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	return p, nil
}
