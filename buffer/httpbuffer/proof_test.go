package httpbuffer_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestG9_OnlyARefusalProvesThatARequestWasNotExecuted(t *testing.T) {
	t.Parallel()
	good, err := (&leadership.Refusal{Term: term(1), Until: term(2)}).MarshalText()
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		code   int
		header http.Header
		again  bool
	}{
		{"a refusal", 503, http.Header{httpbuffer.RefusalHeader: {string(good)}}, true},
		{"a bare 503", 503, http.Header{}, false},
		{"Retry-After", 503, http.Header{"Retry-After": {"1"}}, false},
		{"another code", 502, http.Header{httpbuffer.RefusalHeader: {string(good)}}, false},
		{"a success", 200, http.Header{httpbuffer.RefusalHeader: {string(good)}}, false},
		{"no text", 503, http.Header{httpbuffer.RefusalHeader: {""}}, false},
		{"not a refusal", 503, http.Header{httpbuffer.RefusalHeader: {"term=1.c1"}}, false},
		{"two of them", 503, http.Header{httpbuffer.RefusalHeader: {string(good), string(good)}}, false},
		{"somebody executed it", 503, http.Header{httpbuffer.RefusalHeader: {string(good)}, httpbuffer.LeaderHeader: {"n1@1.c1"}}, false},
		{"somebody says that he executed it", 503, http.Header{httpbuffer.RefusalHeader: {string(good)}, httpbuffer.LeaderHeader: {"?"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					for k, v := range c.header {
						rw.Header()[k] = v
					}
					rw.WriteHeader(c.code)
					_, _ = io.WriteString(rw, "n1")
				}))
				w.serve("n2:80", echo("n2"))
				w.lane.Observe(routed(1, lead("n1", 1)))
				// A GET is idempotent, but an answer is an answer.
				got := do(w.transport(httpbuffer.Options{}), request(t, "GET", nil))
				time.Sleep(time.Second)
				w.lane.Observe(routed(2, lead("n2", 2)))
				r := <-got
				require.NoError(t, r.err)
				if c.again {
					r.ok(t, "n2 GET /path?q=1 ")
					return
				}
				require.Equal(t, c.code, r.resp.StatusCode)
				require.Equal(t, "n1", r.body)
			})
		})
	}
}

// first lets first answer the first request, and next all others.
func first(n *counter, first, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.add() == 1 {
			first.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestG9_ARequestThatGotLostIsSentAgainOnlyIfItIsIdempotent(t *testing.T) {
	t.Parallel()
	begins := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, buf, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = buf.WriteString("HTTP/1.1 2")
			_ = buf.Flush()
			_ = c.Close()
		}
	})
	for _, c := range []struct {
		name   string
		method string
		key    string
		body   func() io.Reader
		fails  http.Handler
		tries  int
		want   string // of the error, "" for an answer
	}{
		{name: "GET", method: "GET", tries: 2},
		{name: "HEAD", method: "HEAD", tries: 2},
		{name: "POST", method: "POST", tries: 1, want: "may have been executed"},
		{name: "PUT", method: "PUT", tries: 1, want: "may have been executed"},
		{name: "DELETE", method: "DELETE", tries: 1, want: "may have been executed"},
		{name: "POST with a key", method: "POST", key: "Idempotency-Key", tries: 2},
		{name: "POST with the other key", method: "POST", key: "X-Idempotency-Key", tries: 2},
		{
			name: "POST with a key and a body that is kept", method: "POST", key: "Idempotency-Key", tries: 2,
			body: func() io.Reader { return &source{r: strings.NewReader("money")} },
		},
		{
			name: "POST with a key and a body that can be had anew", method: "POST", key: "Idempotency-Key", tries: 2,
			body: func() io.Reader { return strings.NewReader(strings.Repeat("money", 100)) },
		},
		{
			name: "POST with a key and a body that is gone", method: "POST", key: "Idempotency-Key", tries: 1, want: "the body is gone",
			body: func() io.Reader { return &source{r: strings.NewReader(strings.Repeat("money", 100))} },
		},
		{name: "GET whose answer has begun", method: "GET", fails: begins, tries: 1, want: "may have been executed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				var n, hung counter
				if c.fails == nil {
					c.fails = hang(&hung)
				}
				w.serve("n1:80", first(&n, c.fails, echo("n1")))
				w.lane.Observe(routed(1, lead("n1", 1)))
				var body io.Reader
				if c.body != nil {
					body = c.body()
				}
				req := request(t, c.method, body)
				if c.key != "" {
					req.Header.Set(c.key, "1")
				}
				r := <-do(w.transport(httpbuffer.Options{Replay: 64}), req)
				require.Equal(t, c.tries, n.get())
				if c.want == "" {
					require.NoError(t, r.err)
					require.Equal(t, http.StatusOK, r.resp.StatusCode)
					return
				}
				require.ErrorContains(t, r.err, c.want)
				require.False(t, leadership.NotExecuted(r.err))
				require.ErrorIs(t, r.err, leadership.ErrUnknownOutcome)
				require.Zero(t, w.lane.Snapshot().Held)
			})
		})
	}
}

// reused sends one request that is answered, so that the next one finds a
// connection that is used already, as http.Transport's own retries require.
func reused(t *testing.T, rt http.RoundTripper) {
	t.Helper()
	r := <-do(rt, request(t, "GET", nil))
	require.NoError(t, r.err)
	synctest.Wait()
}

// http.Transport sends a GET again by itself when a reused connection died. What
// becomes of the second try says nothing about the first.
func TestG9_TriesThatTheBaseMadeByItselfAreNotForgotten(t *testing.T) {
	t.Parallel()
	t.Run("and then no connection was had", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
			var executed counter
			var stop func()
			stop = w.serve("n1:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if executed.add() > 1 {
					stop() // the whole server, so that dialling it fails
					panic(http.ErrAbortHandler)
				}
			}))
			w.lane.Observe(routed(1, lead("n1", 1)))
			rt := w.transport(httpbuffer.Options{})
			reused(t, rt)
			r := <-do(rt, request(t, "GET", nil))
			require.Error(t, r.err)
			require.Equal(t, 2, executed.get())
			require.Greater(t, w.net.dialled("n1:80"), 1, "the base has dialled again")
			require.False(t, leadership.NotExecuted(r.err))
			require.ErrorIs(t, r.err, leadership.ErrUnknownOutcome)
		})
	})
	t.Run("and then it was refused", func(t *testing.T) {
		t.Parallel()
		for _, idempotent := range []bool{true, false} {
			var opts httpbuffer.Options
			if !idempotent {
				opts.Idempotent = func(*http.Request) bool { return false }
			}
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
				var n counter
				w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					switch n.add() {
					case 1:
					case 2:
						panic(http.ErrAbortHandler)
					default:
						refuse(rw, 1, 2)
					}
				}))
				w.lane.Observe(routed(1, lead("n1", 1)))
				rt := w.transport(opts)
				reused(t, rt)
				begin := time.Now()
				r := <-do(rt, request(t, "GET", nil))
				require.False(t, leadership.NotExecuted(r.err))
				require.ErrorIs(t, r.err, leadership.ErrUnknownOutcome)
				if idempotent {
					require.Equal(t, time.Second, time.Since(begin), "it was held")
				} else {
					require.Equal(t, begin, time.Now(), "it may not be sent again")
					require.Equal(t, 3, n.get())
				}
			})
		}
	})
}

// A server that closes an idle connection at the moment in which a request is
// sent over it: net/http has written nothing and may send it again. A POST
// whose body this package keeps is no worse off than one with GetBody.
func TestG9_ADeadIdleConnectionCostsAPostNothingAndIsNotATry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		var executed counter
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if executed.add() == 2 {
				refuse(rw, 1, 1)
				return
			}
			echo("n1").ServeHTTP(rw, r)
		}))
		w.lane.Observe(routed(1, lead("n1", 1)))
		// The connection does not tell of its end until it is written to.
		w.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.net.dial(ctx, network, addr)
			if err != nil || w.net.dialled(addr) > 1 {
				return c, err
			}
			return &deafConn{Conn: c}, nil
		}
		rt := w.transport(httpbuffer.Options{})
		reused(t, rt)
		r := <-do(rt, request(t, "POST", &source{r: strings.NewReader("money")}))
		r.ok(t, "n1 POST /path?q=1 money")
		require.Equal(t, 2, w.net.dialled("n1:80"))
		require.Equal(t, 3, executed.get(), "the refusal after it was proof")
	})
}

// deafConn carries one request; the second Write finds the peer gone.
type deafConn struct {
	net.Conn
	writes counter
}

func (c *deafConn) Write(p []byte) (int, error) {
	if c.writes.add() > 1 {
		_ = c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

// A base that keeps the hooks of httptrace to itself gets no benefit of the
// doubt, not even for an error that looks like one of a dial.
func TestG9_ABaseThatTellsNothingIsNotTrustedToHaveSentNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		var n counter
		rt := w.transport(httpbuffer.Options{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			n.add()
			return nil, &net.OpError{Op: "dial", Err: io.EOF}
		})})
		w.lane.Observe(routed(1, lead("n1", 1)))
		r := <-do(rt, request(t, "POST", nil))
		require.Error(t, r.err)
		require.False(t, leadership.NotExecuted(r.err))
		require.Equal(t, 1, n.get())
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAPanicOfTheBaseEndsTheTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		body := &source{r: strings.NewReader("x")}
		rt := w.transport(httpbuffer.Options{Base: roundTripper(func(*http.Request) (*http.Response, error) { panic("base") })})
		w.lane.Observe(routed(1, lead("n1", 1)))
		require.PanicsWithValue(t, "base", func() { _, _ = rt.RoundTrip(request(t, "POST", body)) })
		_, closed := body.seen()
		require.Equal(t, 1, closed)
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		require.NoError(t, w.lane.Quiesced(context.Background(), term(2)))
	})
}
