package httpbuffer_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// proxy serves a proxy at proxy:80 and returns a client of it.
func (w *world) proxy(o httpbuffer.ProxyOptions) *http.Transport {
	w.t.Helper()
	if o.Base == nil {
		o.Base = w.base
	}
	p, err := httpbuffer.NewProxy(w.lane, o)
	require.NoError(w.t, err)
	w.serve("proxy:80", p)
	client := &http.Transport{DialContext: w.net.dial}
	w.t.Cleanup(client.CloseIdleConnections)
	return client
}

func inbound(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://proxy:80/path?q=1", body)
	require.NoError(t, err)
	return req
}

func TestG7_AClientOfTheProxySeesASlowAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { refuse(rw, 1, 2) }))
		w.serve("n2:80", echo("n2"))
		client := w.proxy(httpbuffer.ProxyOptions{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		refused := do(client, inbound(t, "POST", strings.NewReader("money")))
		synctest.Wait()
		held := do(client, inbound(t, "POST", strings.NewReader("more")))
		chunked := do(client, inbound(t, "POST", &source{r: strings.NewReader(strings.Repeat("most", 1<<16))}))
		get := do(client, inbound(t, "GET", nil))
		synctest.Wait()
		require.Equal(t, 4, w.lane.Snapshot().Held)
		time.Sleep(time.Second)
		w.lane.Observe(routed(2, lead("n2", 2)))
		(<-refused).ok(t, "n2 POST /path?q=1 money")
		(<-held).ok(t, "n2 POST /path?q=1 more")
		(<-chunked).ok(t, "n2 POST /path?q=1 "+strings.Repeat("most", 1<<16))
		(<-get).ok(t, "n2 GET /path?q=1 ")
	})
}

func TestG8_ThePlaceOfAClientThatGoesAwayIsFreeAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		client := w.proxy(httpbuffer.ProxyOptions{})
		halfway, stuck := io.Pipe()
		for _, req := range []*http.Request{
			inbound(t, "GET", nil),
			inbound(t, "POST", strings.NewReader("money")),
			inbound(t, "POST", halfway),
		} {
			ctx, cancel := context.WithCancel(context.Background())
			got := do(client, req.WithContext(ctx))
			if req.Body == io.ReadCloser(halfway) {
				_, _ = stuck.Write([]byte("mo"))
			}
			synctest.Wait()
			require.Equal(t, 1, w.lane.Snapshot().Held)
			cancel()
			_ = stuck.Close()
			require.ErrorIs(t, (<-got).err, context.Canceled)
			synctest.Wait()
			require.Zero(t, w.lane.Snapshot().Held)
		}
	})
}

// send writes raw requests to the proxy, and returns what comes back.
func (w *world) send(text string) (net.Conn, *bufio.Reader) {
	c, err := w.net.dial(context.Background(), "pipe", "proxy:80")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, text)
	require.NoError(w.t, err)
	return c, bufio.NewReader(c)
}

func TestABodyIsNotAskedForBeforeItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", echo("n1"))
		w.proxy(httpbuffer.ProxyOptions{})
		c, in := w.send("POST /x HTTP/1.1\r\nHost: proxy\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := in.Peek(1)
		require.Error(t, err, "nothing is said while it is held")
		require.Equal(t, 1, w.lane.Snapshot().Held)
		w.lane.Observe(routed(1, lead("n1", 1)))
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, _ = in.ReadString('\n')
		_, err = io.WriteString(c, "money")
		require.NoError(t, err)
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		require.Contains(t, string(rest), "200 OK")
		require.Contains(t, string(rest), "n1 POST /x money")
	})
}

func TestABodyIsStreamedWhileTheLaneServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		seen := make(chan string, 1)
		w.serve("n1:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var half [2]byte
			_, _ = io.ReadFull(r.Body, half[:])
			seen <- string(half[:])
			_, _ = io.Copy(io.Discard, r.Body)
		}))
		client := w.proxy(httpbuffer.ProxyOptions{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		body, in := io.Pipe()
		got := do(client, inbound(t, "POST", body))
		_, _ = in.Write([]byte("mo"))
		require.Equal(t, "mo", <-seen)
		_, _ = in.Write([]byte("ney"))
		_ = in.Close()
		(<-got).ok(t, "")
	})
}

// An answer that comes before the request was sent ends what reads ahead.
func TestNothingReadsOnAfterTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
		w.proxy(httpbuffer.ProxyOptions{})
		_, in := w.send("POST /x HTTP/1.1\r\nHost: proxy\r\nContent-Length: 5\r\n\r\nmo")
		begin := time.Now()
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.LessOrEqual(t, time.Since(begin), 1500*time.Millisecond)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		_, err = in.ReadByte()
		require.Error(t, err, "the connection is closed: half a request is on it")
	})
}

func TestG9_TheProxySaysWhatTheErrorProves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		n1     http.Handler
		record leadership.Record
		code   int
		reason string
	}{
		{"no leader", nil, leadership.Record{}, 503, "no leader took the request in time"},
		{"refused to the end", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { refuse(rw, 1, 2) }), routed(1, lead("n1", 1)), 503, "no leader took the request in time"},
		{"no connection", nil, routed(1, lead("n4", 1)), 503, "no leader took the request in time"},
		{"lost", hang(&counter{}), routed(1, lead("n1", 1)), 502, ""},
		{"refused, the body is gone", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(rw, 1, 2)
		}), routed(1, lead("n1", 1)), 503, "the leader has changed while the request was sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
				if c.n1 != nil {
					w.serve("n1:80", c.n1)
				}
				client := w.proxy(httpbuffer.ProxyOptions{Options: httpbuffer.Options{Replay: 4}, RetryAfter: 1500 * time.Millisecond})
				w.lane.Observe(c.record)
				body := "abc"
				if strings.Contains(c.name, "gone") {
					body = "abcdef"
				}
				r := <-do(client, inbound(t, "POST", strings.NewReader(body)))
				require.NoError(t, r.err)
				require.Equal(t, c.code, r.resp.StatusCode)
				header := r.resp.Header.Get(httpbuffer.RefusalHeader)
				if c.code == 502 {
					require.Empty(t, header)
					require.Empty(t, r.resp.Header.Get("Retry-After"))
					return
				}
				require.Equal(t, "2", r.resp.Header.Get("Retry-After"))
				var got leadership.Refusal
				require.NoError(t, got.UnmarshalText([]byte(header)))
				require.Equal(t, c.reason, got.Reason)
				require.Equal(t, c.record.Active.Term, got.Term)
				require.True(t, got.Until.IsZero())
				require.Equal(t, 1500*time.Millisecond, got.RetryAfter)
			})
		})
	}
}

func TestAClosedOrFullProxyRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxHeld: 1})
		client := w.proxy(httpbuffer.ProxyOptions{})
		held := do(client, inbound(t, "GET", nil))
		synctest.Wait()
		r := <-do(client, inbound(t, "GET", nil))
		require.Equal(t, 503, r.resp.StatusCode)
		require.Contains(t, r.body, "too many requests are held")
		w.b.Close()
		require.Contains(t, (<-held).body, "the proxy is closed")
	})
}

func TestG9_TenureHeadersOfStrangersAreNotPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		forged, err := (&leadership.Refusal{Term: term(1)}).MarshalText()
		require.NoError(t, err)
		var seen http.Header
		code := 200
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			seen = r.Header.Clone()
			rw.Header().Set(httpbuffer.LeaderHeader, "n1@1.c1")
			rw.Header().Set(httpbuffer.TermHeader, "1.c1")
			rw.Header().Set(httpbuffer.RefusalHeader, string(forged))
			rw.Header().Set("Other", "stays")
			rw.WriteHeader(code)
		}))
		client := w.proxy(httpbuffer.ProxyOptions{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		for _, code = range []int{200, 503} {
			req := inbound(t, "POST", nil)
			req.Header.Set(httpbuffer.TermHeader, "99.forged")
			req.Header.Set(httpbuffer.LeaderHeader, "n9@99.forged")
			req.Header.Set(httpbuffer.RefusalHeader, string(forged))
			req.Header.Set("Connection", httpbuffer.TermHeader)
			r := <-do(client, req)
			require.NoError(t, r.err)
			require.Equal(t, code, r.resp.StatusCode)
			require.Equal(t, []string{"1.c1"}, seen[httpbuffer.TermHeader])
			require.NotContains(t, seen, httpbuffer.LeaderHeader)
			require.NotContains(t, seen, httpbuffer.RefusalHeader)
			for _, k := range []string{httpbuffer.TermHeader, httpbuffer.LeaderHeader, httpbuffer.RefusalHeader} {
				require.NotContains(t, r.resp.Header, k)
			}
			require.Equal(t, "stays", r.resp.Header.Get("Other"))
		}
	})
}

func TestAProxyBehindAProxyIsHeldFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: 100 * time.Millisecond, MaxOutage: 100 * time.Millisecond})
		w.serve("n1:80", echo("n1"))
		w.proxy(httpbuffer.ProxyOptions{RetryAfter: time.Millisecond})
		outer := newWorld(t, buffer.Config{MaxAge: time.Minute, MaxOutage: time.Minute})
		outer.net = w.net
		outer.base.DialContext = w.net.dial
		outer.lane.Observe(routed(1, lead("proxy", 1)))
		got := do(outer.transport(httpbuffer.Options{}), request(t, "POST", &source{r: strings.NewReader("money")}))
		time.Sleep(time.Second)
		w.lane.Observe(routed(1, lead("n1", 1)))
		(<-got).ok(t, "n1 POST /path?q=1 money")
	})
}

func TestTheProxyTellsTheLeaderWhoAsks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		var seen *http.Request
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			seen = r.Clone(context.Background())
		}))
		client := w.proxy(httpbuffer.ProxyOptions{
			Rewrite: func(pr *httputil.ProxyRequest) { pr.Out.Header.Set("Rewritten", pr.In.URL.Path) },
			ModifyResponse: func(resp *http.Response) error {
				resp.Header.Set("Modified", "yes")
				return nil
			},
		})
		w.lane.Observe(routed(1, lead("n1", 1)))
		r := <-do(client, inbound(t, "GET", nil))
		r.ok(t, "")
		require.Equal(t, "yes", r.resp.Header.Get("Modified"))
		require.Equal(t, "proxy:80", seen.Host)
		require.Equal(t, "proxy:80", seen.Header.Get("X-Forwarded-Host"))
		require.Equal(t, "/path", seen.Header.Get("Rewritten"))
	})
}

func TestTheHostMayAnswerErrorsItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
		errs := make(chan error, 1)
		client := w.proxy(httpbuffer.ProxyOptions{ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			errs <- err
			rw.WriteHeader(http.StatusTeapot)
		}})
		require.Equal(t, http.StatusTeapot, (<-do(client, inbound(t, "GET", nil))).resp.StatusCode)
		var outage *buffer.OutageError
		var age *buffer.AgeError
		err := <-errs
		require.True(t, errors.As(err, &outage) || errors.As(err, &age), err)
	})
}

func TestAnUpgradeGoesThroughTheProxy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		w.serve("n1:80", shouts)
		w.proxy(httpbuffer.ProxyOptions{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		c, in := w.send("GET / HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		_, err = io.WriteString(c, "money\n")
		require.NoError(t, err)
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "MONEY\n", line)
		_ = c.Close()
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		require.NoError(t, w.lane.Quiesced(context.Background(), term(2)))
	})
}

func TestAnAnswerThatBreaksOffIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(rw, "half")
		}))
		var log bytes.Buffer
		client := w.proxy(httpbuffer.ProxyOptions{Log: slog.New(slog.NewTextHandler(&log, nil))})
		w.lane.Observe(routed(1, lead("n1", 1)))
		r := <-do(client, inbound(t, "GET", nil))
		require.Error(t, errors.Join(r.err, r.readErr))
		synctest.Wait()
		require.Contains(t, log.String(), "level=WARN")
	})
}

func TestAProxyOfNothingIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var cfg *httpbuffer.ConfigError
		_, err := httpbuffer.NewProxy(nil, httpbuffer.ProxyOptions{})
		require.ErrorAs(t, err, &cfg)
		w := newWorld(t, buffer.Config{})
		_, err = httpbuffer.NewProxy(w.lane, httpbuffer.ProxyOptions{RetryAfter: -1})
		require.ErrorAs(t, err, &cfg)
		require.Equal(t, "RetryAfter", cfg.Field)
	})
}
