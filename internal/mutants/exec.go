package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// An exitError is the end of tests of which one failed.
type exitError struct {
	err     error
	timeout bool // they ran out of time, and no test failed before
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errNoTest is the end of a check whose pattern names no test that there is.
var errNoTest = errors.New("no test matches the pattern of the check: it was renamed, or moved")

// command runs a program to its end, or kills it and all it started when ctx
// ends.
func (s *suite) command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	group(cmd)
	cmd.WaitDelay = 5 * time.Second // for pipes that a grandchild holds
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// compile runs the go command for a package, in the module that it is in. GOFLAGS
// of the caller could name another overlay.
func (s *suite) compile(ctx context.Context, pkg string, args ...string) (string, error) {
	dir, rest := moduleOf(s.root, pkg)
	return s.command(ctx, dir, []string{"GOFLAGS=", "GOWORK=off"}, "go", append(args, "./"+rest)...)
}

// moduleOf is the directory of the module that a package below root is in, and
// where in it the package is.
func moduleOf(root, pkg string) (dir, rest string) {
	for at := path.Clean(pkg); at != "."; at = path.Dir(at) {
		dir := filepath.Join(root, filepath.FromSlash(at))
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, strings.TrimPrefix(pkg[len(at):], "/")
		}
	}
	return root, pkg
}

var (
	timedOut  = regexp.MustCompile(`(?m)^panic: test timed out after`)
	noTests   = "testing: warning: no tests to run"
	anyFailed = regexp.MustCompile(`(?m)^\s*--- FAIL: `)
)

// test runs tests of a compiled test binary in the directory of its package, as
// the go command would.
func (s *suite) test(ctx context.Context, bin string, c check) (string, error) {
	// The binary ends itself, with a stack trace; the context is for one that
	// does not.
	kill, cancel := context.WithTimeout(ctx, s.limit+10*time.Second)
	defer cancel()
	// All temporary files of a test are in a directory that goes with the
	// mutation's, even when the test is killed.
	dir, err := os.MkdirTemp(filepath.Dir(bin), "tmp-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	env := append([]string{"TMPDIR=" + dir}, c.env...)
	for _, name := range c.tests {
		out, err := s.command(kill, dir, env, bin, "-test.list=^("+name+")$")
		if err != nil {
			return out, fmt.Errorf("list of the tests: %w", err)
		}
		if strings.TrimSpace(out) == "" {
			return name, errNoTest
		}
	}
	args := []string{"-test.run=" + c.run, "-test.count=1", "-test.failfast", "-test.timeout=" + s.limit.String()}
	if b, err := os.ReadFile(bin); err == nil && bytes.Contains(b, []byte("rapid.nofailfile")) {
		args = append(args, "-rapid.nofailfile") // else it leaves what failed in the tree
	}
	out, err := s.command(kill, filepath.Join(s.root, filepath.FromSlash(c.pkg)), env, bin, args...)
	switch {
	case ctx.Err() != nil:
		return out, ctx.Err()
	case err == nil && strings.Contains(out, noTests):
		return out, errNoTest
	case err == nil:
		return out, nil
	}
	late := kill.Err() != nil || timedOut.MatchString(out)
	var exit *exec.ExitError
	if !late && !errors.As(err, &exit) {
		return out, fmt.Errorf("run of %s: %w", bin, err)
	}
	return out, &exitError{err: err, timeout: late && !failedBefore(out)}
}

// failedBefore reports whether a test had failed before the time was over.
func failedBefore(out string) bool {
	if at := timedOut.FindStringIndex(out); at != nil {
		out = out[:at[0]]
	}
	return anyFailed.MatchString(out)
}
