package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/stage"
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
	s.t.Logf("%v: %v\n%s", args, cmd.ProcessState.ExitCode(), errOut.String())
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
	var d map[string]any
	require.NoError(s.t, json.Unmarshal([]byte(r.out), &d), r.out)
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
	everyVerb(t, stage.Options{Engine: config.MariaDBEngine})
}

func TestEveryVerbOnRealPostgreSQLServers(t *testing.T) {
	t.Parallel()
	everyVerb(t, stage.Options{Engine: config.PostgresEngine})
}

func everyVerb(t *testing.T, o stage.Options) {
	s := newScene(t, o)
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
	s.ok(exitOK, first, "-to", "n1", "-dry-run")
	s.ok(exitNotStarted, "planned", "-to", "n2") // there is no record yet
	s.ok(exitOK, first, "-to", "n1")
	require.EqualValues(t, "n1", s.leader())

	s.ok(exitOK, "plan", "planned", "-to", "n2")
	s.ok(exitOK, "planned", "-to", "n2", "-dry-run")
	require.EqualValues(t, "n1", s.leader(), "a dry run changes nothing")
	s.ok(exitOK, "planned", "-to", "n2")
	require.EqualValues(t, "n2", s.leader())
	s.ok(exitOK, "refresh")

	require.NoError(t, s.Servers["n2"].Kill())
	r := s.tool("status")
	require.Equal(t, exitAttention, r.code)
	require.Contains(t, r.out, "could lead")
	s.ok(exitOK, "emergency")
	to := s.leader()
	require.NotEqualValues(t, "n2", to)

	require.NoError(t, s.ComeBack(ctx, "n2"))
	s.ok(exitOK, "rejoin", "n2", "-dry-run")
	s.ok(exitOK, "rejoin", "n2")
	d = s.ok(exitOK, "rejoin", "n2")
	require.Equal(t, "follows", d["rejoin"].(map[string]any)["did"])
	s.ok(exitOK, "planned", "-to", "n2")
	require.EqualValues(t, "n2", s.leader())
	s.ok(exitOK, "resume")
}
