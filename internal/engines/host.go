package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Host is where servers run: a base directory, a user, a template of a data
// directory for each engine and configuration, and the thread that starts the
// processes. A test binary or a demo has one. Its methods may be called from
// several goroutines at once.
type Host struct {
	dir     string
	lock    *os.File
	start   chan func()
	stopped chan struct{}

	mu        sync.Mutex // guards what follows, for field accesses only
	templates map[string]*template
	servers   map[*Server]struct{}
	names     map[string]int
	closed    bool
}

const (
	prefix  = "tn-"
	roomy   = 1 << 30         // bytes that memory must have free to be used
	settled = 2 * time.Minute // a base directory this old has its lock, or no owner
)

// NewHost makes the base directory, in /dev/shm when more than 1 GB is free
// there, else in os.TempDir. It removes the base directories, and ends the
// servers in them, of hosts whose process died without Close. It starts no
// server. It works on Linux.
func NewHost() (*Host, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("engines: servers are started on linux only, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	parent := os.TempDir()
	if free("/dev/shm") > roomy {
		parent = "/dev/shm"
	}
	sweepDead(parent)
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("engines: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = flock(lock)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755) // the unprivileged user passes through it
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("engines: %w", err), os.RemoveAll(dir))
	}
	h := &Host{
		dir: dir, lock: lock, start: make(chan func()), stopped: make(chan struct{}),
		templates: map[string]*template{}, servers: map[*Server]struct{}{}, names: map[string]int{},
	}
	go h.starter()
	return h, nil
}

// starter starts every process. The kernel delivers a child's parent-death
// signal when the thread that started it ends, so it is one thread that lives
// as long as the Host.
func (h *Host) starter() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(h.stopped)
	for f := range h.start {
		f()
	}
}

// run starts cmd on the thread of the Host. The caller waits for it.
func (h *Host) run(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	select {
	case h.start <- func() { done <- cmd.Start() }:
		return <-done
	case <-h.stopped:
		return errClosed
	}
}

var errClosed = errors.New("engines: host is closed")

// Dir returns the base directory.
func (h *Host) Dir() string { return h.dir }

// Close ends every server with SIGKILL, waits for the processes, and removes
// the base directory and what the servers left elsewhere. It must not run
// together with calls that start servers. A second Close does nothing.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	var servers []*Server
	for s := range h.servers {
		servers = append(servers, s)
	}
	h.mu.Unlock()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Close())
	}
	errs = append(errs, endAll(h.dir))
	close(h.start)
	<-h.stopped
	errs = append(errs, os.RemoveAll(h.dir), h.lock.Close())
	return errors.Join(errs...)
}

// place gives a new server its name and directory.
func (h *Host) place(name, user string) (string, string, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return "", "", errClosed
	}
	n := h.names[name]
	h.names[name]++
	h.mu.Unlock()
	if n > 0 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	dir := filepath.Join(h.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("engines: %w", err)
	}
	if err := own(dir, user); err != nil {
		return "", "", err
	}
	if socket := filepath.Join(dir, ".s.PGSQL.00000"); len(socket) > 107 {
		return "", "", fmt.Errorf("engines: %s is too long for a Unix socket", socket)
	}
	return name, dir, nil
}

func (h *Host) add(s *Server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servers[s] = struct{}{}
}

func (h *Host) forget(s *Server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.servers, s)
}

// tool runs a program of an engine to its end, as user, and returns its output
// with the error.
func (h *Host) tool(ctx context.Context, user, dir, stdin, path string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, toolBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	if err := asUser(cmd, user, syscall.SIGKILL); err != nil {
		return err
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := h.run(cmd); err != nil {
		return fmt.Errorf("engines: %s: %w", path, err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("engines: %s: %w\n%s", path, err, tail(out.String(), tailBytes))
	}
	return nil
}

const (
	toolBound = time.Minute
	tailBytes = 2048
)

func tail(s string, n int) string {
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return s
}
