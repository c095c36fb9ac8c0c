package httpbuffer_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// refusing returns a base that hands the body of the first request to first and
// refuses it, and gives all others to next.
func refusing(t *testing.T, first func(io.Reader), next roundTripper) roundTripper {
	t.Helper()
	text, err := (&leadership.Refusal{Term: term(1), Until: term(1)}).MarshalText()
	require.NoError(t, err)
	var n counter
	return func(r *http.Request) (*http.Response, error) {
		if n.add() > 1 {
			return next(r)
		}
		first(r.Body)
		h := http.Header{httpbuffer.RefusalHeader: {string(text)}}
		return &http.Response{StatusCode: 503, Header: h, Body: http.NoBody, ProtoMajor: 1}, nil
	}
}

// The reader of a try that was refused takes of a slow body when the next try
// has been answered already, as by a server that streams both ways. Nobody but
// that next try can have what it takes.
func TestG9_WhatAReaderLeftBehindTakesAfterTheAnswerIsNotLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		got := make(chan string, 1)
		left := func(body io.Reader) {
			w.wg.Go(func() { _, _ = body.Read(make([]byte, 100)) })
			synctest.Wait()
		}
		rt := w.transport(httpbuffer.Options{Base: refusing(t, left, func(r *http.Request) (*http.Response, error) {
			w.wg.Go(func() {
				b, err := io.ReadAll(r.Body)
				_ = r.Body.Close()
				got <- fmt.Sprint(string(b), err)
			})
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, ProtoMajor: 1}, nil
		})})
		body, in := io.Pipe()
		resp, err := rt.RoundTrip(request(t, "POST", body))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		for _, s := range []string{"pay ", "100 ", "EUR"} {
			_, _ = io.WriteString(in, s)
		}
		_ = in.Close()
		require.Equal(t, "pay 100 EUR<nil>", <-got)
	})
}

// A base that sends again by itself asks for the body anew. It cannot have it
// while a Read is under way that may take more than there is room for.
func TestG9_ABodyThatIsBeingTakenIsNotHadAnew(t *testing.T) {
	t.Parallel()
	for _, keep := range []int{-1, 4} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, buffer.Config{})
			w.lane.Observe(routed(1, lead("n1", 1)))
			body, in := io.Pipe()
			rt := w.transport(httpbuffer.Options{Replay: keep, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				w.wg.Go(func() { _, _ = io.Copy(io.Discard, r.Body) })
				if keep > 0 {
					_, _ = in.Write(make([]byte, keep))
				}
				synctest.Wait()
				if _, err := r.GetBody(); err != nil {
					return nil, err
				}
				return nil, errors.New("it was had anew")
			})})
			_, err := rt.RoundTrip(request(t, "POST", body))
			_ = in.Close()
			require.ErrorContains(t, err, "the body is gone")
		})
	}
}

// A client that waits for an answer to what it has sent before it sends on gets
// that answer, though a reader of the try before waits for more.
func TestG7_WhatIsKeptIsSentWhileAReaderLeftBehindWaitsForMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(routed(1, lead("n1", 1)))
		body, in := io.Pipe()
		refused := make(chan struct{})
		left := func(body io.Reader) {
			w.wg.Go(func() { _, _ = io.Copy(io.Discard, body) })
			_, _ = io.WriteString(in, "hello")
			synctest.Wait() // it is in its second Read
			close(refused)
		}
		heard := ""
		rt := w.transport(httpbuffer.Options{Base: refusing(t, left, func(r *http.Request) (*http.Response, error) {
			p := make([]byte, 5)
			_, err := io.ReadFull(r.Body, p)
			heard = string(p)
			_ = r.Body.Close()
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, ProtoMajor: 1}, err
		})})
		got := do(rt, request(t, "POST", body))
		<-refused
		time.Sleep(time.Second) // the lane tries again at its own pace
		answered := len(got) == 1
		_ = in.Close()
		require.True(t, answered)
		require.NoError(t, (<-got).err)
		require.Equal(t, "hello", heard)
	})
}

// The same through the proxy, which reads ahead while it holds: what it has
// read, and what it goes on to read, is the leader's as soon as it is there.
func TestG7_AConversationThatWasHeldGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(rw)
			_ = c.EnableFullDuplex()
			for p := make([]byte, 5); ; {
				if _, err := io.ReadFull(r.Body, p); err != nil {
					return
				}
				_, _ = rw.Write(p)
				_ = c.Flush()
			}
		}))
		p, err := httpbuffer.NewProxy(w.lane, httpbuffer.ProxyOptions{Options: httpbuffer.Options{Base: w.base}})
		require.NoError(t, err)
		w.serve("proxy:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(rw).EnableFullDuplex()
			p.ServeHTTP(rw, r)
		}))
		c, in := w.send("POST / HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Second)))
		synctest.Wait()
		require.Equal(t, 1, w.lane.Snapshot().Held)
		w.lane.Observe(routed(1, lead("n1", 1)))
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		for i, p := 0, make([]byte, 5); ; i++ {
			_, err := io.ReadFull(resp.Body, p)
			require.NoError(t, err)
			if i == 0 {
				require.Equal(t, "hello", string(p))
			} else {
				require.Equal(t, fmt.Sprintf("%05d", i), string(p))
			}
			if i == 100 {
				break
			}
			_, err = fmt.Fprintf(c, "5\r\n%05d\r\n", i+1)
			require.NoError(t, err)
		}
		_, err = io.WriteString(c, "0\r\n\r\n")
		require.NoError(t, err)
		rest, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Empty(t, rest)
	})
}
