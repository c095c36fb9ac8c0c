package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// members are three real members of examples/kv in this process: nodes for what the
// tool does whatever the engine.
type members struct {
	t     *testing.T
	dir   string
	peers map[leadership.NodeID]string
	mu    sync.Mutex // guards what follows
	up    map[leadership.NodeID]*http.Server
	nodes map[leadership.NodeID]*kv.Node
	// asked counts the calls that change something at a node.
	asked atomic.Int64
	// fail, when set, is what Install at a node says.
	fail func(leadership.Marker) error
	// lost says which replicas have lost their leader.
	lost map[leadership.NodeID]bool
}

var ids = []leadership.NodeID{"n1", "n2", "n3"}

func startMembers(t *testing.T) *members {
	t.Helper()
	m := &members{
		t: t, dir: t.TempDir(), peers: map[leadership.NodeID]string{}, up: map[leadership.NodeID]*http.Server{},
		nodes: map[leadership.NodeID]*kv.Node{}, lost: map[leadership.NodeID]bool{},
	}
	lns := map[leadership.NodeID]net.Listener{}
	for _, id := range ids {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		lns[id], m.peers[id] = ln, ln.Addr().String()
	}
	for _, id := range ids {
		m.start(id, lns[id], true)
	}
	t.Cleanup(func() {
		for _, id := range ids {
			m.stop(id)
		}
	})
	return m
}

func (m *members) start(id leadership.NodeID, ln net.Listener, create bool) {
	m.t.Helper()
	n, err := kv.Open(context.Background(), kv.Config{ID: id, Dir: filepath.Join(m.dir, string(id)), Create: create, Peers: m.peers})
	require.NoError(m.t, err)
	s := &http.Server{Handler: n.Handler(), ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(ln) }()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up[id], m.nodes[id] = s, n
}

func (m *members) stop(id leadership.NodeID) {
	m.mu.Lock()
	s, n := m.up[id], m.nodes[id]
	delete(m.up, id)
	delete(m.nodes, id)
	for _, other := range ids {
		m.lost[other] = true
	}
	m.mu.Unlock()
	if s != nil {
		_ = s.Close()
		_ = n.Close()
	}
}

// failing sets what Install says, nil for what it is.
func (m *members) failing(fail func(leadership.Marker) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *members) restart(id leadership.NodeID) {
	ln, err := net.Listen("tcp", m.peers[id])
	require.NoError(m.t, err)
	m.start(id, ln, false)
}

// engine makes the tool's servers of them.
func (m *members) engine(*config.Config) ([]server, error) {
	client := kv.NewHTTPClient()
	var all []server
	for _, id := range ids {
		r := &counted{Remote: kv.NewRemote(id, m.peers[id], client), m: m}
		all = append(all, server{
			node: reparent.Node{
				ID: id, Addr: m.peers[id], Status: r, Promise: r, StepDown: r, Candidate: r, Follow: r, Truncates: true,
			},
			doctor: func(context.Context) ([]reparent.Finding, error) {
				return []reparent.Finding{{Node: id, Severity: reparent.SeverityAdvice, Subject: "log", Risk: "it only grows", Remedy: "none"}}, nil
			},
			pulse: func(context.Context) (pulse, error) {
				m.mu.Lock()
				defer m.mu.Unlock()
				if m.up[id] == nil {
					return pulse{}, fmt.Errorf("%s is down", id)
				}
				return pulse{up: !m.lost[id], beat: fmt.Sprint(time.Now().UnixNano())}, nil
			},
		})
	}
	return all, nil
}

// counted counts what is asked of a node beside its status.
type counted struct {
	*kv.Remote
	m *members
}

func (c *counted) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	c.m.asked.Add(1)
	return c.Remote.Promise(ctx, t)
}

func (c *counted) Follow(ctx context.Context, t leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
	c.m.asked.Add(1)
	return c.Remote.Follow(ctx, t, l)
}

func (c *counted) Install(ctx context.Context, k leadership.Marker) (leadership.Acceptance, error) {
	c.m.asked.Add(1)
	c.m.mu.Lock()
	fail := c.m.fail
	c.m.mu.Unlock()
	if fail != nil {
		if err := fail(k); err != nil {
			return leadership.Acceptance{}, err
		}
	}
	return c.Remote.Install(ctx, k)
}

// tool is the tool on such members.
type tool struct {
	t      *testing.T
	m      *members
	config string
	dir    string
}

func newTool(t *testing.T, extra string) *tool {
	t.Helper()
	m := startMembers(t)
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: orders\nengine: mariadb\nby: ops\npolicy: majority\nregistry:\n  file: %s\nmariadb:\n  user: u\n  replication:\n    user: r\nnodes:\n", filepath.Join(dir, "registry"))
	for _, id := range ids {
		fmt.Fprintf(&b, "  - id: %s\n    addr: %s\n", id, m.peers[id])
	}
	b.WriteString("limits:\n  linger: 50ms\n  status: 1s\n  revoke: 3s\n  drain: 1s\n  install: 2s\n  prepare: 2s\n  undo: 3s\n")
	b.WriteString(extra)
	path := filepath.Join(dir, "failover.yaml")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return &tool{t: t, m: m, config: path, dir: dir}
}

// ran is what one call of the tool came to.
type ran struct {
	code        int
	out, errOut string
}

func (x *tool) run(ctx context.Context, args ...string) ran {
	var out, errOut bytes.Buffer
	a := app{stdout: &out, stderr: &errOut, engines: map[string]engine{config.MariaDBEngine: x.m.engine}}
	code := a.run(ctx, append(args, "-config", x.config))
	return ran{code, out.String(), errOut.String()}
}

// json runs a verb with -output json and returns its document.
func (x *tool) json(ctx context.Context, args ...string) (map[string]any, ran) {
	x.t.Helper()
	r := x.run(ctx, append(args, "-output", "json")...)
	var d map[string]any
	require.NoError(x.t, json.Unmarshal([]byte(r.out), &d), "%s\n%s", r.out, r.errOut)
	require.EqualValues(x.t, r.code, d["exit"])
	require.Equal(x.t, args[0], d["verb"])
	return d, r
}

func (x *tool) bootstrapped() *tool {
	x.t.Helper()
	r := x.run(x.t.Context(), "bootstrap", "-to", "n1")
	require.Equal(x.t, exitOK, r.code, "%s\n%s", r.out, r.errOut)
	return x
}
