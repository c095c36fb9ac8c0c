package kv_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

// cluster is members of one process over real HTTP and real files.
type cluster struct {
	t     testing.TB
	dir   string
	peers map[leadership.NodeID]string
	rules leadership.Ruleset
	term  leadership.Term
	up    map[leadership.NodeID]*member
	heard map[leadership.NodeID]*kv.Remote
	http  *http.Client
}

type member struct {
	stop context.CancelFunc
	done chan error
}

func ids(n int) []leadership.NodeID {
	out := make([]leadership.NodeID, n)
	for i := range out {
		out[i] = leadership.NodeID(fmt.Sprintf("n%d", i+1))
	}
	return out
}

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "test"} }

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newCluster(t *testing.T, n int, policy leadership.Policy) *cluster {
	t.Helper()
	c := &cluster{
		t: t, dir: t.TempDir(), peers: map[leadership.NodeID]string{},
		up: map[leadership.NodeID]*member{}, heard: map[leadership.NodeID]*kv.Remote{},
	}
	var nodes []leadership.Node
	lns := map[leadership.NodeID]net.Listener{}
	client := kv.NewHTTPClient()
	c.http = client
	for _, id := range ids(n) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		lns[id], c.peers[id] = ln, ln.Addr().String()
		c.heard[id] = kv.NewRemote(id, c.peers[id], client)
		nodes = append(nodes, leadership.Node{ID: id})
	}
	var err error
	c.rules, err = leadership.NewRuleset(policy, nodes...)
	require.NoError(t, err)
	for id, ln := range lns {
		c.start(id, ln, true)
	}
	t.Cleanup(func() {
		for _, id := range slices.Collect(maps.Keys(c.up)) {
			c.stop(id)
		}
		client.CloseIdleConnections()
	})
	return c
}

func (c *cluster) config(id leadership.NodeID) kv.Config {
	cfg := kv.Config{ID: id, Dir: filepath.Join(c.dir, string(id)), Peers: c.peers, RequestTimeout: 3 * time.Second}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("member", string(id))
	}
	return cfg
}

func (c *cluster) start(id leadership.NodeID, ln net.Listener, create bool) {
	c.t.Helper()
	if ln == nil {
		var err error
		ln, err = net.Listen("tcp", c.peers[id])
		require.NoError(c.t, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{stop: cancel, done: make(chan error, 1)}
	cfg := c.config(id)
	cfg.Create = create
	go func() { m.done <- kv.Run(ctx, cfg, ln) }()
	c.up[id] = m
	require.Eventually(c.t, func() bool { _, err := c.heard[id].Status(ctx); return err == nil }, 5*time.Second, time.Millisecond)
}

func (c *cluster) stop(ids ...leadership.NodeID) {
	c.t.Helper()
	for _, id := range ids {
		m := c.up[id]
		delete(c.up, id)
		m.stop()
		require.NoError(c.t, <-m.done)
	}
}

// round promises a new term at the given members.
func (c *cluster) round(reach ...leadership.NodeID) *leadership.Round {
	c.t.Helper()
	c.term = term(c.term.Num + 1)
	r, err := leadership.NewRound(leadership.RoundConfig{Term: c.term, Rulesets: []leadership.Ruleset{c.rules}})
	require.NoError(c.t, err)
	for _, id := range reach {
		w, err := c.heard[id].Promise(deadline(c.t), c.term)
		require.NoError(c.t, err)
		require.NoError(c.t, r.Add(w))
	}
	return r
}

func (c *cluster) propose(r *leadership.Round, to leadership.NodeID) *leadership.Proposal {
	c.t.Helper()
	v, err := r.Revocation()
	require.NoError(c.t, err)
	p, err := v.Propose(to, nil)
	require.NoError(c.t, err)
	require.NoError(c.t, c.heard[to].CatchUp(deadline(c.t), r.Term(), p.Donors()[0], p.Selection()))
	return p
}

// install makes p durable at its candidate and the followers, and grants.
func (c *cluster) install(p *leadership.Proposal, followers ...leadership.NodeID) {
	c.t.Helper()
	ctx := deadline(c.t)
	var g errgroup.Group
	g.Go(func() error {
		a, err := c.heard[p.To()].Install(ctx, p.Marker())
		return errors.Join(err, p.Add(a))
	})
	for _, id := range followers {
		if id != p.To() {
			g.Go(func() error {
				a, err := c.heard[id].Follow(ctx, p.Term(), p.To())
				return errors.Join(err, p.Add(a))
			})
		}
	}
	require.NoError(c.t, g.Wait())
	in, err := p.Installed()
	require.NoError(c.t, err)
	require.NoError(c.t, c.heard[p.To()].Grant(ctx, in.Leadership().Term))
}

// lead makes to the leader under a new term with the given members.
func (c *cluster) lead(to leadership.NodeID, reach ...leadership.NodeID) {
	c.t.Helper()
	c.install(c.propose(c.round(reach...), to), reach...)
}

// handOver has a leader hand over under a new term, and checks that it did.
func (c *cluster) handOver(from, to leadership.NodeID) {
	c.t.Helper()
	c.term = term(c.term.Num + 1)
	b := c.baton(from, to)
	account, err := c.heard[from].HandOver(deadline(c.t), b)
	require.NoError(c.t, err)
	r, err := leadership.NewRound(leadership.RoundConfig{Term: c.term, Rulesets: b.Rulesets})
	require.NoError(c.t, err)
	p, err := account.Replay(b, func(w leadership.Testimony) { require.NoError(c.t, r.Add(w)) }, r.Revocation)
	require.NoError(c.t, err)
	_, err = p.Installed()
	require.NoError(c.t, err)
	require.Equal(c.t, c.term, c.status(to).Leads)
}

func (c *cluster) client(id leadership.NodeID) *kv.Client {
	return &kv.Client{URL: "http://" + c.peers[id], HTTP: c.http}
}

func (c *cluster) put(id leadership.NodeID, key, value string) {
	c.t.Helper()
	_, err := c.client(id).Put(deadline(c.t), key, []byte(value))
	require.NoError(c.t, err)
}

func (c *cluster) wantGet(id leadership.NodeID, key, value string) {
	c.t.Helper()
	v, ok, err := c.client(id).Get(deadline(c.t), key)
	require.NoError(c.t, err)
	require.True(c.t, ok, "no value for %s", key)
	require.Equal(c.t, value, string(v))
}

func (c *cluster) status(id leadership.NodeID) leadership.Status {
	c.t.Helper()
	s, err := c.heard[id].Status(deadline(c.t))
	require.NoError(c.t, err)
	return s
}
