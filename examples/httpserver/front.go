package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// pollEvery is how often the plain proxy asks who is ready.
const pollEvery = 50 * time.Millisecond

// front is the proxy that clients talk to.
type front struct {
	addr string
	lane *buffer.Lane // nil for a plain one
	end  func() error
}

// serveFront serves h on a port of its own; more runs beside it until the end.
func serveFront(h http.Handler, more func(context.Context)) (*front, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{Handler: h}
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = srv.Serve(ln) })
	wg.Go(func() { more(ctx) })
	return &front{addr: ln.Addr().String(), end: func() error {
		cancel()
		err := srv.Close()
		wg.Wait()
		if !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
		return err
	}}, nil
}

func newBase(clients int) *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: clients}
}

// bufferFront is a proxy that follows the registry and holds requests while
// the leader is changed. It shares nothing with the coordinator but the
// registry's file.
func bufferFront(registry string, clients int) (*front, error) {
	reg, err := leadership.OpenFileRegistry(registry)
	if err != nil {
		return nil, err
	}
	buf, err := buffer.New(buffer.Config{MaxAge: 5 * time.Second})
	if err != nil {
		return nil, errors.Join(err, reg.Close())
	}
	lane := buf.Lane(clusterName)
	base := newBase(clients)
	proxy, err := httpbuffer.NewProxy(lane, httpbuffer.ProxyOptions{Options: httpbuffer.Options{Base: base}})
	if err != nil {
		return nil, errors.Join(err, reg.Close())
	}
	// Its error is that of ctx.
	f, err := serveFront(proxy, func(ctx context.Context) { _ = buf.Follow(ctx, reg, lane) })
	if err != nil {
		return nil, errors.Join(err, reg.Close())
	}
	f.lane = lane
	end := f.end
	f.end = func() error {
		err := end()
		buf.Close()
		base.CloseIdleConnections()
		return errors.Join(err, reg.Close())
	}
	return f, nil
}

// plainFront is a proxy as most are: it asks the backends whether they are
// ready, sends requests to one that is, and answers 502 when that fails.
func plainFront(addrs map[leadership.NodeID]string, clients int) (*front, error) {
	base := newBase(clients)
	var target atomic.Pointer[url.URL]
	target.Store(&url.URL{Scheme: "http", Host: addrs[ids[0]]})
	proxy := &httputil.ReverseProxy{
		Transport:    base,
		Rewrite:      func(pr *httputil.ProxyRequest) { pr.SetURL(target.Load()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	health := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ready := func(ctx context.Context, host string) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/readyz", nil)
		if err != nil {
			return false
		}
		resp, err := health.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	f, err := serveFront(proxy, func(ctx context.Context) {
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if cur := target.Load().Host; !ready(ctx, cur) {
				for _, id := range ids {
					if addrs[id] != cur && ready(ctx, addrs[id]) {
						target.Store(&url.URL{Scheme: "http", Host: addrs[id]})
					}
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	end := f.end
	f.end = func() error {
		err := end()
		base.CloseIdleConnections()
		return err
	}
	return f, nil
}
