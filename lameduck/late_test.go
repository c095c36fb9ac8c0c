package lameduck_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

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

// lateListener does the same for a connection.
type lateListener struct {
	*net.TCPListener
	once   sync.Once
	dial   func()
	arrive func()
}

func (l *lateListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.once.Do(l.dial)
		}
		return nil, err
	}
	return &lateConn{Conn: c, arrive: l.arrive}, nil
}

func TestAConnectionThatArrivesAsTheListenerEndsIsAnswered(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dialled := make(chan net.Conn, 1)
	late := &lateListener{TCPListener: ln.(*net.TCPListener), arrive: func() {}, dial: func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_, err = io.WriteString(c, post)
		}
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}}
	s := serveOn(t, late, g, &http.Server{Handler: lameduck.Handler(g, ok)}, lameduck.HTTPOptions{Quiet: time.Millisecond, Close: time.Minute})
	s.stop <- struct{}{}
	c := receive(t, dialled, "the listener has not come to its end")
	defer c.Close()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_, proven := lameduck.RefusalOf(resp)
	require.True(t, proven, resp.Status)
	require.NoError(t, s.ended().err)
}

func TestARequestThatArrivesAsItsConnectionEndsIsAnswered(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	send := make(chan *wire, 1)
	late := &lateListener{TCPListener: ln.(*net.TCPListener), dial: func() {}, arrive: func() { (<-send).send(post) }}
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

// The answer must not be lost to the reset that follows on unread bytes.
func TestALargeUploadThatIsRefusedGetsItsProof(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, lameduck.Handler(g, ok), lameduck.HTTPOptions{Quiet: time.Second, Close: time.Minute})
	w := s.dial()
	s.until(http.StateNew)
	s.stop <- struct{}{}
	s.phase(lameduck.Drained)
	const size = 1 << 20
	w.send(fmt.Sprintf("POST /pay HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size))
	w.send(strings.Repeat("x", size/4))
	_, proven := lameduck.RefusalOf(w.response())
	require.True(t, proven)
	out := s.ended()
	require.NoError(t, out.err)
	require.Zero(t, out.rep.Cut+out.rep.Left)
}
