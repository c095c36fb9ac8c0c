package agent_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
	"github.com/tenure-go/tenure/revoke"
)

const token = "a-token-Secret"

var t5 = leadership.Term{Num: 5, Proposer: "tool"}

// node says what it is told to say. Only its answers are made up: what is tested is
// what becomes of them on the way.
type node struct {
	asked atomic.Int64
	// promise is what Promise, Read, StepDown and the rest do.
	mu  sync.Mutex // guards do
	do  func(context.Context, leadership.Term) (leadership.Testimony, error)
	got []any // arguments of the last call
}

func (n *node) says(do func(context.Context, leadership.Term) (leadership.Testimony, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.do = do
}

func (n *node) call(ctx context.Context, t leadership.Term, args ...any) (leadership.Testimony, error) {
	n.asked.Add(1)
	n.mu.Lock()
	do := n.do
	n.got = append([]any{t}, args...)
	n.mu.Unlock()
	return do(ctx, t)
}

func (n *node) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.call(ctx, t, "promise")
}

func (n *node) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.call(ctx, t, "read")
}

func (n *node) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.call(ctx, t, "stepdown")
}

func (n *node) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	_, err := n.call(ctx, t, "drain", d)
	return revoke.Drained{Finished: 3, Survivors: 1}, err
}

func (n *node) Follow(ctx context.Context, t leadership.Term, l leadership.NodeID) (leadership.Acceptance, error) {
	tm, err := n.call(ctx, t, "follow", l)
	return leadership.Acceptance{Node: "n1", Incarnation: "i", Term: t, Leader: l, Position: *tm.Read}, err
}

func (n *node) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	tm, err := n.call(ctx, m.Term, "install", m)
	return leadership.Acceptance{Node: "n1", Incarnation: "i", Term: m.Term, Leader: m.Leader, Position: *tm.Read}, err
}

func (n *node) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, p leadership.Position) error {
	_, err := n.call(ctx, t, "catchup", donor, p)
	return err
}

func (n *node) Grant(ctx context.Context, t leadership.Term) error {
	_, err := n.call(ctx, t, "grant")
	return err
}

func (n *node) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	_, err := n.call(ctx, t, "repair", from)
	return err
}

func (n *node) Status(ctx context.Context) (leadership.Status, error) {
	tm, err := n.call(ctx, leadership.Term{}, "status")
	if err != nil {
		return leadership.Status{}, err
	}
	return leadership.Status{Node: "n1", Promised: t5, Leads: t5, Position: *tm.Read, Degraded: "it said " + token}, nil
}

// position is one of a PostgreSQL server.
func position(t *testing.T, lsn uint64) leadership.Position {
	t.Helper()
	p := pgnode.Point{System: 7, LSN: pgnode.LSN(lsn), Eras: []pgnode.Era{{Timeline: 1, Begin: 0, Term: t5}}}
	c := &leadership.Catalog{}
	require.NoError(t, pgnode.RegisterPoint(c))
	pos, err := c.ParsePosition(leadership.Position{Term: t5, Point: p}.String())
	require.NoError(t, err)
	return pos
}

// rig is an agent that serves, and what calls it.
type rig struct {
	t    *testing.T
	node *node
	url  string
	stop context.CancelFunc
	done chan error
	tls  *tls.Config
	logs *logs
}

type logs struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (l *logs) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
}

func (l *logs) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

type option func(*agent.ServerConfig)

func newRig(t *testing.T, secure bool, options ...option) *rig {
	t.Helper()
	r := &rig{t: t, node: &node{}, done: make(chan error, 1), logs: &logs{}}
	pos := position(t, 100)
	r.node.says(func(_ context.Context, at leadership.Term) (leadership.Testimony, error) {
		return leadership.Testimony{Node: "n1", Incarnation: "i", Term: at, Kind: leadership.Promised, Read: &pos, Led: t5}, nil
	})
	local := agent.Local{
		Node: reparent.Node{ID: "n1", Status: r.node, Promise: r.node, StepDown: r.node, Candidate: r.node, Follow: r.node, Repair: r.node},
		Doctor: func(context.Context) ([]reparent.Finding, error) {
			return []reparent.Finding{{Node: "n1", Severity: reparent.SeverityLoss, Subject: "password " + token, Risk: "r", Remedy: "m"}}, nil
		},
		Pulse: func(context.Context) (agent.Pulse, error) { return agent.Pulse{Up: true, Beat: "b"}, nil },
		Setup: func(context.Context) error { return nil },
		Close: func() error { return nil },
	}
	cfg := agent.ServerConfig{Cluster: "orders", Node: "n1", Open: func() (agent.Local, error) { return local, nil }, Log: r.logs.add}
	scheme := "http"
	if secure {
		scheme = "https"
		ca, cert, key, err := stage.Certificates(t.TempDir())
		require.NoError(t, err)
		cfg.TLS, err = agent.ServerTLS(ca, cert, key)
		require.NoError(t, err)
		r.tls, err = agent.ClientTLS(ca, cert, key, "")
		require.NoError(t, err)
	} else {
		cfg.Token = token
	}
	for _, o := range options {
		o(&cfg)
	}
	s, err := agent.NewServer(cfg)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.url = scheme + "://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- s.Serve(ctx, ln, 2*time.Second) }()
	t.Cleanup(cancel)
	return r
}

// client is one that is right, unless an edit says otherwise.
func (r *rig) client(edits ...func(*agent.ClientConfig)) *agent.Client {
	r.t.Helper()
	cfg := agent.ClientConfig{Cluster: "orders", Node: "n1", URL: r.url, TLS: r.tls}
	if r.tls == nil {
		cfg.Token = token
	}
	for _, e := range edits {
		e(&cfg)
	}
	c, err := agent.NewClient(cfg)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestEveryCallReachesTheNodeAsItWasMade(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{true, false} {
		r := newRig(t, secure)
		c := r.client()
		ctx := t.Context()
		pos := position(t, 100)
		m := leadership.Marker{Term: t5, Leader: "n1", Ruleset: leadership.Ruleset{Version: 1, Policy: "majority", Members: []leadership.Node{{ID: "n1", Zone: "a", Weight: 2}}}}
		testimony := leadership.Testimony{Node: "n1", Incarnation: "i", Term: t5, Kind: leadership.Promised, Read: &pos, Led: t5}
		acceptance := leadership.Acceptance{Node: "n1", Incarnation: "i", Term: t5, Leader: "n2", Position: pos}
		mine := acceptance
		mine.Leader = "n1"
		for _, k := range []struct {
			name string
			call func() (any, error)
			got  []any
			want any
		}{
			{"promise", func() (any, error) { return c.Promise(ctx, t5) }, []any{t5, "promise"}, testimony},
			{"read", func() (any, error) { return c.Read(ctx, t5) }, []any{t5, "read"}, testimony},
			{"step down", func() (any, error) { return c.StepDown(ctx, t5) }, []any{t5, "stepdown"}, testimony},
			{"drain", func() (any, error) { return c.Drain(ctx, t5, time.Second) }, []any{t5, "drain", time.Second}, revoke.Drained{Finished: 3, Survivors: 1}},
			{"follow", func() (any, error) { return c.Follow(ctx, t5, "n2") }, []any{t5, "follow", leadership.NodeID("n2")}, acceptance},
			{"install", func() (any, error) { return c.Install(ctx, m) }, []any{t5, "install", m}, mine},
			{"catch up", func() (any, error) { return nil, c.CatchUp(ctx, t5, "n2", pos) }, []any{t5, "catchup", leadership.NodeID("n2"), pos}, nil},
			{"grant", func() (any, error) { return nil, c.Grant(ctx, t5) }, []any{t5, "grant"}, nil},
			{"repair", func() (any, error) { return nil, c.Repair(ctx, t5, "n2") }, []any{t5, "repair", leadership.NodeID("n2")}, nil},
		} {
			got, err := k.call()
			require.NoError(t, err, k.name)
			require.Equal(t, k.want, got, k.name)
			r.node.mu.Lock()
			require.Equal(t, k.got, r.node.got, k.name)
			r.node.mu.Unlock()
		}
		p, err := c.Pulse(ctx)
		require.NoError(t, err)
		require.Equal(t, agent.Pulse{Up: true, Beat: "b"}, p)
		require.NoError(t, c.Setup(ctx))
	}
}

func TestAPositionComparesOnTheOtherSide(t *testing.T) {
	t.Parallel()
	c := newRig(t, false).client()
	tm, err := c.Promise(t.Context(), t5)
	require.NoError(t, err)
	require.True(t, tm.Read.Extends(position(t, 50)), "a place further on in the same log")
	st, err := c.Status(t.Context())
	require.NoError(t, err)
	require.True(t, position(t, 200).Extends(st.Position))
}

func TestNoPasswordIsSentOrLogged(t *testing.T) {
	t.Parallel()
	r := newRig(t, false, func(cfg *agent.ServerConfig) {
		cfg.Hide = func(s string) string { return hidden.Replace(s) }
	})
	c := r.client()
	st, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "it said ***", st.Degraded)
	fs, err := c.Doctor(t.Context())
	require.NoError(t, err)
	require.Equal(t, "password ***", fs[0].Subject)
	r.node.says(func(context.Context, leadership.Term) (leadership.Testimony, error) {
		return leadership.Testimony{}, &pgnode.ServerError{Node: "n1", What: "status", Err: errWith("cannot log in with " + token)}
	})
	_, err = c.Promise(t.Context(), t5)
	require.ErrorContains(t, err, "cannot log in with ***")
	_, err = r.client(func(c *agent.ClientConfig) { c.Token = "wrong-token-Secret" }).Status(t.Context())
	require.ErrorContains(t, err, "token")
	require.NotContains(t, err.Error(), "Secret")
	require.NotEmpty(t, r.logs.all())
	for _, l := range r.logs.all() {
		require.NotContains(t, l, "Secret")
	}
}

func TestANodeThatWasSetUpMeanwhileIsServed(t *testing.T) {
	t.Parallel()
	var made atomic.Bool
	var closed atomic.Int64
	pos := position(t, 1)
	c := newRig(t, false, func(cfg *agent.ServerConfig) {
		cfg.Open = func() (agent.Local, error) {
			n, there := &node{}, made.Load()
			n.says(func(context.Context, leadership.Term) (leadership.Testimony, error) {
				if !there {
					return leadership.Testimony{}, &agent.NotSetUpError{Node: "n1"}
				}
				return leadership.Testimony{Node: "n1", Read: &pos}, nil
			})
			return agent.Local{
				Node: reparent.Node{ID: "n1", Status: n, Promise: n}, Unset: !there,
				Setup: func(context.Context) error { made.Store(true); return nil },
				Close: func() error { closed.Add(1); return nil },
			}, nil
		}
	}).client()
	_, err := c.Status(t.Context())
	require.ErrorAs(t, err, new(*agent.NotSetUpError))
	_, err = c.Doctor(t.Context())
	require.ErrorAs(t, err, new(*agent.NotSetUpError))
	require.NoError(t, c.Setup(t.Context()))
	_, err = c.Status(t.Context())
	require.NoError(t, err)
	before := closed.Load()
	_, err = c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, closed.Load(), "a node that is set up stays open")
	_, err = c.StepDown(t.Context(), t5)
	require.ErrorAs(t, err, new(*agent.RefusedError), "what the node cannot do is refused")
}

func TestPlainHTTPIsForLoopbackAloneAndNobodyIsServedUnchecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url string
		ok  bool
	}{
		{"https://db1:7443", true}, {"https://[::1]:7443/", true}, {"http://127.0.0.1:1", true}, {"http://[::1]:1", true}, {"http://127.8.9.1:1", true},
		{"http://10.0.0.1:1", false}, {"http://localhost:1", false}, {"http://0.0.0.0:1", false}, {"http://[::ffff:10.0.0.1]:1", false},
		{"https://db1", false}, {"https://u:p@db1:1", false}, {"https://db1:1/x", false}, {"https://db1:1?a=b", false}, {"ftp://127.0.0.1:1", false}, {"", false},
	} {
		_, err := agent.CheckURL(c.url)
		require.Equal(t, c.ok, err == nil, "%s: %v", c.url, err)
	}
	open := func() (agent.Local, error) { return agent.Local{}, nil }
	for _, cfg := range []agent.ServerConfig{
		{}, {Cluster: "c", Node: "n1", Open: open},
		{Cluster: "c", Node: "n1", Open: open, TLS: &tls.Config{}},
		{Cluster: "c", Node: "n1", Open: open, Token: token, TLS: &tls.Config{ClientAuth: tls.RequireAnyClientCert}},
	} {
		_, err := agent.NewServer(cfg)
		require.Error(t, err)
	}
	for _, cfg := range []agent.ClientConfig{{URL: "https://db1:1"}, {URL: "http://127.0.0.1:1"}, {URL: "http://db1:1", Token: token}} {
		_, err := agent.NewClient(cfg)
		require.Error(t, err)
	}
	s, err := agent.NewServer(agent.ServerConfig{Cluster: "c", Node: "n1", Open: open, Token: token})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.ErrorContains(t, s.Serve(t.Context(), ln, time.Second), "loopback")
	_, err = http.Get("http://" + ln.Addr().String())
	require.Error(t, err, "it is closed")
}
