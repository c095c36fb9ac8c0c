package httpbuffer_test

import (
	"context"
	"errors"
	"io"
	"net"
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

// causes are what a context may end with: proofs about something else, and what
// proves nothing.
func causes() map[string]error {
	all := proofs()
	all["an error"] = errors.New("shutting down")
	all["none"] = context.Canceled
	return all
}

// streams begins an answer and does not end it.
func streams(rw http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(rw, "begin")
	_ = http.NewResponseController(rw).Flush()
	<-r.Context().Done()
}

// silent takes a request and tells none of the hooks of httptrace.
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// own is a base that ends what it sends by a context of its own.
func own(base http.RoundTripper, cause error) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer time.AfterFunc(time.Second, func() { cancel(cause) }).Stop()
		return base.RoundTrip(r.WithContext(ctx))
	}
}

// net/http returns the cause of a context as the error of the request, and of the
// body of its answer. It was said of another call: it neither proves what became
// of this one, nor is it the leader's word.
func TestG9_TheCauseOfAContextIsNoProof(t *testing.T) {
	t.Parallel()
	hangs := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, c := range []struct {
		name   string
		serve  http.Handler
		base   func(http.RoundTripper, error) http.RoundTripper
		ended  bool // before it is sent
		begins bool // the answer
		class  buffer.Class
		is     []error
	}{
		{name: "an answer that is being read", serve: http.HandlerFunc(streams), begins: true},
		{name: "a request that was sent", serve: hangs, class: buffer.MaybeExecuted, is: []error{leadership.ErrUnknownOutcome}},
		{
			name: "a request that was sent, ended by the base", serve: hangs, is: []error{leadership.ErrUnknownOutcome},
			base: func(base http.RoundTripper, cause error) http.RoundTripper { return own(base, cause) },
		},
		{
			name: "a base that tells nothing", class: buffer.MaybeExecuted, is: []error{context.Canceled},
			base: func(http.RoundTripper, error) http.RoundTripper { return roundTripper(silent) },
		},
		{name: "a request whose context has ended", serve: hangs, ended: true, class: buffer.MaybeExecuted, is: []error{context.Canceled}},
	} {
		for name, cause := range causes() {
			t.Run(c.name+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t, buffer.Config{})
					if c.serve != nil {
						w.serve("n1:80", c.serve)
					}
					w.lane.Observe(routed(1, lead("n1", 1)))
					var opts httpbuffer.Options
					if c.base != nil {
						opts.Base = c.base(w.base, cause)
					}
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					if c.ended {
						cancel(cause)
					}
					got := do(w.transport(opts), request(t, "POST", nil).WithContext(ctx))
					time.Sleep(time.Minute)
					cancel(cause)
					r := <-got
					err := r.err
					if c.begins {
						require.NoError(t, err)
						err = r.readErr
					}
					require.ErrorIs(t, err, cause, "it is told")
					for _, is := range c.is {
						require.ErrorIs(t, err, is)
					}
					require.False(t, leadership.NotExecuted(err))
					var refusal *leadership.Refusal
					require.False(t, errors.As(err, &refusal), "nobody obeys it")
					if c.class != buffer.Unclassified {
						require.Equal(t, c.class, buffer.Classify(err))
					}
					require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
				})
			})
		}
	}
}

// What never had a connection was not executed, and yet the leader has not
// refused it.
func TestG9_TheCauseOfAContextIsNoRefusalOfALeaderThatWasNotReached(t *testing.T) {
	t.Parallel()
	for name, cause := range causes() {
		for _, whose := range []string{"the request's", "the base's"} {
			t.Run(name+", "+whose, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t, buffer.Config{})
					dials := make(chan struct{})
					w.base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
						dials <- struct{}{}
						<-ctx.Done()
						return nil, context.Cause(ctx)
					}
					w.lane.Observe(routed(1, lead("n1", 1)))
					var opts httpbuffer.Options
					tries := 1
					if whose == "the base's" {
						opts.Base = own(w.base, cause)
						if name != "a full lane" { // a lane behind this one has waited enough
							tries = 2
						}
					}
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					got := do(w.transport(opts), request(t, "POST", nil).WithContext(ctx))
					for range tries {
						<-dials
					}
					synctest.Wait()
					require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
					cancel(cause)
					r := <-got
					require.True(t, leadership.NotExecuted(r.err))
					require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
				})
			})
		}
	}
}

// The connection of an upgrade is no better informed.
func TestG9_TheBodyOfAnUpgradeProvesNothing(t *testing.T) {
	t.Parallel()
	for name, cause := range proofs() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				w.lane.Observe(routed(1, lead("n1", 1)))
				rt := w.transport(httpbuffer.Options{Base: roundTripper(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 101, Header: http.Header{}, Body: broken{cause}, ProtoMajor: 1}, nil
				})})
				resp, err := rt.RoundTrip(request(t, "GET", nil))
				require.NoError(t, err)
				_, err = resp.Body.Read(make([]byte, 1))
				require.ErrorIs(t, err, cause)
				require.False(t, leadership.NotExecuted(err))
				err = resp.Body.Close()
				require.ErrorIs(t, err, cause)
				require.False(t, leadership.NotExecuted(err))
				require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
			})
		})
	}
}

// broken is a connection on which all fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error)  { return 0, b.err }
func (b broken) Write([]byte) (int, error) { return 0, b.err }
func (b broken) Close() error              { return b.err }

// A transport behind this one knows best what it held, as long as no cause may be
// mistaken for its word.
func TestG9_WhatABaseSaysOfItsOwnRequestIsBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cause error
		proof bool
	}{
		"no cause":                {nil, true},
		"a cause of another call": {&leadership.Refusal{Term: term(1), Until: term(2)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				inner, w := newWorld(t, buffer.Config{}), newWorld(t, buffer.Config{})
				w.lane.Observe(routed(1, lead("n1", 1)))
				rt := w.transport(httpbuffer.Options{Base: inner.transport(httpbuffer.Options{})})
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				got := do(rt, request(t, "POST", nil).WithContext(ctx))
				synctest.Wait()
				require.Equal(t, 1, inner.lane.Snapshot().Held)
				cancel(c.cause)
				r := <-got
				require.ErrorIs(t, r.err, context.Canceled)
				require.Equal(t, c.proof, leadership.NotExecuted(r.err))
				require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
			})
		})
	}
}

// Neither is the leader's word what a body says that cannot be had anew.
func TestG9_ABodyThatCannotBeHadAnewIsNoRefusalOfTheLeader(t *testing.T) {
	t.Parallel()
	for name, cause := range proofs() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				w.lane.Observe(routed(1, lead("n1", 1)))
				req := request(t, "POST", strings.NewReader("money"))
				req.GetBody = func() (io.ReadCloser, error) { return nil, cause }
				r := <-do(w.transport(httpbuffer.Options{}), req)
				require.ErrorIs(t, r.err, cause)
				require.True(t, leadership.NotExecuted(r.err), "no connection was had")
				require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
			})
		})
	}
}

// Nor is what is asked for a place to send to: nobody knows it yet, whatever
// else it says.
func TestG9_WhoKnowsNoPlaceDoesNotRefuseForTheLeader(t *testing.T) {
	t.Parallel()
	for name, cause := range proofs() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				w.serve("n1:80", echo("n1"))
				w.lane.Observe(routed(1, lead("n1", 1)))
				var asked counter
				rt := w.transport(httpbuffer.Options{URL: func(_ leadership.Leadership, addr string) (*url.URL, error) {
					if asked.add() == 1 {
						return nil, cause
					}
					require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
					return &url.URL{Scheme: "http", Host: addr}, nil
				}})
				(<-do(rt, request(t, "POST", nil))).ok(t, "n1 POST /path?q=1 ")
			})
		})
	}
}
