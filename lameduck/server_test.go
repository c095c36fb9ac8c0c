package lameduck_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

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
	require.ErrorAs(t, receive(t, cause, "the request was not cancelled"), new(*lameduck.CancelledError))
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, lameduck.Drained, out.rep.Phase)
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
