package lameduck_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
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
