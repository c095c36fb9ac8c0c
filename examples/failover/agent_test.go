package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
)

// agents are the processes beside the servers of a scene.
type agents struct {
	*scene
	mu    sync.Mutex // guards what follows
	procs map[leadership.NodeID]*exec.Cmd
	said  map[leadership.NodeID]*bytes.Buffer
}

func startAgents(s *scene) *agents {
	s.t.Helper()
	a := &agents{scene: s, procs: map[leadership.NodeID]*exec.Cmd{}, said: map[leadership.NodeID]*bytes.Buffer{}}
	s.t.Cleanup(func() {
		for _, id := range s.IDs {
			a.kill(id)
			if s.t.Failed() {
				s.t.Logf("agent of %s: %s", id, a.said[id])
			}
		}
	})
	for _, id := range s.IDs {
		a.start(id)
	}
	return a
}

func (a *agents) start(id leadership.NodeID) {
	a.t.Helper()
	cmd := exec.Command(a.exe, "agent", string(id), "-config", a.Beside)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(a.t, cmd.Start())
	a.mu.Lock()
	a.procs[id], a.said[id] = cmd, &said
	a.mu.Unlock()
	u, err := url.Parse(a.URLs[id])
	require.NoError(a.t, err)
	enginetest.Eventually(a.t, 10*time.Second, "the agent of "+string(id), func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (a *agents) signal(id leadership.NodeID, sig os.Signal) {
	a.mu.Lock()
	cmd := a.procs[id]
	a.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Signal(sig) // it may have ended
	}
}

// kill ends an agent as kill -9 does.
func (a *agents) kill(id leadership.NodeID) {
	a.mu.Lock()
	cmd := a.procs[id]
	delete(a.procs, id)
	a.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
}

// end ends an agent in order.
func (a *agents) end(id leadership.NodeID) {
	a.t.Helper()
	a.mu.Lock()
	cmd := a.procs[id]
	delete(a.procs, id)
	a.mu.Unlock()
	require.NoError(a.t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(a.t, cmd.Wait(), "%s", a.said[id])
}

func TestThroughAgentsTheToolNeedsNoMoreThanTheirURLs(t *testing.T) {
	t.Parallel()
	s := newScene(t, stage.Options{
		Engine: config.PostgresEngine, Agents: true,
		More: "limits: {status: 5s, drain: 2s, revoke: 6s, install: 5s, undo: 15s}\n", // who waits for a dead agent waits so long
	})
	b, err := os.ReadFile(s.Config)
	require.NoError(t, err)
	for _, local := range []string{"data:", "dir:", "password"} {
		require.NotContains(t, string(b), local)
	}
	r := s.tool("status")
	require.Equal(t, exitAttention, r.code)
	require.Contains(t, r.out, "cannot be reached", "there is no agent yet")

	a := startAgents(s)
	s.ok(exitOK, "setup", "all")
	d := s.ok(exitOK, "setup", "n2")
	require.Equal(t, "was there", d["setup"].([]any)[0].(map[string]any)["did"])
	s.ok(exitOK, "adopt", "-to", "n1")
	require.EqualValues(t, "n1", s.leader())
	s.doctored()

	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	conf, err := s.Load(4, s.exe)
	require.NoError(t, err)
	l, err := load.Start(ctx, conf)
	require.NoError(t, err)
	require.NoError(t, l.AwaitAcks(ctx, 20))
	s.ok(exitOK, "planned", "-to", "n2")
	require.EqualValues(t, "n2", s.leader())
	require.NoError(t, l.AwaitAcks(ctx, 20))

	// The server dies; its agent does not.
	require.NoError(t, s.Servers["n2"].Kill())
	r = s.tool("status")
	require.Equal(t, exitAttention, r.code)
	require.Contains(t, r.out, "its server is down")
	s.ok(exitOK, "emergency")
	require.NotEqualValues(t, "n2", s.leader())
	require.NoError(t, s.ComeBack(ctx, "n2"))
	s.ok(exitOK, "rejoin", "n2")
	d = s.ok(exitOK, "rejoin", "n2")
	require.Equal(t, "follows", d["rejoin"].(map[string]any)["did"])
	require.NoError(t, l.AwaitAcks(ctx, 20))

	a.killedInAChange(true)
	a.killedInAChange(false)
	require.NoError(t, l.AwaitAcks(ctx, 20))
	h, err := l.Stop(ctx)
	require.NoError(t, err)
	a.nothingLost(h)
	for _, id := range s.IDs {
		a.end(id)
		for _, secret := range []string{stage.AdminPassword, stage.ReplicationPassword} {
			require.NotContains(t, a.said[id].String(), secret)
		}
		require.Contains(t, a.said[id].String(), "promise", "an agent says what it was asked for")
	}
}

// killedInAChange kills an agent while a planned change waits for it: that of the old
// leader, which is to step down, or of the new one, which is to be installed. What the
// tool says of it must be so, and resume must get over it.
func (a *agents) killedInAChange(old bool) {
	t := a.t
	t.Helper()
	was := a.leader()
	to := a.IDs[0]
	if to == was {
		to = a.IDs[1]
	}
	victim, moment := to, "revoke"
	if old {
		victim, moment = was, "quiet"
	}
	before := a.record()
	cmd := exec.Command(a.exe, "planned", "-to", string(to), "-config", a.Config)
	errOut, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said strings.Builder
	var killed sync.WaitGroup
	hit := false
	for sc := bufio.NewScanner(errOut); sc.Scan(); {
		said.WriteString(sc.Text() + "\n")
		if _, what, _ := strings.Cut(sc.Text(), "s  "); !hit && strings.HasPrefix(strings.TrimSpace(what), moment) {
			// Whatever it is asked from here on stays with it.
			hit = true
			a.signal(victim, syscall.SIGSTOP)
			killed.Go(func() {
				wait := time.NewTimer(500 * time.Millisecond)
				defer wait.Stop()
				select {
				case <-wait.C:
				case <-t.Context().Done():
				}
				a.kill(victim)
			})
		}
	}
	killed.Wait()
	err = cmd.Wait()
	var exit *exec.ExitError
	require.True(t, err == nil || errors.As(err, &exit), "%v", err)
	require.True(t, hit, "%s", said.String())
	code := cmd.ProcessState.ExitCode()
	t.Logf("the agent of %s killed after %q: exit code %d\n%s", victim, moment, code, said.String())
	a.start(victim)
	now := a.record()
	switch code {
	case exitOK:
		require.EqualValues(t, to, now["leader"], said.String())
		require.NotEqual(t, before, now)
	case exitNotStarted:
		require.Equal(t, before, now, said.String())
		require.Equal(t, was, a.leader(), said.String())
	case exitRestored:
		require.NotEqual(t, before["term"], now["term"])
		require.NotEmpty(t, now["leader"])
	case exitIncomplete, exitUnknown:
	default:
		t.Errorf("exit code %d: %s", code, said.String())
	}
	a.ok(exitOK, "resume")
	require.NotEmpty(t, a.leader())
	// A change ends without waiting for the repair of whoever was left out.
	for _, id := range a.IDs {
		a.ok(exitOK, "rejoin", string(id))
	}
}

// record is who leads by the registry.
func (a *agents) record() map[string]any {
	a.t.Helper()
	r := a.tool("status", "-output", "json")
	return r.document(a.t)["status"].(map[string]any)["record"].(map[string]any)["active"].(map[string]any)
}

// nothingLost looks for every write that was acknowledged.
func (a *agents) nothingLost(h load.History) {
	t := a.t
	t.Helper()
	lead := a.leader()
	enginetest.Eventually(t, 20*time.Second, "the replicas to have what the leader has", func(ctx context.Context) error {
		rows, err := a.Rows(ctx, lead)
		if err != nil {
			return err
		}
		var others []load.Rows
		for _, id := range a.IDs {
			if id == lead {
				continue
			}
			o, err := a.Rows(ctx, id)
			if err != nil {
				return err
			}
			others = append(others, o)
		}
		v := h.Check(rows, others...)
		t.Logf("%s", v)
		return v.Err()
	})
}

func TestALeaderWhoseAgentIsGoneIsNotSeenAsDown(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("secret\n"), 0o600))
	s, err := agentServer(&config.Config{Cluster: "c", Agents: &config.Agents{Token: config.Secret{File: token}}},
		config.Node{ID: "n1", Addr: "h:1", Agent: "http://" + ln.Addr().String()})
	require.NoError(t, err)
	st, err := s.node.Status.Status(t.Context())
	require.Error(t, err)
	require.Equal(t, verdict.Silent, s.sees(st, err, leadership.Term{Num: 1, Proposer: "a"}), "not refused: nothing is known of the server")
	require.NoError(t, s.node.Enforce.CanEnforce(leadership.Ruleset{}), "what a node can keep is known without it")
	require.NoError(t, s.close())
}
