package kv

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

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// Remote is a member as a coordinator sees it: the node interfaces over HTTP.
// It is safe for concurrent use. Errors keep their types; what may or may not
// have happened is a leadership.ErrUnknownOutcome, and a call that was provably
// never sent is a *RemoteError whose NotExecuted is true.
type Remote struct {
	id   leadership.NodeID
	addr string
	http *http.Client
}

// NewRemote returns the member id at addr, host:port. A nil client means one
// of NewHTTPClient for this member alone.
func NewRemote(id leadership.NodeID, addr string, client *http.Client) *Remote {
	if client == nil {
		client = NewHTTPClient()
	}
	return &Remote{id: id, addr: addr, http: client}
}

// ID returns the member's name.
func (r *Remote) ID() leadership.NodeID { return r.id }

// Addr returns the member's address.
func (r *Remote) Addr() string { return r.addr }

// Promise implements revoke.Promiser.
func (r *Remote) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.testimony(ctx, "promise", t)
}

// Read implements revoke.Reader.
func (r *Remote) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.testimony(ctx, "read", t)
}

// StepDown implements revoke.StepDowner.
func (r *Remote) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return r.testimony(ctx, "stepdown", t)
}

func (r *Remote) testimony(ctx context.Context, call string, t leadership.Term) (leadership.Testimony, error) {
	out, err := r.call(ctx, call, nodeRequest{Term: t})
	if out.Testimony == nil {
		if err == nil {
			err = r.unknown("an answer without a testimony", nil)
		}
		return leadership.Testimony{}, err
	}
	return *out.Testimony, err
}

// Drain implements revoke.StepDowner.
func (r *Remote) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	out, err := r.call(ctx, "drain", nodeRequest{Term: t, For: int64(d)})
	if out.Drained == nil {
		return revoke.Drained{}, err
	}
	return *out.Drained, err
}

// Follow implements establish.Follower.
func (r *Remote) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	return r.acceptance(ctx, "follow", nodeRequest{Term: t, Leader: leader})
}

// Install implements establish.Candidate.
func (r *Remote) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	return r.acceptance(ctx, "install", nodeRequest{Term: m.Term, Marker: &m})
}

func (r *Remote) acceptance(ctx context.Context, call string, req nodeRequest) (leadership.Acceptance, error) {
	out, err := r.call(ctx, call, req)
	if err == nil && out.Acceptance == nil {
		err = r.unknown("an answer without an acceptance", nil)
	}
	if err != nil {
		return leadership.Acceptance{}, err
	}
	return *out.Acceptance, nil
}

// Grant implements establish.Candidate.
func (r *Remote) Grant(ctx context.Context, t leadership.Term) error {
	_, err := r.call(ctx, "grant", nodeRequest{Term: t})
	return err
}

// HandOver implements handover.Leader.
func (r *Remote) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	return r.account(ctx, "handover", nodeRequest{Term: b.Term, Baton: &b})
}

// Retire implements handover.Retirer.
func (r *Remote) Retire(ctx context.Context, q handover.Retirement) (handover.Retired, error) {
	out, err := r.call(ctx, "retire", nodeRequest{Term: q.Term, Retire: &q})
	if out.Retired == nil {
		if err == nil {
			err = r.unknown("an answer that says nothing of the step-down", nil)
		}
		return handover.Retired{}, err
	}
	return *out.Retired, err
}

// TakeOver implements handover.Successor.
func (r *Remote) TakeOver(ctx context.Context, q handover.Relay) (handover.Account, error) {
	return r.account(ctx, "takeover", nodeRequest{Term: q.Release.Baton.Term, Relay: &q})
}

func (r *Remote) account(ctx context.Context, call string, req nodeRequest) (handover.Account, error) {
	out, err := r.call(ctx, call, req)
	if out.Account == nil {
		if err == nil {
			err = r.unknown("an answer without an account", nil)
		}
		return handover.Account{}, err
	}
	return *out.Account, err
}

// CatchUp implements establish.Candidate.
func (r *Remote) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	_, err := r.call(ctx, "catchup", nodeRequest{Term: t, Leader: donor, Position: &pos})
	return err
}

// Status implements reparent.Statuser.
func (r *Remote) Status(ctx context.Context) (leadership.Status, error) {
	out, err := r.call(ctx, "status", nodeRequest{})
	if out.Status == nil {
		return leadership.Status{Node: r.id}, err
	}
	return *out.Status, err
}

func (r *Remote) call(ctx context.Context, call string, req nodeRequest) (nodeReply, error) {
	var out nodeReply
	b, err := json.Marshal(req)
	if err != nil {
		return out, &RemoteError{Node: r.id, Text: err.Error(), NotDone: true, err: err}
	}
	body, err := r.post(ctx, "http://"+r.addr+pathNode+call, b)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nodeReply{}, r.unknown("an answer that cannot be read", err)
	}
	return out, out.Err.toError(r.id)
}

// post sends b and returns the body of the answer.
func (r *Remote) post(ctx context.Context, url string, b []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return nil, &RemoteError{Node: r.id, Text: err.Error(), NotDone: true, err: err}
	}
	resp, err := r.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, &RemoteError{Node: r.id, Text: err.Error(), NotDone: true, err: err}
		}
		return nil, r.unknown("the call broke off", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	switch {
	case err != nil:
		return nil, r.unknown("the answer broke off", err)
	case resp.StatusCode != http.StatusOK:
		return nil, &RemoteError{Node: r.id, Text: fmt.Sprintf("status %d: %s", resp.StatusCode, bytes.TrimSpace(body)), NotDone: resp.StatusCode < 500}
	}
	return body, nil
}

func (r *Remote) unknown(what string, cause error) error {
	text := what
	if cause != nil {
		text += ": " + cause.Error()
	}
	return &RemoteError{Node: r.id, Text: text, err: errors.Join(leadership.ErrUnknownOutcome, cause)}
}

// pull asks the member for what a log at pos is missing.
func (r *Remote) pull(ctx context.Context, pos leadership.Position) (p pullReply, err error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	text, err := pos.MarshalText()
	if err != nil {
		return p, err
	}
	b, err := r.post(ctx, "http://"+r.addr+pathPull, text)
	if err != nil {
		return p, err
	}
	return decodePull(b)
}

// pull is Remote.pull over the member's own connections.
func (n *Node) pull(ctx context.Context, donor leadership.NodeID, addr string, pos leadership.Position) (pullReply, error) {
	return NewRemote(donor, addr, n.http).pull(ctx, pos)
}
