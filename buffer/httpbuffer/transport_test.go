package httpbuffer_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestG7_ARequestIsHeldUnreadAndAnsweredByTheNextLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", echo("n1"))
		w.serve("n2:80", echo("n2"))
		rt := w.transport(httpbuffer.Options{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		(<-do(rt, request(t, "POST", nil))).ok(t, "n1 POST /path?q=1 ")
		body := &source{r: strings.NewReader("money")}
		req := request(t, "POST", body)
		req.Header.Set("Upgrade", "unit") // a unit waits from the announcement on
		got := do(rt, req)
		connect := do(rt, request(t, "CONNECT", nil))
		time.Sleep(time.Second)
		require.Equal(t, 2, w.lane.Snapshot().Held)
		reads, closed := body.seen()
		require.Zero(t, reads+closed, "it was held with its body untouched")
		w.lane.Observe(routed(3, lead("n2", 2)))
		(<-got).ok(t, "n2 POST /path?q=1 money")
		require.NoError(t, (<-connect).err)
		synctest.Wait()
		_, closed = body.seen()
		require.Equal(t, 1, closed)
	})
}

// A refusal comes while the body is being sent, as it does from a gate: the
// handler behind it never looks at the body.
func TestG7_ARequestThatWasRefusedIsSentAgainWithItsWholeBody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, c := range []struct {
			name    string
			body    func() io.Reader
			want    string
			replay  int
			readAll bool
			expect  bool
		}{
			{name: "no body", body: func() io.Reader { return nil }},
			{name: "GetBody", body: func() io.Reader { return strings.NewReader("money") }, want: "money"},
			{name: "GetBody, larger than what is kept", body: func() io.Reader { return bytes.NewReader(make([]byte, 1<<17)) }, want: string(make([]byte, 1<<17)), replay: -1},
			{name: "kept", body: func() io.Reader { return &source{r: strings.NewReader("money")} }, want: "money"},
			{name: "kept, read by the server first", body: func() io.Reader { return &source{r: strings.NewReader("money")} }, want: "money", readAll: true},
			{name: "kept to the last byte", body: func() io.Reader { return &source{r: strings.NewReader("money")} }, want: "money", replay: 5, readAll: true},
			{name: "not asked for", body: func() io.Reader { return &source{r: strings.NewReader(strings.Repeat("money", 1<<15))} }, want: strings.Repeat("money", 1<<15), replay: -1, expect: true},
		} {
			w := newWorld(t, buffer.Config{})
			w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if c.readAll {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				refuse(rw, 1, 2)
			}))
			w.serve("n2:80", echo("n2"))
			rt := w.transport(httpbuffer.Options{Replay: c.replay})
			w.lane.Observe(routed(1, lead("n1", 1)))
			req := request(t, "POST", c.body())
			if c.expect {
				w.base.ExpectContinueTimeout = time.Minute
				req.Header.Set("Expect", "100-continue")
			}
			got := do(rt, req)
			synctest.Wait()
			require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State, c.name)
			w.lane.Observe(routed(2, lead("n2", 2)))
			(<-got).ok(t, "n2 POST /path?q=1 "+c.want)
		}
	})
}

func TestG9_ARequestWhoseBodyIsGoneIsNotSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			refuse(rw, 1, 2)
		}))
		rt := w.transport(httpbuffer.Options{Replay: 4})
		w.lane.Observe(routed(1, lead("n1", 1)))
		body := &source{r: strings.NewReader("money")}
		r := <-do(rt, request(t, "POST", body))
		var gone *httpbuffer.ReplayError
		require.ErrorAs(t, r.err, &gone)
		require.True(t, leadership.NotExecuted(r.err), "the refusal proves it all the same")
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State, "and the lane heard of it")
		require.Zero(t, w.lane.Snapshot().Held)
		synctest.Wait()
		_, closed := body.seen()
		require.Equal(t, 1, closed)
	})
}

func TestAFailedDialIsTriedAgainWithItsBodyUntouched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		rt := w.transport(httpbuffer.Options{Replay: -1})
		w.lane.Observe(routed(1, lead("n1", 1)))
		body := &source{r: strings.NewReader("money")}
		got := do(rt, request(t, "POST", body))
		time.Sleep(time.Second)
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State, "a failed dial starts no hold")
		require.Greater(t, w.net.dialled("n1:80"), 10)
		reads, closed := body.seen()
		require.Zero(t, reads+closed)
		w.serve("n1:80", echo("n1"))
		(<-got).ok(t, "n1 POST /path?q=1 money")
	})
}

func TestG9_WhatNeverGotAConnectionWasNotExecuted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		rt := w.transport(httpbuffer.Options{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		begin := time.Now()
		r := <-do(rt, request(t, "POST", strings.NewReader("money")).WithContext(ctx))
		require.ErrorIs(t, r.err, context.DeadlineExceeded)
		require.True(t, leadership.NotExecuted(r.err))
		require.Equal(t, time.Second, time.Since(begin))
	})
}

func TestARequestThatNobodyKnowsAPlaceForWaitsForOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("elsewhere:81", echo("n1"))
		known := make(chan struct{})
		rt := w.transport(httpbuffer.Options{URL: func(to leadership.Leadership, addr string) (*url.URL, error) {
			require.Equal(t, lead("n1", 1), to)
			require.Equal(t, "n1:80", addr)
			select {
			case <-known:
				return &url.URL{Scheme: "http", Host: "elsewhere:81", Path: "/ignored"}, nil
			default:
				return nil, io.EOF
			}
		}})
		w.lane.Observe(routed(1, lead("n1", 1)))
		got := do(rt, request(t, "GET", nil))
		time.Sleep(time.Second)
		close(known)
		(<-got).ok(t, "n1 GET /path?q=1 ")

		w.lane.Observe(routed(2, lead("n1", 1)))
		for _, u := range []*url.URL{nil, {}} {
			rt := w.transport(httpbuffer.Options{URL: func(leadership.Leadership, string) (*url.URL, error) { return u, nil }})
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			r := <-do(rt, request(t, "GET", nil).WithContext(ctx))
			cancel()
			require.True(t, leadership.NotExecuted(r.err))
			require.ErrorContains(t, r.err, "where is n1@1.c1")
		}
	})
}

func TestTheContextOfAHeldRequestEndsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		rt := w.transport(httpbuffer.Options{})
		ctx, cancel := context.WithCancel(context.Background())
		body := &source{r: strings.NewReader("money")}
		got := do(rt, request(t, "POST", body).WithContext(ctx))
		synctest.Wait()
		require.Equal(t, 1, w.lane.Snapshot().Held)
		cancel()
		r := <-got
		require.ErrorIs(t, r.err, context.Canceled)
		require.True(t, leadership.NotExecuted(r.err))
		require.Zero(t, w.lane.Snapshot().Held)
		reads, closed := body.seen()
		require.Equal(t, 0, reads)
		require.Equal(t, 1, closed)
	})
}

func TestG9_TheContextOfARequestUnderWayLeavesItUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		rt := w.transport(httpbuffer.Options{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		for _, method := range []string{"GET", "POST"} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			r := <-do(rt, request(t, method, nil).WithContext(ctx))
			cancel()
			require.ErrorIs(t, r.err, context.DeadlineExceeded)
			require.ErrorIs(t, r.err, leadership.ErrUnknownOutcome)
			require.False(t, leadership.NotExecuted(r.err))
		}
	})
}

func TestTheRequestIsNotModified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		var host, asked string
		w.serve("n1:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			host, asked = r.Host, r.Header.Get(httpbuffer.TermHeader)
		}))
		rt := w.transport(httpbuffer.Options{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		req := request(t, "GET", nil)
		req.Header.Set(httpbuffer.TermHeader, "99.forged")
		before := req.Clone(context.Background())
		r := <-do(rt, req)
		require.NoError(t, r.err)
		require.Same(t, req, r.resp.Request)
		require.Equal(t, before.URL, req.URL)
		require.Equal(t, before.Header, req.Header)
		require.Equal(t, "orders", host)
		require.Equal(t, "1.c1", asked)
		req.Header, req.Host = nil, ""
		require.NoError(t, (<-do(rt, req)).err)
		require.Equal(t, "n1:80", host)
	})
}

func TestTheBodyIsClosedWhateverHappens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, c := range []struct {
			name    string
			addr    string
			rewinds bool
		}{{name: "answered", addr: "n1"}, {name: "lost", addr: "n2"}, {name: "refused", addr: "n3"}, {name: "no connection", addr: "n4"}} {
			for _, rewinds := range []bool{false, true} {
				w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
				w.serve("n1:80", echo("n1"))
				w.serve("n2:80", hang(&counter{}))
				w.serve("n3:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { refuse(rw, 1, 2) }))
				rt := w.transport(httpbuffer.Options{})
				w.lane.Observe(routed(1, lead(c.addr, 1)))
				var bodies []*source
				open := func() (io.ReadCloser, error) {
					s := &source{r: strings.NewReader("money")}
					bodies = append(bodies, s)
					return s, nil
				}
				first, _ := open()
				req := request(t, "POST", first)
				if rewinds {
					req.GetBody = open
				}
				r := <-do(rt, req)
				require.Equal(t, c.addr == "n1", r.err == nil, "%s: %v", c.name, r.err)
				synctest.Wait()
				for i, s := range bodies {
					_, closed := s.seen()
					require.NotZero(t, closed, "%s, body %d", c.name, i)
				}
			}
		}
	})
}

func TestARequestWithoutAURLIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		body := &source{r: strings.NewReader("x")}
		_, err := w.transport(httpbuffer.Options{}).RoundTrip(&http.Request{Body: body})
		var bad *httpbuffer.RequestError
		require.ErrorAs(t, err, &bad)
		require.True(t, leadership.NotExecuted(err))
		_, closed := body.seen()
		require.Equal(t, 1, closed)
		_, err = httpbuffer.New(nil, httpbuffer.Options{})
		var cfg *httpbuffer.ConfigError
		require.ErrorAs(t, err, &cfg)
	})
}

// A request that the base finds fault with is not tried for as long as a
// leader is awaited.
func TestARequestThatCannotBeSentFailsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		rt := w.transport(httpbuffer.Options{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		req := request(t, "GET", nil)
		req.Header["bad header"] = []string{"x"}
		begin := time.Now()
		r := <-do(rt, req)
		require.ErrorContains(t, r.err, "invalid header")
		require.Equal(t, begin, time.Now())
	})
}

func TestWhatIsHeldIsCountedByHeadersAndTheBodyThatMayBeKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		rt := w.transport(httpbuffer.Options{Replay: 1000})
		ctx, cancel := context.WithCancel(context.Background())
		held := func(body io.Reader, length int64) int64 {
			before := w.lane.Snapshot().Bytes
			req := request(t, "POST", body).WithContext(ctx)
			if body != nil {
				req.ContentLength = length
			}
			w.wg.Go(func() { <-do(rt, req) })
			synctest.Wait()
			return w.lane.Snapshot().Bytes - before
		}
		none := held(nil, 0)
		require.Positive(t, none)
		require.Equal(t, none+10, held(&source{}, 10))
		require.Equal(t, none+1000, held(&source{}, 1e9))
		require.Equal(t, none+1000, held(&source{}, -1))
		cancel()
	})
}
