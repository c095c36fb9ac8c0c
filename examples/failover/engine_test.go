package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
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
	"github.com/tenure-go/tenure/examples/failover/internal/demo"
	"github.com/tenure-go/tenure/examples/failover/internal/stage"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
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

func TestTheDemoOnMariaDBLosesNothing(t *testing.T) {
	t.Parallel()
	demoLosesNothing(t, engines.MariaDB, config.MariaDBEngine)
}

func TestTheDemoOnPostgreSQLLosesNothing(t *testing.T) {
	t.Parallel()
	demoLosesNothing(t, engines.Postgres, config.PostgresEngine)
}

func demoLosesNothing(t *testing.T, need engines.Engine, name string) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	enginetest.Need(t, need)
	enginetest.Slot(t)
	svg := filepath.Join(t.TempDir(), "out.svg")
	ctx, cancel := context.WithTimeout(t.Context(), 110*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), "demo", name, "-svg", svg, "-writers", "4", "-output", "json")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(t, cmd.Run(), "%s\n%s", out.String(), errOut.String())
	var d struct{ Demo demo.Result }
	require.NoError(t, json.Unmarshal(out.Bytes(), &d))
	require.Empty(t, d.Demo.Problems)
	require.Greater(t, d.Demo.Acked, 100)
	require.Len(t, d.Demo.Changes, 9)
	strict := 0
	for _, ch := range d.Demo.Changes {
		t.Logf("%-26s %-16s no leader %8s, gap %8s, errors %d, unknown %d", ch.Name, ch.Result, ch.Leaderless.Round(time.Millisecond), ch.Gap.Round(time.Millisecond), ch.Errors, ch.Unknown)
		if ch.Strict {
			strict++
			require.Zero(t, ch.Errors+ch.Unknown, ch.Name)
		}
	}
	require.Equal(t, 6, strict)
	b, err := os.ReadFile(svg)
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(b, new(struct{})), "the picture is not well formed")
}

func TestWatchersOnEtcdReplaceADeadLeaderAndNothingWhileEtcdIsDown(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts real servers")
	}
	enginetest.Need(t, engines.MariaDB, engines.Etcd)
	enginetest.Slot(t)
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	s := newScene(t, stage.Options{
		Engine: config.MariaDBEngine, Registry: "{etcd: {endpoints: [" + strings.Join(etcd.Endpoints(), ",") + "]}}", Barrier: "{etcd: true}",
		More: "watch:\n  enabled: true\n  observers: 2\n  interval: 100ms\n  timeout: 500ms\n  refused_after: 300ms\n  dead_after: 2s\n  calm: 1h\n  window: 2h\n",
	})
	s.ok(exitOK, "setup", "all")
	s.ok(exitOK, "bootstrap", "-to", "n1")
	w1, w2 := s.watcher("w1"), s.watcher("w2")
	healthy := func(e *events) func() bool { return func() bool { return e.last(is(verdict.Healthy)) } }
	eventually(t, "both see a healthy leader", func() bool { return healthy(w1)() && healthy(w2)() })

	// etcd goes: nothing is done, also while the leader goes.
	require.NoError(t, etcd.Members()[0].Kill())
	eventually(t, "both are unsure", func() bool { return w1.last(is(verdict.Unsure)) && w2.last(is(verdict.Unsure)) })
	require.NoError(t, s.Servers["n1"].Kill())
	timer := time.NewTimer(3 * time.Second) // well beyond what it takes with etcd
	defer timer.Stop()
	<-timer.C
	require.False(t, w1.has(changed) || w2.has(changed))

	// It comes back: now the leader is missed, and replaced.
	require.NoError(t, etcd.Members()[0].Start(t.Context()))
	eventually(t, "one of them replaces it", func() bool { return w1.has(changed) || w2.has(changed) })
	require.False(t, w1.has(changed) && w2.has(changed))
	require.NotEqualValues(t, "n1", s.leader())
	require.NoError(t, s.ComeBack(t.Context(), "n1"))
	s.ok(exitOK, "rejoin", "n1")
}

// watcher starts a process that watches, and ends it with the test.
func (s *scene) watcher(name string) *events {
	s.t.Helper()
	e := &events{}
	cmd := exec.Command(s.exe, "watch", "-name", name, "-output", "json", "-config", s.Config)
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = e, &errOut
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || s.t.Failed() {
			s.t.Logf("%s: %v: %s", name, err, errOut.String())
		}
	})
	return e
}

func TestTheExampleConfigurationIsOne(t *testing.T) {
	t.Setenv("FAILOVER_PASSWORD", "a")
	t.Setenv("REPLICATION_PASSWORD", "b")
	t.Setenv("ETCD_PASSWORD", "c")
	cfg, err := config.Load("testdata/failover.yaml")
	require.NoError(t, err)
	_, err = cfg.Secrets()
	require.NoError(t, err)
	all, err := mariadbServers(cfg)
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, s := range all {
		require.NoError(t, s.close())
	}
}
