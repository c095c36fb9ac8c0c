package lameduck_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/tenure-go/tenure/lameduck"
)

// unhijackable says that it can be hijacked, as a writer that another handler
// wrapped does, and cannot.
type unhijackable struct{ http.ResponseWriter }

var errNoHijack = errors.New("the connection is not ours to give")

func (unhijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errNoHijack }

// wrapping is a writer of another handler's.
type wrapping struct{ http.ResponseWriter }

func (w wrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestAHijackThatFailsIsNotCountedAsAStream(t *testing.T) {
	t.Parallel()
	for _, m := range []lameduck.Middleware{{}, streams} {
		g := newGate(t, lameduck.Options{})
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		rec := httptest.NewRecorder()
		var err error
		m.Wrap(g, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _, err = http.NewResponseController(w).Hijack()
			during := g.InFlight()
			require.True(t, during.Streams+during.Active == 1, "the request alone is counted, not", during)
			_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("an answer instead"))
			require.NoError(t, err)
		})).ServeHTTP(wrapping{unhijackable{rec}}, req)
		require.ErrorIs(t, err, errNoHijack)
		require.Equal(t, lameduck.Counts{}, g.InFlight())
		require.Equal(t, "an answer instead", rec.Body.String())
	}
}

// lent is a connection that a handler hijacks in a test.
type lent struct {
	http.ResponseWriter
	nc net.Conn
}

func (l lent) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return l.nc, bufio.NewReadWriter(bufio.NewReader(l.nc), bufio.NewWriter(l.nc)), nil
}

// hijacked returns what a handler gets when it hijacks nc, and counts as.
func hijacked(t *testing.T, g *lameduck.Gate, nc net.Conn) (got net.Conn) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	lameduck.Handler(g, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var err error
		got, _, err = http.NewResponseController(w).Hijack()
		require.NoError(t, err)
	})).ServeHTTP(lent{httptest.NewRecorder(), nc}, req)
	require.Equal(t, 1, g.InFlight().Streams)
	return got
}

// A proxy that copies files and closes halves must find what it looks for, and
// must not be promised what the connection cannot do.
func TestAHijackedConnectionCanWhatTheOneUnderItCan(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := ln.Accept()
	require.NoError(t, err)
	g := newGate(t, lameduck.Options{})

	nc := hijacked(t, g, server)
	require.True(t, nc.(interface{ NetConn() net.Conn }).NetConn() == server)
	raw, err := nc.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	called := false
	require.NoError(t, raw.Control(func(uintptr) { called = true }))
	require.True(t, called)
	sent, err := nc.(io.ReaderFrom).ReadFrom(bytes.NewReader([]byte("a file")))
	require.NoError(t, err)
	require.Equal(t, int64(6), sent)
	require.NoError(t, nc.(interface{ CloseWrite() error }).CloseWrite())
	all, err := io.ReadAll(client)
	require.NoError(t, err, "the client sees the end while the other half is open")
	require.Equal(t, "a file", string(all))
	require.NoError(t, nc.Close())
	require.Equal(t, lameduck.Counts{}, g.InFlight())

	near, far := net.Pipe()
	defer far.Close()
	nc = hijacked(t, g, near)
	_, err = nc.(syscall.Conn).SyscallConn()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, nc.(interface{ CloseWrite() error }).CloseWrite(), errors.ErrUnsupported)
	require.NoError(t, nc.Close())
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}
