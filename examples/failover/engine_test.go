package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
)

var host *engines.Host

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	defer func() { _ = os.RemoveAll(built.dir) }()
	return enginetest.Main(m, &host)
}

// built is the program, made once for all tests that run it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "failover-test-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir+"/failover", ".").CombinedOutput()
		if err != nil {
			built.err = errors.New(string(out))
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "failover")
}

// scene is a stage and the compiled program.
type scene struct {
	*stage.Stage
	t   *testing.T
	exe string
}

func newScene(t *testing.T, o stage.Options) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real servers")
	}
	need := map[string]engines.Engine{config.MariaDBEngine: engines.MariaDB, config.PostgresEngine: engines.Postgres}[o.Engine]
	enginetest.Need(t, need)
	enginetest.Slot(t)
	exe := program(t)
	o.Dir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := stage.New(ctx, host, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, srv := range s.Servers {
			if t.Failed() {
				t.Logf("%s: %s", srv.Name(), srv.LogTail())
			}
			_ = srv.Close()
		}
	})
	return &scene{s, t, exe}
}

// tool runs the program to its end.
func (s *scene) tool(args ...string) ran {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.exe, append(args, "-config", s.Config)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%v: %v", args, err)
	}
	r := ran{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	for _, secret := range []string{stage.AdminPassword, stage.ReplicationPassword, stage.AppPassword} {
		require.NotContains(s.t, r.out, secret, "%v", args)
		require.NotContains(s.t, r.errOut, secret, "%v", args)
	}
	return r
}

// ok runs a verb with -output json that must exit as wanted, and returns its document.
func (s *scene) ok(code int, args ...string) map[string]any {
	s.t.Helper()
	r := s.tool(append(args, "-output", "json")...)
	require.Equal(s.t, code, r.code, "%v\n%s\n%s", args, r.out, r.errOut)
	return r.document(s.t)
}

// document is what a verb wrote with -output json.
func (r ran) document(t *testing.T) map[string]any {
	t.Helper()
	var d map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.out), &d), r.out)
	return d
}

// leader is who leads by every condition.
func (s *scene) leader() leadership.NodeID {
	s.t.Helper()
	d := s.ok(exitOK, "status")
	return leadership.NodeID(d["status"].(map[string]any)["leader"].(string))
}

func TestEveryVerbOnRealMariaDBServers(t *testing.T) {
	t.Parallel()
	s := everyVerb(t, stage.Options{Engine: config.MariaDBEngine, More: "watch:\n  enabled: true\n"})
	require.NotContains(t, s.tool("doctor").out, "watch.dead_after")
}

func TestEveryVerbOnRealPostgreSQLServers(t *testing.T) {
	t.Parallel()
	// Nothing may arrive for half of its wal_receiver_timeout.
	s := everyVerb(t, stage.Options{Engine: config.PostgresEngine, More: "watch:\n  enabled: true\n  dead_after: 2500ms\n"})
	require.Contains(t, s.tool("doctor").out, "watch.dead_after = 2.5s")
}

func everyVerb(t *testing.T, o stage.Options) *scene {
	s := newScene(t, o)
	end := s.noSecretInAnyArgument()
	ctx := t.Context()
	first := "bootstrap"
	if o.Engine == config.PostgresEngine {
		first = "adopt" // its servers have data: one system identifier
	}
	s.ok(exitAttention, "status")
	d := s.ok(exitOK, "setup", "all", "-dry-run")
	require.Contains(t, d["setup"].([]any)[0].(map[string]any)["did"], "would")
	s.ok(exitOK, "setup", "all")
	d = s.ok(exitOK, "setup", "n2")
	require.Equal(t, "was there", d["setup"].([]any)[0].(map[string]any)["did"])
	s.ok(exitNotStarted, "planned", "-to", "n2") // there is no record yet
	s.ok(exitOK, first, "-to", "n1")
	require.EqualValues(t, "n1", s.leader())
	s.dryRuns()
	s.ok(exitNotStarted, "planned", "-to", "n9")
	s.doctored()

	s.ok(exitOK, "planned", "-to", "n2")
	require.EqualValues(t, "n2", s.leader())
	s.ok(exitOK, "refresh")

	require.NoError(t, s.Servers["n2"].Kill())
	r := s.tool("status")
	require.Equal(t, exitAttention, r.code)
	require.Contains(t, r.out, "could lead")
	require.Equal(t, exitNotStarted, s.tool("planned", "-to", "n2").code)
	s.ok(exitOK, "emergency")
	require.NotEqualValues(t, "n2", s.leader())

	require.NoError(t, s.ComeBack(ctx, "n2"))
	s.ok(exitOK, "rejoin", "n2", "-dry-run")
	s.ok(exitOK, "rejoin", "n2")
	d = s.ok(exitOK, "rejoin", "n2")
	require.Equal(t, "follows", d["rejoin"].(map[string]any)["did"])
	s.readerGoesAway("n2")
	s.interrupted("n3")
	s.ok(exitOK, "resume")
	end()
	return s
}

// dryRuns tries every verb that changes something, and none may leave a trace in the
// registry or at a node.
func (s *scene) dryRuns() {
	s.t.Helper()
	trace := func() any {
		st := s.ok(exitOK, "status")["status"].(map[string]any)
		var all []any
		for _, n := range st["nodes"].([]any) {
			n := n.(map[string]any)
			all = append(all, n["promised"], n["leads"], n["source"])
		}
		return append(all, st["record"])
	}
	before := trace()
	for _, args := range [][]string{{"planned", "-to", "n2"}, {"emergency"}, {"refresh"}, {"resume"}, {"rejoin", "n3"}, {"setup", "n1"}} {
		d := s.ok(exitOK, append(args, "-dry-run")...)
		require.Equal(s.t, true, d["dryRun"], "%v", args)
	}
	require.Equal(s.t, before, trace(), "a dry run changes nothing")
}

// doctored runs the doctor, which must have examined every server.
func (s *scene) doctored() {
	s.t.Helper()
	r := s.tool("doctor", "-output", "json")
	require.Contains(s.t, []int{exitOK, exitAttention}, r.code, r.errOut)
	require.NotContains(s.t, r.out, "could not be examined")
	require.NotContains(s.t, r.out, "there is no doctor")
}

// noSecretInAnyArgument looks at the arguments of every process until it is
// ended.
func (s *scene) noSecretInAnyArgument() (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	looks := 0
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range all {
				b, _ := os.ReadFile(f) // it may have ended
				for _, secret := range []string{stage.AdminPassword, stage.ReplicationPassword, stage.AppPassword} {
					if bytes.Contains(b, []byte(secret)) {
						s.t.Errorf("a password is in the arguments of a process: %q", b)
						return
					}
				}
			}
			looks++
		}
	}()
	return func() {
		close(stop)
		<-done
		require.Positive(s.t, looks)
	}
}

// readerGoesAway runs a change whose output nobody reads to its end.
func (s *scene) readerGoesAway(to leadership.NodeID) {
	s.t.Helper()
	r, w, err := os.Pipe()
	require.NoError(s.t, err)
	require.NoError(s.t, r.Close())
	cmd := exec.Command(s.exe, "planned", "-to", string(to), "-config", s.Config)
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(s.t, cmd.Run(), "a closed pipe must not end a change")
	require.NoError(s.t, w.Close())
	require.Equal(s.t, to, s.leader())
}

// interrupted sends SIGINT to a change once its leader is being revoked. Whatever came
// first, the code tells the truth and somebody leads.
func (s *scene) interrupted(to leadership.NodeID) {
	s.t.Helper()
	was := s.leader()
	cmd := exec.Command(s.exe, "planned", "-to", string(to), "-config", s.Config)
	errOut, err := cmd.StderrPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	var said strings.Builder
	for sc := bufio.NewScanner(errOut); sc.Scan(); {
		said.WriteString(sc.Text() + "\n")
		if strings.Contains(sc.Text(), "quiet") {
			require.NoError(s.t, cmd.Process.Signal(os.Interrupt))
		}
	}
	_ = cmd.Wait() // its code is what counts
	now := s.leader()
	switch code := cmd.ProcessState.ExitCode(); code {
	case exitOK:
		require.Equal(s.t, to, now, said.String())
	case exitNotStarted:
		require.Equal(s.t, was, now, said.String())
	case exitRestored:
		require.NotEmpty(s.t, now, said.String())
	default:
		s.t.Errorf("exit code %d: %s", code, said.String())
	}
	require.Contains(s.t, said.String(), "interrupt")
}
