package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

const (
	// attemptTimeout bounds one try at a member: it is how long a client
	// waits at most for a leader that was paused in the middle of its request.
	// A planned change costs an error where a request takes longer than that.
	attemptTimeout = 4 * time.Second
	// maxAge bounds how long a request is held.
	maxAge = 8 * time.Second
)

// router sends the clients' requests to the leader, and holds them while there
// is none. It knows the members' addresses and reads the registry's file; it
// shares nothing with a coordinator. It is safe for concurrent use.
type router struct {
	buf   *buffer.Buffer
	lane  *buffer.Lane
	reg   *leadership.FileRegistry
	http  *http.Client
	base  http.RoundTripper
	peers map[leadership.NodeID]string

	cancel context.CancelFunc
	wg     sync.WaitGroup // the one goroutine that follows the registry
}

func newRouter(registry string, peers map[leadership.NodeID]string) (*router, error) {
	buf, err := buffer.New(buffer.Config{MaxAge: maxAge})
	if err != nil {
		return nil, err
	}
	reg, err := leadership.OpenFileRegistry(registry)
	if err != nil {
		return nil, err
	}
	r := &router{buf: buf, lane: buf.Lane(clusterName), reg: reg, peers: peers, http: kv.NewHTTPClient()}
	r.base, r.http.Transport = r.http.Transport, r
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	// Joined by close. Its error is that of ctx, or that the registry is
	// closed, which close does.
	r.wg.Go(func() { _ = buf.Follow(ctx, reg, r.lane) })
	return r, nil
}

// close ends the router. Requests that are held fail.
func (r *router) close() {
	r.cancel()
	r.wg.Wait()
	r.buf.Close()
	_ = r.reg.Close()
	r.http.CloseIdleConnections()
}

// CloseIdleConnections lets http.Client reach the transport below.
func (r *router) CloseIdleConnections() {
	if c, ok := r.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper: it learns who leads from what a
// leader answered, so that the router finds it without the registry.
func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.base.RoundTrip(req)
	if err != nil || resp.Header.Get(kv.HeaderIndex) == "" {
		return resp, err
	}
	// The member that answered was the leader. When it names another one it
	// has been replaced since, and whether that one serves is not known.
	if l, ok := kv.Learned(resp.Header); ok && r.peers[l.Leader] == req.URL.Host {
		r.lane.Learn(l, req.URL.Host)
	}
	return resp, nil
}

// send runs one request at the leader, each try with a bound of its own.
func (r *router) send(ctx context.Context, req buffer.Request, do func(context.Context, *kv.Client) error) error {
	return r.lane.Do(ctx, req, func(ctx context.Context, to leadership.Leadership, addr string) error {
		if addr == "" { // known by name only, as while a change is not routed yet
			addr = r.peers[to.Leader]
		}
		ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		return do(ctx, &kv.Client{URL: "http://" + addr, HTTP: r.http})
	})
}

// put writes. It is sent again only on proof that it was not executed.
func (r *router) put(ctx context.Context, key, value string) (index uint64, err error) {
	err = r.send(ctx, buffer.Request{Bytes: int64(len(key) + len(value))}, func(ctx context.Context, c *kv.Client) (err error) {
		index, err = c.Put(ctx, key, []byte(value))
		return err
	})
	return index, err
}

// get reads. A read has no effect, so one that got lost is sent again.
func (r *router) get(ctx context.Context, key string) (value string, err error) {
	err = r.send(ctx, buffer.Request{Bytes: int64(len(key)), Idempotent: true}, func(ctx context.Context, c *kv.Client) error {
		b, _, err := c.Get(ctx, key)
		value = string(b)
		return err
	})
	return value, err
}
