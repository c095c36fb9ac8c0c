package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
	"github.com/tenure-go/tenure/revoke"
)

// ClientConfig describes a node behind an agent.
type ClientConfig struct {
	// Cluster and Node are whose agent it must be. Required.
	Cluster string
	Node    leadership.NodeID
	// URL is https://host:port, or http with a loopback address. Required.
	URL string
	// TLS is for https; see ClientTLS.
	TLS *tls.Config
	// Token is sent with every call; "" for none.
	Token string

	_ struct{}
}

// Client is a node as its agent offers it. Its errors keep their types where
// something rests on them. A call that came to no answer is a *CallError, which is a
// leadership.ErrUnknownOutcome unless the call was never sent. It is safe for
// concurrent use.
type Client struct {
	cfg   ClientConfig
	codec codec
	http  *http.Client
	idle  func()
}

// NewClient returns the node. It dials nothing. It returns an error for a URL that
// CheckURL refuses.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := CheckURL(cfg.URL)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme == "https" && cfg.TLS == nil:
		return nil, errors.New("https needs certificates")
	case u.Scheme == "http" && cfg.Token == "":
		return nil, errors.New("plain HTTP needs a token")
	}
	c, err := newCodec(nil)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		// No proxy: it could answer in the agent's place.
		TLSClientConfig: cfg.TLS, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return &Client{
		cfg: cfg, codec: c, idle: t.CloseIdleConnections,
		http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Close closes connections that nobody uses.
func (c *Client) Close() error {
	c.idle()
	return nil
}

// Reparent returns the node as a guard takes it, as pgnode.Node.Reparent does.
func (c *Client) Reparent(addr string, priority int) reparent.Node {
	return reparent.Node{
		ID: c.cfg.Node, Addr: addr, Priority: priority,
		Status: c, Promise: c, StepDown: c, Candidate: c, Follow: c, Repair: c, Enforce: c,
		GrantsAtInstall: true, ClientGate: true,
	}
}

var (
	_ revoke.Reader       = (*Client)(nil)
	_ revoke.StepDowner   = (*Client)(nil)
	_ establish.Candidate = (*Client)(nil)
	_ establish.Follower  = (*Client)(nil)
	_ establish.Repairer  = (*Client)(nil)
	_ leadership.Enforcer = (*Client)(nil)
)

// CanEnforce implements leadership.Enforcer. It asks nobody.
func (c *Client) CanEnforce(rs leadership.Ruleset) error { return pgnode.CanEnforce(c.cfg.Node, rs) }

// Status implements reparent.Statuser.
func (c *Client) Status(ctx context.Context) (leadership.Status, error) {
	out, err := c.call(ctx, callStatus, request{})
	if err == nil && out.Status == nil {
		err = c.unreadable("there is no status in it")
	}
	if err != nil {
		return leadership.Status{}, err
	}
	return *out.Status, nil
}

// Pulse returns how the replica's link does.
func (c *Client) Pulse(ctx context.Context) (Pulse, error) {
	out, err := c.call(ctx, callPulse, request{})
	if err == nil && out.Pulse == nil {
		err = c.unreadable("there is no pulse in it")
	}
	if err != nil {
		return Pulse{}, err
	}
	return *out.Pulse, nil
}

// Doctor returns what the node's doctor found.
func (c *Client) Doctor(ctx context.Context) ([]reparent.Finding, error) {
	out, err := c.call(ctx, callDoctor, request{})
	return out.Findings, err
}

// Setup makes the record of the node's promises, once.
func (c *Client) Setup(ctx context.Context) error {
	_, err := c.call(ctx, callSetup, request{})
	return err
}

// Promise implements revoke.Promiser.
func (c *Client) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return c.testimony(ctx, callPromise, t)
}

// Read implements revoke.Reader.
func (c *Client) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return c.testimony(ctx, callRead, t)
}

// StepDown implements revoke.StepDowner.
func (c *Client) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return c.testimony(ctx, callStepDown, t)
}

func (c *Client) testimony(ctx context.Context, call string, t leadership.Term) (leadership.Testimony, error) {
	out, err := c.call(ctx, call, request{header: header{Term: t}})
	if out.Testimony == nil {
		if err == nil {
			err = c.unreadable("there is no testimony in it")
		}
		return leadership.Testimony{}, err
	}
	return *out.Testimony, err
}

// Drain implements revoke.StepDowner.
func (c *Client) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	out, err := c.call(ctx, callDrain, request{header: header{Term: t}, For: max(d, 0)})
	if out.Drained == nil {
		if err == nil {
			err = c.unreadable("it does not say how the drain ended")
		}
		return revoke.Drained{}, err
	}
	return *out.Drained, err
}

// Follow implements establish.Follower.
func (c *Client) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	return c.acceptance(ctx, callFollow, request{header: header{Term: t}, Leader: leader})
}

// Install implements establish.Candidate.
func (c *Client) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	return c.acceptance(ctx, callInstall, request{header: header{Term: m.Term}, Marker: &m})
}

func (c *Client) acceptance(ctx context.Context, call string, in request) (leadership.Acceptance, error) {
	out, err := c.call(ctx, call, in)
	if err == nil && out.Acceptance == nil {
		err = c.unreadable("there is no acceptance in it")
	}
	if err != nil {
		return leadership.Acceptance{}, err
	}
	return *out.Acceptance, nil
}

// CatchUp implements establish.Candidate.
func (c *Client) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	_, err := c.call(ctx, callCatchUp, request{header: header{Term: t}, Leader: donor, Position: &pos})
	return err
}

// Grant implements establish.Candidate.
func (c *Client) Grant(ctx context.Context, t leadership.Term) error {
	_, err := c.call(ctx, callGrant, request{header: header{Term: t}})
	return err
}

// Repair implements establish.Repairer.
func (c *Client) Repair(ctx context.Context, t leadership.Term, from leadership.NodeID) error {
	_, err := c.call(ctx, callRepair, request{header: header{Term: t}, Leader: from})
	return err
}

// call makes a call. A reply that is not whole, or not of this agent, is no reply.
func (c *Client) call(ctx context.Context, call string, in request) (reply, error) {
	in.header = header{Version: version, Cluster: c.cfg.Cluster, Node: c.cfg.Node, Call: call, Term: in.Term}
	if end, ok := ctx.Deadline(); ok {
		in.Within = max(time.Until(end), 1)
	}
	if ctx.Err() != nil {
		return reply{}, c.broken(ctx, true, errors.New("not asked"))
	}
	b, err := json.Marshal(in)
	if err != nil {
		return reply{}, c.broken(ctx, false, err)
	}
	code, body, sent, err := c.post(ctx, call, b)
	if err != nil {
		return reply{}, c.broken(ctx, sent, err)
	}
	var out reply
	if err := unmarshal(body, &out); err != nil {
		return reply{}, c.unreadable(fmt.Sprintf("status %d, %v", code, err))
	}
	switch {
	case code == http.StatusForbidden && out.Err != nil && out.Err.Code == codeAgentRefused && out.Version == version:
		return reply{}, c.codec.decode(out.Err)
	case code == http.StatusForbidden && out.Err != nil:
		return reply{}, c.unreadable(c.codec.clip(out.Err.Text))
	case code != http.StatusOK:
		return reply{}, c.unreadable(fmt.Sprintf("status %d", code))
	case out.header != in.header || !out.of(c.cfg.Node):
		return reply{}, c.unreadable("it is the answer to something else")
	}
	if err := c.codec.positions(out.positions()...); err != nil {
		return reply{}, c.unreadable(err.Error())
	}
	return out, c.codec.decode(out.Err)
}

// post sends a call and returns its answer. sent is false when there was no connection
// to send it on.
func (c *Client) post(ctx context.Context, call string, b []byte) (code int, body []byte, sent bool, err error) {
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, strings.TrimSuffix(c.cfg.URL, "/")+pathCalls+call, bytes.NewReader(b))
	if err != nil {
		return 0, nil, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, connected.Load(), err
	}
	defer resp.Body.Close()
	body, err = readAll(resp.Body, maxReply)
	return resp.StatusCode, body, true, err
}

// broken is the error of a call without an answer.
func (c *Client) broken(ctx context.Context, sent bool, err error) error {
	e := &CallError{Node: c.cfg.Node, Agent: c.cfg.URL, NotSent: !sent && ctx.Err() == nil, cause: context.Cause(ctx)}
	switch {
	case e.cause != nil:
		e.Text = "no answer in time: " + e.cause.Error()
	case e.NotSent:
		e.Text = "it cannot be reached: " + bare(err)
	default:
		e.Text = "the call broke off: " + bare(err)
	}
	return e
}

// bare is an error without the URL that the HTTP client puts before it.
func bare(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

func (c *Client) unreadable(what string) error {
	return &CallError{Node: c.cfg.Node, Agent: c.cfg.URL, Text: "its answer cannot be used: " + what}
}
