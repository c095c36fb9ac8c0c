package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// controlPath is where coordinators talk to backends. A real deployment keeps
// it away from clients.
const controlPath = "/tenure/"

// order is what a coordinator asks of a backend, reply what that says.
type order struct {
	Term     leadership.Term     `json:"term"`
	Node     leadership.NodeID   `json:"node,omitempty"`
	Marker   leadership.Marker   `json:"marker"`
	Position leadership.Position `json:"position"`
	For      time.Duration       `json:"for,omitempty"`
}

type reply struct {
	Testimony  leadership.Testimony  `json:"testimony"`
	Acceptance leadership.Acceptance `json:"acceptance"`
	Drained    revoke.Drained        `json:"drained"`
	Status     leadership.Status     `json:"status"`
	Markers    []leadership.Marker   `json:"markers,omitempty"`

	// Error is why it was not done, or not to its end. Promised is set when
	// that is a promise to somebody else, which proves that it was not begun.
	Error    string          `json:"error,omitempty"`
	Promised leadership.Term `json:"promised"`
}

// control serves the role to coordinators.
func (r *role) control(w http.ResponseWriter, req *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 1<<20)).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out reply
	var err error
	ctx := req.Context()
	switch call := req.PathValue("call"); call {
	case "status":
		out.Status, err = r.Status(ctx)
	case "markers":
		out.Markers = r.all()
	case "promise":
		out.Testimony, err = r.Promise(ctx, o.Term)
	case "drain":
		out.Drained, err = r.Drain(ctx, o.Term, o.For)
	case "stepdown":
		out.Testimony, err = r.StepDown(ctx, o.Term)
	case "catchup":
		err = r.CatchUp(ctx, o.Term, o.Node, o.Position)
	case "install":
		out.Acceptance, err = r.Install(ctx, o.Marker)
	case "grant":
		err = r.Grant(ctx, o.Term)
	case "follow":
		out.Acceptance, err = r.Follow(ctx, o.Term, o.Node)
	default:
		err = fmt.Errorf("no such call: %q", call)
	}
	if err != nil {
		out.Error = err.Error()
		var stale *leadership.StaleTermError
		if errors.As(err, &stale) {
			out.Promised = stale.Promised
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// remote is the role of a backend as a coordinator, or another backend, sees
// it: the calls of role over HTTP.
type remote struct {
	id     leadership.NodeID
	addr   string
	client *http.Client
}

func (n *remote) call(ctx context.Context, call string, o order) (reply, error) {
	var out reply
	b, err := json.Marshal(o)
	if err != nil {
		return out, buffer.NotSent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.addr+controlPath+call, bytes.NewReader(b))
	if err != nil {
		return out, buffer.NotSent(err)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return out, buffer.NotSent(err)
		}
		return out, fmt.Errorf("%s: %w: %w", call, leadership.ErrUnknownOutcome, err)
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	switch {
	case err != nil:
		return out, fmt.Errorf("%s: %w: %w", call, leadership.ErrUnknownOutcome, err)
	case !out.Promised.IsZero():
		return out, &leadership.StaleTermError{Node: n.id, Asked: o.Term, Promised: out.Promised}
	case out.Error != "":
		return out, fmt.Errorf("%s at %s: %w: %s", call, n.id, leadership.ErrUnknownOutcome, out.Error)
	}
	return out, nil
}

func (n *remote) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := n.call(ctx, "promise", order{Term: t})
	return out.Testimony, err
}

func (n *remote) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	out, err := n.call(ctx, "drain", order{Term: t, For: d})
	return out.Drained, err
}

func (n *remote) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	out, err := n.call(ctx, "stepdown", order{Term: t})
	return out.Testimony, err
}

func (n *remote) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	_, err := n.call(ctx, "catchup", order{Term: t, Node: donor, Position: pos})
	return err
}

func (n *remote) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	out, err := n.call(ctx, "install", order{Term: m.Term, Marker: m})
	return out.Acceptance, err
}

func (n *remote) Grant(ctx context.Context, t leadership.Term) error {
	_, err := n.call(ctx, "grant", order{Term: t})
	return err
}

func (n *remote) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	out, err := n.call(ctx, "follow", order{Term: t, Node: leader})
	return out.Acceptance, err
}

func (n *remote) Status(ctx context.Context) (leadership.Status, error) {
	out, err := n.call(ctx, "status", order{})
	return out.Status, err
}

// nodes returns the backends as a coordinator needs them.
func nodes(addrs map[leadership.NodeID]string, client *http.Client) (out []reparent.Node) {
	for id, addr := range addrs {
		n := &remote{id: id, addr: addr, client: client}
		out = append(out, reparent.Node{ID: id, Addr: addr, Status: n, Promise: n, StepDown: n, Candidate: n, Follow: n, Truncates: true})
	}
	return out
}
