package lameduck_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// within is far more than anything here takes; a test that waits for it fails.
const within = 20 * time.Second

// serving is an HTTPServer that runs.
type serving struct {
	t      *testing.T
	gate   *lameduck.Gate
	addr   string
	stop   chan struct{}
	force  context.CancelFunc
	states chan http.ConnState
	out    chan served
}

type served struct {
	rep lameduck.HTTPReport
	err error
	at  time.Time
}

// serve runs h, wrapped by the caller, on a loopback socket until the test ends.
func serve(t *testing.T, g *lameduck.Gate, h http.Handler, o lameduck.HTTPOptions) *serving {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, ln, g, &http.Server{Handler: h}, o)
}

func serveOn(t *testing.T, ln net.Listener, g *lameduck.Gate, base *http.Server, o lameduck.HTTPOptions) *serving {
	t.Helper()
	s := &serving{t: t, gate: g, addr: ln.Addr().String(), stop: make(chan struct{}, 1),
		states: make(chan http.ConnState, 1000), out: make(chan served, 1)}
	base.ConnState = func(_ net.Conn, state http.ConnState) { s.states <- state }
	srv, err := lameduck.NewHTTPServer(g, base, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s.force = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		rep, err := srv.Run(ctx, ln, s.stop)
		s.out <- served{rep, err, time.Now()}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

// until waits for a connection to enter a state.
func (s *serving) until(want http.ConnState) {
	s.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case got := <-s.states:
			if got == want {
				return
			}
		case <-timer.C:
			s.t.Fatalf("no connection became %v", want)
		}
	}
}

// phase waits for the gate to have reached at least p.
func (s *serving) phase(p lameduck.Phase) {
	s.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		changed := s.gate.Changed()
		if s.gate.State().Phase >= p {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			s.t.Fatalf("phase %v was not reached", p)
		}
	}
}

func (s *serving) ended() served {
	s.t.Helper()
	return receive(s.t, s.out, "Run did not return")
}

func receive[T any](t *testing.T, ch <-chan T, why string) (v T) {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case v = <-ch:
	case <-timer.C:
		t.Fatal(why)
	}
	return v
}

// wire is a client connection whose every byte the test decides on.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *serving) dial() *wire {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	require.NoError(s.t, c.SetDeadline(time.Now().Add(within)))
	return &wire{t: s.t, Conn: c, r: bufio.NewReader(c)}
}

func (w *wire) send(text string) {
	w.t.Helper()
	_, err := io.WriteString(w.Conn, text)
	require.NoError(w.t, err)
}

func (w *wire) response() *http.Response {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, nil)
	require.NoError(w.t, err)
	return resp
}

// do sends a request and reads the whole answer.
func (w *wire) do(head string) *http.Response {
	w.t.Helper()
	w.send(head)
	resp := w.response()
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(w.t, err)
	return resp
}

func (w *wire) closed() {
	w.t.Helper()
	_, err := w.r.ReadByte()
	require.ErrorIs(w.t, err, io.EOF)
}

const post = "POST /pay HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"

var ok = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(w, req.Body)
})

func TestAConnectionOnWhichNothingWasSentDoesNotDelayTheEnd(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Quiet: time.Millisecond, Close: time.Minute})
	w := s.dial()
	s.until(http.StateNew)
	began := time.Now()
	s.stop <- struct{}{}
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, lameduck.Drained, out.rep.Phase)
	require.Zero(t, out.rep.Cut+out.rep.Left)
	require.True(t, out.at.Sub(began) < 4*time.Second, "net/http takes 5 s", out.at.Sub(began))
	w.closed()
}

func TestARequestOnAnIdleConnectionAfterTheDrainIsAnsweredWithTheProof(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{
		Plan: lameduck.Plan{Until: term(6), Leader: "n2"}, Quiet: 2 * time.Second, Close: time.Minute})
	w := s.dial()
	require.Equal(t, http.StatusOK, w.do(post).StatusCode)
	s.until(http.StateIdle)
	s.stop <- struct{}{}
	s.phase(lameduck.Drained)

	resp := w.do(post)
	r, proven := lameduck.RefusalOf(resp)
	require.True(t, proven, resp.Status)
	require.Equal(t, leadership.NodeID("n2"), r.Leader)
	require.Equal(t, term(6), r.Until)
	require.True(t, resp.Close)
	w.closed()

	late := s.dial() // the listener is open as long as somebody comes
	resp = late.do(post)
	_, proven = lameduck.RefusalOf(resp)
	require.True(t, proven, resp.Status)
	late.closed()
	out := s.ended()
	require.NoError(t, out.err)
	require.Zero(t, out.rep.Cut+out.rep.Left)
}

// lateConn receives a request at the very moment at which the deadline that
// ends the connection has won.
type lateConn struct {
	net.Conn
	once   sync.Once
	arrive func()
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.once.Do(c.arrive)
	}
	return n, err
}

type lateListener struct {
	net.Listener
	arrive func()
}

func (l *lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lateConn{Conn: c, arrive: l.arrive}, nil
}

func TestARequestThatArrivesAsItsConnectionEndsIsAnswered(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	send := make(chan *wire, 1)
	late := &lateListener{Listener: ln, arrive: func() { (<-send).send(post) }}
	s := serveOn(t, late, g, &http.Server{Handler: lameduck.Handler(g, ok)}, lameduck.HTTPOptions{Quiet: time.Millisecond, Close: time.Minute})
	w := s.dial()
	s.until(http.StateNew)
	send <- w
	s.stop <- struct{}{}
	resp := w.response()
	_, proven := lameduck.RefusalOf(resp)
	require.True(t, proven, resp.Status)
	require.NoError(t, s.ended().err)
}

func TestTheListenerAcceptsUntilTheDrainHasEnded(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{
		Plan: lameduck.Plan{Announce: time.Hour}, Quiet: time.Millisecond})
	s.stop <- struct{}{}
	s.phase(lameduck.Announced)
	w := s.dial()
	resp := w.do(post)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.True(t, resp.Close, "responses tell the client to go elsewhere")
	w.closed()
	require.NoError(t, g.Resume())
}

func TestAStopIsUndoneByResumeAndCanBeAskedForAgain(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Plan: lameduck.Plan{Announce: time.Hour}, Quiet: time.Millisecond})
	w := s.dial()
	require.False(t, w.do(post).Close)
	for range 3 {
		s.stop <- struct{}{}
		s.phase(lameduck.Announced)
		require.NoError(t, g.Resume())
		require.False(t, w.do(post).Close, "the same connection serves on")
	}
	s.stop <- struct{}{}
	s.phase(lameduck.Announced)
	s.force()
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, lameduck.Drained, out.rep.Phase)
	w.closed()
}

func TestAHandlerThatIgnoresItsContextIsNamedAndNotWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	in, free := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(free) })
	s := serve(t, g, lameduck.Handler(g, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(in)
		<-free
	})), lameduck.HTTPOptions{Plan: lameduck.Plan{All: 20 * time.Millisecond, Cancel: 20 * time.Millisecond},
		Quiet: time.Millisecond, Close: 20 * time.Millisecond})
	w := s.dial()
	w.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
	<-in
	began := time.Now()
	close(s.stop)
	out := s.ended()
	var forced *lameduck.ForcedError
	require.ErrorAs(t, out.err, &forced)
	require.Equal(t, 1, forced.Survivors)
	require.Equal(t, lameduck.Forced, out.rep.Phase)
	require.Len(t, out.rep.Survivors, 1)
	require.Equal(t, "GET /stuck", out.rep.Survivors[0].Label)
	require.Equal(t, []int{1, 1}, []int{out.rep.Cut, out.rep.Left})
	took := out.at.Sub(began)
	require.True(t, took >= 80*time.Millisecond && took < 4*time.Second, took)
	w.closed()
}

func TestForceCancelsAtOnceAndHasAnEnd(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	in, cause := make(chan struct{}), make(chan error, 1)
	s := serve(t, g, lameduck.Handler(g, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(in)
		<-req.Context().Done()
		cause <- context.Cause(req.Context())
	})), lameduck.HTTPOptions{Plan: lameduck.Plan{All: time.Hour}, Quiet: time.Millisecond, Close: time.Minute})
	s.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-in
	close(s.stop)
	s.phase(lameduck.DrainAll)
	s.force()
	var r *leadership.Refusal
	require.ErrorAs(t, receive(t, cause, "the request was not cancelled"), &r)
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, lameduck.Drained, out.rep.Phase)
}

func TestADrainByAnotherIsWaitedForAndOneThatIsOverTaken(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		g := newGate(t, lameduck.Options{Name: "role"})
		s := serve(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Plan: lameduck.Plan{All: time.Hour}, Quiet: time.Millisecond})
		held := enter(t, g, lameduck.Single)
		other := make(chan error, 1)
		go func() {
			_, err := g.Drain(context.Background(), lameduck.Plan{All: time.Hour, Cancel: time.Hour})
			other <- err
		}()
		s.phase(lameduck.DrainAll)
		close(s.stop)
		if force {
			s.force()
			require.ErrorIs(t, receive(t, other, "the other drain goes on"), lameduck.ErrResumed)
			held.Exit()
			require.NoError(t, s.ended().err)
			require.Equal(t, lameduck.Drained, g.State().Phase)
			continue
		}
		held.Exit()
		require.NoError(t, receive(t, other, "the other drain goes on"))
		out := s.ended()
		require.NoError(t, out.err)
		require.Equal(t, "role", out.rep.Gate)
		require.Equal(t, lameduck.Drained, out.rep.Phase)
	}
}

func TestAServerRunsAgain(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	srv, err := lameduck.NewHTTPServer(g, &http.Server{Handler: lameduck.Handler(g, ok)},
		lameduck.HTTPOptions{Quiet: time.Millisecond, Plan: lameduck.Plan{Until: term(6)}})
	require.NoError(t, err)
	for n := range uint64(3) {
		if n > 0 {
			require.NoError(t, g.Serve(term(6+n)), "above the plan's Until from the second time on")
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		stop, out := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := srv.Run(t.Context(), ln, stop)
			out <- err
		}()
		resp, err := http.Post("http://"+ln.Addr().String(), "", strings.NewReader("hi"))
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		close(stop)
		require.NoError(t, receive(t, out, "Run did not return"))
		require.Equal(t, lameduck.Drained, g.State().Phase)
	}
}

func TestAListenerThatFailsEndsTheRunAndIsReported(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := serveOn(t, ln, g, &http.Server{Handler: lameduck.Handler(g, ok)}, lameduck.HTTPOptions{Quiet: time.Millisecond})
	w := s.dial()
	require.Equal(t, http.StatusOK, w.do(post).StatusCode)
	require.NoError(t, ln.Close())
	out := s.ended()
	require.ErrorIs(t, out.err, net.ErrClosed)
	require.Equal(t, lameduck.Drained, out.rep.Phase)
	w.closed()
}

func TestG10_AServerThatCannotWorkIsRefusedBeforeItListens(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	base := &http.Server{Handler: ok}
	for _, c := range []struct {
		name string
		g    *lameduck.Gate
		base *http.Server
		o    lameduck.HTTPOptions
	}{
		{"gate", nil, base, lameduck.HTTPOptions{}},
		{"base", g, nil, lameduck.HTTPOptions{}},
		{"Quiet", g, base, lameduck.HTTPOptions{Quiet: -1}},
		{"Close", g, base, lameduck.HTTPOptions{Close: -1}},
		{"Close", g, base, lameduck.HTTPOptions{Quiet: time.Second, Close: time.Second}},
		{"base.TLSConfig", g, &http.Server{TLSConfig: &tls.Config{}}, lameduck.HTTPOptions{}},
	} {
		_, err := lameduck.NewHTTPServer(c.g, c.base, c.o)
		var bad *lameduck.OptionError
		require.ErrorAs(t, err, &bad, c.name)
		require.Equal(t, c.name, bad.Field)
		require.True(t, bad.NotExecuted())
		require.Contains(t, err.Error(), c.name)
	}
	_, err := lameduck.NewHTTPServer(g, base, lameduck.HTTPOptions{Plan: lameduck.Plan{All: -1}})
	var bad *lameduck.PlanError
	require.ErrorAs(t, err, &bad)

	srv, err := lameduck.NewHTTPServer(g, base, lameduck.HTTPOptions{})
	require.NoError(t, err)
	var option *lameduck.OptionError
	_, err = srv.Run(t.Context(), nil, nil)
	require.ErrorAs(t, err, &option)
	var none context.Context
	_, err = srv.Run(none, nil, nil)
	require.ErrorAs(t, err, &option)
	require.Equal(t, lameduck.Serving, g.State().Phase)
}

// Fields that only http.Server itself may set are left out.
func TestTheTemplateIsCopiedInFull(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	var idle, based atomic.Int32
	base := &http.Server{
		Handler:     lameduck.Handler(g, ok),
		IdleTimeout: time.Millisecond,
		BaseContext: func(net.Listener) context.Context {
			based.Add(1)
			return context.Background()
		},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			idle.Add(1)
			return ctx
		},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := serveOn(t, ln, g, base, lameduck.HTTPOptions{})
	w := s.dial()
	require.Equal(t, http.StatusOK, w.do(post).StatusCode)
	w.closed() // by IdleTimeout
	require.Equal(t, []int32{1, 1}, []int32{idle.Load(), based.Load()})
}
