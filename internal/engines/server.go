package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/internal/engines/netproxy"
)

// Server is one server, running or not. Its methods may be called from several
// goroutines at once; Kill and Freeze act on a Start that is under way.
type Server struct {
	host *Host
	kind kind
	name string
	dir  string // holds the log, the socket and the data directory
	user string
	bin  map[string]string
	turn chan struct{} // one Start, Stop or Close at a time

	mu     sync.Mutex // guards what follows, for field accesses only
	ports  []int
	proc   *process
	ran    bool // it was up once, so others may know its ports
	closed bool
}

// kind is what one engine does differently.
type kind struct {
	engine Engine
	ports  int
	binary string
	args   func(s *Server) []string
	// probe says whether the server serves at addr.
	probe func(ctx context.Context, addr string) error
	stop  syscall.Signal // ends it cleanly
	death syscall.Signal // ends it when we die
	// prepare writes what depends on the ports, before the first start.
	prepare func(s *Server) error
	// fill makes the data directory anew.
	fill func(ctx context.Context, s *Server) error
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it was waited for
	err  error         // set before done is closed
}

const (
	startBound = 30 * time.Second
	stopBound  = 30 * time.Second
	probeEvery = 4 * time.Millisecond
	portTries  = 4
)

// create places a server that is not started yet.
func (h *Host) create(ctx context.Context, name string, k kind) (*Server, error) {
	bin, err := Find(k.engine)
	if err != nil {
		return nil, err
	}
	user, err := unprivileged(k.engine)
	if err != nil {
		return nil, err
	}
	name, dir, err := h.place(name, user)
	if err != nil {
		return nil, err
	}
	s := &Server{host: h, kind: k, name: name, dir: dir, user: user, bin: bin, turn: make(chan struct{}, 1)}
	h.add(s)
	if err := s.newPorts(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := k.fill(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) newPorts() error {
	ports := make([]int, s.kind.ports)
	for i := range ports {
		var err error
		if ports[i], err = netproxy.FreePort(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = ports
	return nil
}

// Name returns the name of the server, which is unique on its Host.
func (s *Server) Name() string { return s.name }

// Port returns the port that clients connect to. It is fixed from the first
// Start that succeeds on.
func (s *Server) Port() int { return s.portAt(0) }

func (s *Server) portAt(i int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports[i]
}

// Addr returns the loopback address that clients connect to, host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port())) }

// Socket returns the path of the Unix socket of MariaDB, and the directory of
// the socket of PostgreSQL, which is what its clients want for a host.
func (s *Server) Socket() string {
	if s.kind.engine == MariaDB {
		return filepath.Join(s.dir, "s.sock")
	}
	return s.dir
}

// Data returns the data directory.
func (s *Server) Data() string { return filepath.Join(s.dir, "data") }

// Dir returns a directory that is the server's own, outside its data directory.
func (s *Server) Dir() string { return s.dir }

// Log returns the path of the log, which all starts append to. MariaDB insists on
// the ending.
func (s *Server) Log() string { return filepath.Join(s.dir, "log.err") }

// LogTail returns the last 2 kB of the log.
func (s *Server) LogTail() string {
	return s.logSince(0)
}

func (s *Server) logSince(offset int64) string {
	f, err := os.Open(s.Log())
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	if _, err := f.Seek(max(offset, size-tailBytes), io.SeekStart); err != nil {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	return string(b)
}

// User returns the name of the user that the server runs as when we are root,
// else "".
func (s *Server) User() string { return s.user }

// Binary returns the path of one of the engine's programs, "" for one that is
// not there. Programs beside the server's own are found too.
func (s *Server) Binary(name string) string {
	if p, ok := s.bin[name]; ok {
		return p
	}
	if found := within(filepath.Dir(s.bin[s.kind.binary]), []string{name}); found != nil {
		return found[name]
	}
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	return ""
}

// Command prepares a program to run as the user of the server, outside its
// directories, as pg_rewind and its like must. The caller starts it, and waits
// for it.
func (s *Server) Command(ctx context.Context, path string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	if err := asUser(cmd, s.user, 0); err != nil {
		return nil, err
	}
	return cmd, nil
}

// Running reports whether a process works in the data directory, whoever
// started it.
func (s *Server) Running() bool { return len(family(s.Data())) > 0 }

// Exited returns a channel that is closed when the process of the last Start
// has ended, nil before the first.
func (s *Server) Exited() <-chan struct{} {
	if p := s.process(); p != nil {
		return p.done
	}
	return nil
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// reap waits for the process of the last Start, which was told to end.
func (s *Server) reap(ctx context.Context) error {
	p := s.process()
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engines: %s has not ended: %w\n%s", s.name, context.Cause(ctx), s.LogTail())
	}
}

// Kill ends the server and its children with SIGKILL, frozen or not, as a crash
// of its machine would, but for what the kernel still writes. It returns when
// they are gone. A server that does not run is left alone.
func (s *Server) Kill() error {
	if err := endAll(s.Data()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopBound)
	defer cancel()
	return s.reap(ctx)
}

// Freeze stops the server and its children with SIGSTOP and returns when the
// kernel says that they have stopped. Connections stay open; the kernel accepts
// new ones.
func (s *Server) Freeze() error { return stopAll(s.Data()) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return contAll(s.Data()) }

// Stop ends the server cleanly, whoever started it: SIGTERM, for PostgreSQL a fast
// shutdown. A frozen one is thawed first. The bound is 30 s, or ctx; at its end the server may
// still be ending, and Kill ends it.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	ctx, cancel := context.WithTimeout(ctx, stopBound)
	defer cancel()
	if err := s.Thaw(); err != nil {
		return err
	}
	if err := stopMain(s.Data(), s.kind.stop); err != nil {
		return fmt.Errorf("engines: %s: %w", s.name, err)
	}
	for s.Running() {
		if err := pause(ctx, probeEvery); err != nil {
			return fmt.Errorf("engines: %s has not ended: %w\n%s", s.name, err, s.LogTail())
		}
	}
	return s.Kill() // which waits for what has no working directory any more
}

// Restart is Stop and Start with these flags.
func (s *Server) Restart(ctx context.Context, flags ...string) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx, flags...)
}

// Wipe kills the server and gives it the data directory of a new one, with its
// name and ports, as a rebuilt node has.
func (s *Server) Wipe(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	if err := s.Kill(); err != nil {
		return err
	}
	s.clean()
	if err := os.RemoveAll(s.Data()); err != nil {
		return fmt.Errorf("engines: %w", err)
	}
	if err := s.kind.fill(ctx, s); err != nil {
		return err
	}
	return s.kind.prepare(s)
}

// clean removes what a killed server leaves outside its directory.
func (s *Server) clean() {
	if s.kind.engine == Postgres {
		removeSegment(filepath.Join(s.Data(), "postmaster.pid"))
	}
}

// Close kills the server and removes its directory. It waits for a Start that
// is under way.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.Kill() // lets a Start give up
	s.turn <- struct{}{}
	defer s.give()
	err = errors.Join(err, s.Kill())
	s.clean()
	s.host.forget(s)
	return errors.Join(err, os.RemoveAll(s.dir))
}
