package httpbuffer_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }

func lead(node string, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: leadership.NodeID(node), Term: term(n)}
}

// routed is a record in which l leads and nothing is under way.
func routed(version uint64, l leadership.Leadership) leadership.Record {
	return leadership.Record{Version: version, Mode: leadership.Full, Fence: l.Term, Active: l, Routed: l, Addr: string(l.Leader) + ":80"}
}

// holding is routed with a change to term n announced, for which routers hold.
func holding(version uint64, l leadership.Leadership, n uint64) leadership.Record {
	r := routed(version, l)
	r.Fence = term(n)
	r.Intent = leadership.Intent{Term: term(n), By: "c1", Kind: leadership.KindPlanned, Phase: leadership.Holding, HoldFor: 5 * time.Second}
	return r
}

// bubble runs f in a synctest bubble, which fails when f leaves a goroutine
// behind.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// network is a network of net.Pipes: host:port to who accepts there.
type network struct {
	mu    sync.Mutex // guards the rest
	ports map[string]*port
	dials map[string]int
}

type port struct {
	addr  string
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func (n *network) listen(addr string) *port {
	p := &port{addr: addr, conns: make(chan net.Conn), gone: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[addr] = p
	return p
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	p := n.ports[addr]
	n.dials[addr]++
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	if p == nil {
		return nil, refused
	}
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.gone:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: ctx.Err()}
	}
}

func (n *network) dialled(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error {
	p.once.Do(func() { close(p.gone) })
	return nil
}

func (p *port) Addr() net.Addr { return &net.UnixAddr{Name: p.addr} }

// world is a lane, a base transport and servers on a network of their own.
type world struct {
	t    *testing.T
	net  *network
	b    *buffer.Buffer
	lane *buffer.Lane
	base *http.Transport
	wg   sync.WaitGroup
}

func newWorld(t *testing.T, cfg buffer.Config) *world {
	t.Helper()
	b, err := buffer.New(cfg)
	require.NoError(t, err)
	w := &world{t: t, b: b, lane: b.Lane("k"), net: &network{ports: map[string]*port{}, dials: map[string]int{}}}
	w.base = &http.Transport{DialContext: w.net.dial}
	t.Cleanup(func() {
		w.base.CloseIdleConnections()
		b.Close()
		w.wg.Wait()
	})
	return w
}

func (w *world) transport(o httpbuffer.Options) *httpbuffer.Transport {
	w.t.Helper()
	if o.Base == nil {
		o.Base = w.base
	}
	rt, err := httpbuffer.New(w.lane, o)
	require.NoError(w.t, err)
	return rt
}

// serve answers at addr with h until the test, or stop, ends it.
func (w *world) serve(addr string, h http.Handler) (stop func()) {
	p := w.net.listen(addr)
	srv := &http.Server{Handler: h}
	w.wg.Go(func() { _ = srv.Serve(p) })
	stop = func() { _ = srv.Close() }
	w.t.Cleanup(stop)
	return stop
}

// do sends req from a goroutine of its own; what comes of it can be had from
// the channel.
func do(rt http.RoundTripper, req *http.Request) <-chan result {
	out := make(chan result, 1)
	go func() {
		var r result
		r.resp, r.err = rt.RoundTrip(req)
		if r.err == nil {
			var b []byte
			b, r.readErr = io.ReadAll(r.resp.Body)
			_ = r.resp.Body.Close()
			r.body = string(b)
		}
		out <- r
	}()
	return out
}

type result struct {
	resp    *http.Response
	body    string
	err     error
	readErr error
}

func (r result) ok(t *testing.T, body string) {
	t.Helper()
	require.NoError(t, r.err)
	require.NoError(t, r.readErr)
	require.Equal(t, http.StatusOK, r.resp.StatusCode)
	require.Equal(t, body, r.body)
}

// source is a request body that remembers what was done to it.
type source struct {
	mu     sync.Mutex // guards the rest
	r      io.Reader
	reads  int
	closed int
	busy   int
	// clash says that it was read twice at once, or closed during a Read.
	clash bool
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	s.clash = s.clash || s.busy > 0
	s.reads++
	s.busy++
	s.mu.Unlock()
	n, err := s.r.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	return n, err
}

func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clash = s.clash || s.busy > 0
	s.closed++
	return nil
}

func (s *source) seen() (reads, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.closed
}

func request(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://orders/path?q=1", body)
	require.NoError(t, err)
	return req
}

// refuse answers with a refusal by term at for term until.
func refuse(w http.ResponseWriter, at, until uint64) {
	text, _ := (&leadership.Refusal{Term: term(at), Until: term(until)}).MarshalText()
	w.Header().Set(httpbuffer.RefusalHeader, string(text))
	w.WriteHeader(http.StatusServiceUnavailable)
}

// echo answers with its name and the body.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, name+" "+r.Method+" "+r.URL.RequestURI()+" "+string(b))
	})
}

// hang ends the connection of every request without an answer, once the
// request was read.
func hang(times *counter) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		times.add()
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
}

// counter counts.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// record returns what h answers.
func record(h http.Handler, req *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Result()
}
