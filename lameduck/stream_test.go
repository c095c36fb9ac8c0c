package lameduck_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

const (
	events    = "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
	websocket = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
)

var streams = lameduck.Middleware{Classify: lameduck.ClassifyByHeader}

func TestAnEventStreamIsToldAndDoesNotBlock(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, streams.Wrap(g, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-lameduck.Draining(req.Context())
		_, _ = io.WriteString(w, "data: bye\n\n")
	})), lameduck.HTTPOptions{Plan: lameduck.Plan{Announce: 20 * time.Millisecond}, Quiet: time.Millisecond, Close: time.Minute})
	w := s.dial()
	w.send(events)
	resp := w.response()
	hello := make([]byte, len("data: hello\n\n"))
	_, err := io.ReadFull(resp.Body, hello)
	require.NoError(t, err)
	require.Equal(t, lameduck.Counts{Streams: 1}, g.InFlight())
	s.stop <- struct{}{}
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "data: bye\n\n", string(rest), "told, and waited for")
	out := s.ended()
	require.NoError(t, out.err)
	require.Zero(t, out.rep.Cut+out.rep.Left)
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}

func TestAStreamThatDoesNotListenIsCutAtTheEnd(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	gone := make(chan struct{})
	s := serve(t, g, streams.Wrap(g, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		close(gone)
	})), lameduck.HTTPOptions{Quiet: time.Millisecond, Close: 20 * time.Millisecond})
	w := s.dial()
	w.send(events)
	_ = w.response()
	s.stop <- struct{}{}
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, lameduck.Drained, out.rep.Phase)
	require.Equal(t, 1, out.rep.Streams)
	require.Equal(t, 1, out.rep.Cut)
	receive(t, gone, "the stream's context goes on")
}

// echo takes the connection over and returns at once.
func echo(refused chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		draining := lameduck.Draining(req.Context())
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			refused <- err
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		go func() {
			<-draining
			_, _ = io.WriteString(nc, "bye\n")
		}()
		go func() {
			for {
				line, err := rw.ReadString('\n')
				if err != nil {
					_ = nc.Close()
					_ = nc.Close() // twice is once
					return
				}
				_, _ = io.WriteString(nc, line)
			}
		}()
	})
}

func TestAHijackedConnectionCountsUntilItIsClosed(t *testing.T) {
	t.Parallel()
	for _, m := range []lameduck.Middleware{{}, streams} {
		g := newGate(t, lameduck.Options{})
		s := serve(t, g, m.Wrap(g, echo(nil)), lameduck.HTTPOptions{Plan: lameduck.Plan{Announce: time.Hour}, Quiet: time.Millisecond})
		w := s.dial()
		w.send(websocket)
		require.Equal(t, http.StatusSwitchingProtocols, w.response().StatusCode)
		w.line("hello\n", "hello\n")
		s.calm(lameduck.Counts{Streams: 1})
		s.stop <- struct{}{}
		w.line("", "bye\n")
		w.line("more\n", "more\n")
		require.Equal(t, lameduck.Counts{Streams: 1}, g.InFlight())
		require.NoError(t, w.CloseWrite())
		w.closed()
		s.calm(lameduck.Counts{})
		s.force()
		out := s.ended()
		require.NoError(t, out.err)
		require.Zero(t, out.rep.Cut+out.rep.Left)
	}
}

func TestAHijackedConnectionThatStaysIsClosedAtTheEnd(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	s := serve(t, g, lameduck.Handler(g, echo(nil)), lameduck.HTTPOptions{Quiet: time.Millisecond, Close: 500 * time.Millisecond})
	w := s.dial()
	w.send(websocket)
	require.Equal(t, http.StatusSwitchingProtocols, w.response().StatusCode)
	s.calm(lameduck.Counts{Streams: 1}) // the client sees 101 before the request has exited
	s.stop <- struct{}{}
	w.line("", "bye\n")
	w.closed()
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, []int{1, 0}, []int{out.rep.Cut, out.rep.Left})
	s.calm(lameduck.Counts{})
}

func TestAHijackIsRefusedOnceNoNewSessionsAreTaken(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	refused := make(chan error, 1)
	s := serve(t, g, lameduck.Handler(g, echo(refused)), lameduck.HTTPOptions{Plan: lameduck.Plan{Units: time.Hour}, Quiet: time.Millisecond})
	unit := enter(t, g, lameduck.Unit)
	s.stop <- struct{}{}
	s.phase(lameduck.DrainUnits)
	w := s.dial()
	require.Equal(t, http.StatusServiceUnavailable, w.do(websocket).StatusCode)
	var r *leadership.Refusal
	require.ErrorAs(t, <-refused, &r)
	require.Equal(t, leadership.ScopeUnits, r.Scope)
	unit.Exit()
	require.NoError(t, s.ended().err)
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}

func (w *wire) line(send, want string) {
	w.t.Helper()
	w.send(send)
	got, err := w.r.ReadString('\n')
	require.NoError(w.t, err)
	require.Equal(w.t, want, got)
}

func (w *wire) CloseWrite() error { return w.Conn.(*net.TCPConn).CloseWrite() }

// calm waits for what is in flight to be just that. Handlers exit after their
// last byte is out, which no client can wait for.
func (s *serving) calm(want lameduck.Counts) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); s.gate.InFlight() != want; <-tick.C {
		if time.Now().After(end) {
			s.t.Fatalf("in flight: %+v, want %+v", s.gate.InFlight(), want)
		}
	}
}

func TestOnlyWhatMayHijackIsWrappedAndItKeepsItsAbilities(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	seen := make(chan error, 1)
	var plain http.ResponseWriter
	inner := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var missing error
		for name, has := range map[string]bool{
			"Flusher":    is[http.Flusher](w),
			"Hijacker":   is[http.Hijacker](w),
			"ReaderFrom": is[io.ReaderFrom](w),
			"deadlines":  http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within)) == nil,
			"wrapping":   (w != plain) == (req.Header.Get("Upgrade") != ""),
		} {
			if !has {
				missing = errors.Join(missing, fmt.Errorf("%s of %s", name, req.URL.Path))
			}
		}
		_, err := io.Copy(w, req.Body)
		seen <- errors.Join(missing, err)
	})
	gated := lameduck.Handler(g, inner)
	s := serve(t, g, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		plain = w
		gated.ServeHTTP(w, req)
	}), lameduck.HTTPOptions{})
	w := s.dial()
	for _, head := range []string{post, websocket} {
		require.Equal(t, http.StatusOK, w.do(head).StatusCode)
		require.NoError(t, <-seen)
	}
	// A writer that cannot hijack is not made to look like one.
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Connection", "keep-alive, Upgrade")
	req.Header.Set("Upgrade", "echo")
	lameduck.Handler(g, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		require.False(t, is[http.Hijacker](w))
	})).ServeHTTP(rec, req)
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

func TestRequestsAreClassifiedByWhatTheClientAsksFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method string
		header       http.Header
		want         lameduck.Kind
	}{
		{"plain", "GET", http.Header{}, lameduck.Single},
		{"events", "GET", http.Header{"Accept": {"text/html, Text/Event-Stream;q=0.9"}}, lameduck.Stream},
		{"events by POST", "POST", http.Header{"Accept": {"text/event-stream"}}, lameduck.Single},
		{"upgrade", "GET", http.Header{"Connection": {"keep-alive", "Upgrade"}, "Upgrade": {"websocket"}}, lameduck.Stream},
		{"upgrade that no hop asked for", "GET", http.Header{"Upgrade": {"websocket"}}, lameduck.Single},
		{"tunnel", "CONNECT", http.Header{}, lameduck.Stream},
	} {
		req := httptest.NewRequest(c.method, "/", nil)
		req.Header = c.header
		require.Equal(t, c.want, lameduck.ClassifyByHeader(req), c.name)
	}
}

func TestAUnitIsRefusedEarlierAndWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	in, free := make(chan struct{}), make(chan struct{})
	units := lameduck.Middleware{
		Classify: func(*http.Request) lameduck.Kind { return lameduck.Unit },
		Label:    func(*http.Request) string { return "transfer" },
	}.Wrap(g, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(in)
		<-free
		if err := req.Context().Err(); err != nil {
			t.Error(err)
		}
	}))
	s := serve(t, g, units, lameduck.HTTPOptions{Plan: lameduck.Plan{Units: time.Hour, All: time.Hour}, Quiet: time.Millisecond})
	first, second := s.dial(), s.dial()
	first.send(post)
	<-in
	require.Equal(t, lameduck.Counts{Active: 1, Units: 1}, g.InFlight())
	for info := range g.Entries() {
		require.Equal(t, "transfer", info.Label)
	}
	s.stop <- struct{}{}
	s.phase(lameduck.DrainUnits)
	r, proven := lameduck.RefusalOf(second.do(post))
	require.True(t, proven)
	require.Equal(t, leadership.ScopeUnits, r.Scope)
	close(free)
	require.Equal(t, http.StatusOK, first.response().StatusCode)
	out := s.ended()
	require.NoError(t, out.err)
	require.Equal(t, []int{1, 0, 0}, []int{out.rep.FinishedUnits, out.rep.EndedUnits, out.rep.Cancelled})
}

func TestAKindThatIsNoneIsAnErrorOfTheServerWithoutProof(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	odd := lameduck.Middleware{Classify: func(*http.Request) lameduck.Kind { return 9 }}
	rec := httptest.NewRecorder()
	odd.Wrap(g, ok).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.Equal(t, "", rec.Header().Get(lameduck.RefusalHeader))
}

func TestG9_OnlyA503WithOneWellFormedRefusalProvesNonExecution(t *testing.T) {
	t.Parallel()
	text, err := (&leadership.Refusal{Term: term(5), Until: term(6), Reason: "planned"}).MarshalText()
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		code   int
		values []string
		want   bool
	}{
		{"refusal", 503, []string{string(text)}, true},
		{"bare 503", 503, nil, false},
		{"done, with the field of another", 200, []string{string(text)}, false},
		{"failed, with the field of another", 500, []string{string(text)}, false},
		{"a gateway's failure", 502, []string{string(text)}, false},
		{"empty", 503, []string{""}, false},
		{"garbage", 503, []string{"%%%"}, false},
		{"not a refusal", 503, []string{"scope=some"}, false},
		{"added to by a proxy", 503, []string{string(text), string(text)}, false},
	} {
		resp := &http.Response{StatusCode: c.code, Header: http.Header{}}
		for _, v := range c.values {
			resp.Header.Add(lameduck.RefusalHeader, v)
		}
		r, got := lameduck.RefusalOf(resp)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.want, r.NotExecuted(), c.name)
	}
	_, got := lameduck.RefusalOf(nil)
	require.False(t, got)
	require.True(t, lameduck.Draining(t.Context()) == nil, "a request of another server has no gate")
}
