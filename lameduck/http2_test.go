package lameduck_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// certified returns a TLS configuration, and a client that trusts it.
func certified(t *testing.T) (*tls.Config, *http.Client) {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.EnableHTTP2 = true
	ts.StartTLS()
	t.Cleanup(ts.Close)
	return ts.TLS, ts.Client()
}

func TestHTTP2ConnectionsAreToldToGoAwayAndLoseNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	config, client := certified(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	in, free := make(chan struct{}), make(chan struct{})
	s := serveOn(t, ln, g, &http.Server{TLSConfig: config, Handler: lameduck.Handler(g, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			close(in)
			<-free
		}
		_, _ = io.Copy(w, req.Body)
	}))}, lameduck.HTTPOptions{Plan: lameduck.Plan{Announce: time.Hour}, Quiet: time.Millisecond, Close: time.Minute})
	do := func(path string) (resp *http.Response, reused bool, err error) {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}),
			http.MethodPost, "https://"+s.addr+path, strings.NewReader("hi"))
		if err != nil {
			return nil, false, err
		}
		resp, err = client.Do(req)
		if err != nil {
			return nil, false, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp, reused, err
	}
	for range 2 {
		_, _, err := do("/")
		require.NoError(t, err)
	}
	slow := make(chan error, 1)
	go func() {
		_, _, err := do("/slow")
		slow <- err
	}()
	<-in
	s.stop <- struct{}{}
	s.phase(lameduck.Announced)
	resp, reused, err := do("/")
	require.NoError(t, err)
	require.Equal(t, 2, resp.ProtoMajor)
	require.True(t, reused)
	require.Equal(t, "", resp.Header.Get("Connection"), "there is no such field in HTTP/2")

	// The answer came with GOAWAY: the next request takes another connection,
	// while the one under way ends on the old one.
	_, reused, err = do("/")
	require.NoError(t, err)
	require.False(t, reused)
	close(free)
	require.NoError(t, receive(t, slow, "the request under way was lost"))
	// Both were told, and end when the server has seen that they are done with: an
	// answer reaches its client before that.
	s.until(http.StateClosed)
	s.until(http.StateClosed)
	s.force()
	out := s.ended()
	require.NoError(t, out.err)
	require.Zero(t, out.rep.Cut+out.rep.Left)
}

func TestAListenerThatYieldsTLSIsRefusedByName(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	config, client := certified(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	s := serveOn(t, ln, g, &http.Server{Handler: ok}, lameduck.HTTPOptions{Quiet: time.Millisecond})
	_, err = client.Get("https://" + s.addr)
	require.Error(t, err)
	require.ErrorIs(t, s.ended().err, lameduck.ErrTLSListener)
}
