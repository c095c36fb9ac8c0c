package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
)

func TestWatchersThroughAgentsReplaceADeadLeaderAndNotOneWhoseAgentIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, stage.Options{
		Engine: config.PostgresEngine, Agents: true,
		More: "limits: {status: 3s, revoke: 6s, install: 8s, undo: 15s}\n" +
			"watch:\n  enabled: true\n  observers: 2\n  interval: 100ms\n  timeout: 700ms\n  refused_after: 300ms\n  dead_after: 4s\n  calm: 1s\n  retry: 1s\n  most: 20\n",
	})
	a := startAgents(s)
	s.ok(exitOK, "setup", "all")
	s.ok(exitOK, "adopt", "-to", "n1")
	w1, w2 := s.watcher("w1"), s.watcher("w2")
	healthy := func() bool { return w1.last(is(verdict.Healthy)) && w2.last(is(verdict.Healthy)) }
	patiently(t, "both see a healthy leader", healthy)

	// Nobody can ask the leader, and its replicas hear from it.
	a.kill("n1")
	patiently(t, "both miss its answer", func() bool { return !w1.last(is(verdict.Healthy)) && !w2.last(is(verdict.Healthy)) })
	timer := time.NewTimer(8 * time.Second) // twice what a dead one is given
	defer timer.Stop()
	<-timer.C
	require.False(t, w1.has(changed) || w2.has(changed), "a leader that serves was replaced for its agent")
	a.start("n1")
	patiently(t, "both see it again", healthy)

	require.NoError(t, s.Servers["n1"].Kill())
	patiently(t, "one of them replaces it", func() bool { return w1.has(changed) || w2.has(changed) })
	var lead leadership.NodeID
	enginetest.Eventually(t, 30*time.Second, "another one leads", func(context.Context) error {
		d := s.tool("status", "-output", "json").document(t)
		st, _ := d["status"].(map[string]any)
		name, _ := st["leader"].(string)
		if lead = leadership.NodeID(name); lead == "" || lead == "n1" {
			return fmt.Errorf("%q leads", lead)
		}
		return nil
	})
	require.NoError(t, s.ComeBack(t.Context(), "n1"))
	s.ok(exitOK, "rejoin", "n1")
}

func patiently(t *testing.T, what string, ok func() bool) {
	t.Helper()
	enginetest.Eventually(t, 60*time.Second, what, func(context.Context) error {
		if !ok() {
			return errors.New("not yet")
		}
		return nil
	})
}

// tokens makes the agents of a scene ones at http, which ask for a token and wait so
// long for the calls that they are in.
func (s *scene) tokens(stop string) {
	s.t.Helper()
	secret := filepath.Join(s.Dir, "agents.token")
	require.NoError(s.t, os.WriteFile(secret, []byte("a-token-of-agents\n"), 0o600))
	for _, path := range []string{s.Config, s.Beside} {
		b, err := os.ReadFile(path)
		require.NoError(s.t, err)
		text := regexp.MustCompile(`(?m)^  tls: .*\n  stop: .*$`).ReplaceAllString(string(b), "  token: {file: "+secret+"}\n  stop: "+stop)
		text = strings.ReplaceAll(text, "agent: https://", "agent: http://")
		require.Contains(s.t, text, "agents.token")
		require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	}
	for id, u := range s.URLs {
		s.URLs[id] = strings.Replace(u, "https://", "http://", 1)
	}
}

func TestAnAgentAsksForItsToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, stage.Options{Engine: config.PostgresEngine, Agents: true, More: "limits: {status: 5s}\n"})
	s.tokens("10s")
	a := startAgents(s)
	s.ok(exitOK, "setup", "all")
	s.ok(exitOK, "adopt", "-to", "n1")
	before := a.record()

	b, err := os.ReadFile(s.Config)
	require.NoError(t, err)
	wrong := filepath.Join(s.Dir, "wrong.token")
	require.NoError(t, os.WriteFile(wrong, []byte("another\n"), 0o600))
	right := s.Config
	s.Config = filepath.Join(s.Dir, "wrong.yaml")
	require.NoError(t, os.WriteFile(s.Config, []byte(strings.Replace(string(b), "agents.token", "wrong.token", 1)), 0o600))
	r := s.tool("status")
	require.Equal(t, exitAttention, r.code)
	require.Contains(t, r.out, "token")
	require.Equal(t, exitNotStarted, s.tool("planned", "-to", "n2").code)
	require.NotEqual(t, exitOK, s.tool("emergency", "-force").code)

	s.Config = right
	require.Equal(t, before, a.record())
	require.EqualValues(t, "n1", s.leader(), "who does not know the token changes nothing")
	for _, id := range s.IDs {
		a.end(id)
		require.NotContains(t, a.said[id].String(), "a-token-of-agents")
	}
}

func TestAnAgentThatIsEndedFinishesACallOrSaysThatItDidNot(t *testing.T) {
	t.Parallel()
	for stop, want := range map[string]int{"20s": exitOK, "50ms": exitIncomplete} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, stage.Options{Engine: config.PostgresEngine, Agents: true, More: "limits: {status: 15s}\n"})
			s.tokens(stop)
			a := startAgents(s)
			s.ok(exitOK, "setup", "all")
			s.ok(exitOK, "adopt", "-to", "n1")

			// A server that hangs keeps its agent in a call.
			require.NoError(t, s.Servers["n2"].Freeze())
			defer func() { require.NoError(t, s.Servers["n2"].Thaw()) }()
			busy := s.connections("n2")
			status := exec.Command(s.exe, "status", "-config", s.Config)
			require.NoError(t, status.Start())
			patiently(t, "the agent asks its server", func() bool { return s.connections("n2") > busy })
			a.mu.Lock()
			cmd := a.procs["n2"]
			delete(a.procs, "n2")
			a.mu.Unlock()
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			err := cmd.Wait()
			var exit *exec.ExitError
			require.True(t, err == nil || errors.As(err, &exit), "%v", err)
			require.Equal(t, want, cmd.ProcessState.ExitCode(), "%s", a.said["n2"])
			_ = status.Wait() // what it shows is not the matter
		})
	}
}

// connections counts the connections to a server that are made, taken or not.
func (s *scene) connections(id leadership.NodeID) int {
	s.t.Helper()
	b, err := os.ReadFile("/proc/net/tcp")
	require.NoError(s.t, err)
	n := 0
	for line := range strings.Lines(string(b)) {
		// sl, local, remote, state: 01 is established.
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", s.Servers[id].Port())) {
			n++
		}
	}
	return n
}
