package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
)

// Client reads and writes keys over HTTP, at one member or through a router.
// It holds no state and is safe
// for concurrent use.
type Client struct {
	// URL is the base, such as "http://127.0.0.1:7001". Required.
	URL string
	// HTTP sends the requests; nil means http.DefaultClient.
	HTTP *http.Client
	// Name numbers the writes for a retry that is applied once: give each
	// client that writes one command at a time a name of its own and rising
	// numbers in Write.Seq. "" writes without.
	Name string
}

// Write is one write.
type Write struct {
	Key   string
	Value []byte
	// Delete removes the key instead.
	Delete bool
	// Seq is the number of the write, see Client.Name.
	Seq uint64
}

// Do sends a write and returns its place in the log once it is complete. A
// *leadership.Refusal proves that it was not executed, as does a *RemoteError
// whose NotExecuted is true; a leadership.ErrUnknownOutcome says that it may
// be, now or later.
func (c *Client) Do(ctx context.Context, w Write) (index uint64, err error) {
	method := http.MethodPut
	if w.Delete {
		method = http.MethodDelete
	}
	h := http.Header{}
	if c.Name != "" {
		h.Set(HeaderClient, c.Name)
		h.Set(HeaderSeq, strconv.FormatUint(w.Seq, 10))
	}
	resp, _, err := c.send(ctx, method, w.Key, w.Value, h)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(resp.Header.Get(HeaderIndex), 10, 64)
}

// Put is Do for a value without a number.
func (c *Client) Put(ctx context.Context, key string, value []byte) (index uint64, err error) {
	return c.Do(ctx, Write{Key: key, Value: value})
}

// Get returns the value of a key, false when it has none. The read is
// linearizable. An error says that there was no answer; a read has no effect.
func (c *Client) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	resp, body, err := c.send(ctx, http.MethodGet, key, nil, nil)
	if err != nil {
		return nil, false, err
	}
	return body, resp.StatusCode == http.StatusOK, nil
}

func (c *Client) send(ctx context.Context, method, key string, value []byte, h http.Header) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+"/kv/"+url.PathEscape(key), bytes.NewReader(value))
	if err != nil {
		return nil, nil, &RemoteError{Text: err.Error(), NotDone: true, err: err}
	}
	for k, v := range h {
		req.Header[k] = v
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		var op *net.OpError
		if leadership.NotExecuted(err) || errors.As(err, &op) && op.Op == "dial" {
			return nil, nil, &RemoteError{Text: err.Error(), NotDone: true, err: err}
		}
		return nil, nil, &RemoteError{Text: err.Error(), err: errors.Join(leadership.ErrUnknownOutcome, err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	if err == nil {
		err = Outcome(resp, body)
	} else {
		err = &RemoteError{Text: err.Error(), err: errors.Join(leadership.ErrUnknownOutcome, err)}
	}
	return resp, body, err
}

// Outcome returns what the status and the headers of an answer say: nil for
// done (or, for a read, not found), a *leadership.Refusal, or an error that is
// a leadership.ErrUnknownOutcome. body is only for the text.
func Outcome(resp *http.Response, body []byte) error {
	switch {
	case resp.StatusCode < 300, resp.StatusCode == http.StatusNotFound && resp.Header.Get(HeaderIndex) != "":
		return nil
	case resp.Header.Get(HeaderRefusal) != "":
		r := new(leadership.Refusal)
		if err := r.UnmarshalText([]byte(resp.Header.Get(HeaderRefusal))); err == nil {
			return r
		}
	case resp.StatusCode == http.StatusBadRequest:
		return &RemoteError{Text: string(bytes.TrimSpace(body)), NotDone: true}
	}
	return &RemoteError{
		Text: fmt.Sprintf("status %d: %s", resp.StatusCode, bytes.TrimSpace(body)),
		err:  leadership.ErrUnknownOutcome,
	}
}

// Learned returns the leadership that an answer names, false when it names
// none.
func Learned(h http.Header) (leadership.Leadership, bool) {
	t, err := leadership.ParseTerm(h.Get(HeaderTerm))
	l := leadership.Leadership{Leader: leadership.NodeID(h.Get(HeaderLeader)), Term: t}
	return l, err == nil && !t.IsZero() && l.Leader.Validate() == nil
}
