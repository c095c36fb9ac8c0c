package httpbuffer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// closing is a body that remembers that it was closed.
type closing struct {
	*strings.Reader
	closed *bool
}

func (c closing) Close() error { *c.closed = true; return nil }

// A zero value does what it says or says so with a typed error.
func TestZeroValuesAndNilArgumentsAreUsableOrRefused(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, rt http.RoundTripper, req *http.Request) {
		t.Helper()
		resp, err := rt.RoundTrip(req)
		var r *httpbuffer.RequestError
		if resp != nil || !errors.As(err, &r) || !leadership.NotExecuted(err) {
			t.Errorf("got %v, %v", resp, err)
		}
	}
	status := func(t *testing.T, h http.Handler, r *http.Request, code int) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("answered %d, not %d", w.Code, code)
		}
	}
	post := func() *http.Request { return httptest.NewRequest(http.MethodPost, "/pay", strings.NewReader("x")) }
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Transport sends nothing and closes the body", func(t *testing.T) {
			tr, closed := new(httpbuffer.Transport), false
			req := post()
			req.Body = closing{strings.NewReader("x"), &closed}
			refused(t, tr, req)
			if !closed {
				t.Error("the body is left open")
			}
			refused(t, tr, nil)
			tr.CloseIdleConnections()
		}},
		{"Transport of the zero Lane sends nothing", func(t *testing.T) {
			tr, err := httpbuffer.New(new(buffer.Lane), httpbuffer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var r *buffer.RequestError
			if _, err := tr.RoundTrip(post()); !errors.As(err, &r) || !leadership.NotExecuted(err) {
				t.Errorf("got %v", err)
			}
			refused(t, tr, nil)
			refused(t, tr, &http.Request{})
		}},
		{"Proxy answers", func(t *testing.T) {
			p := new(httpbuffer.Proxy)
			status(t, p, post(), http.StatusInternalServerError)
			w := httptest.NewRecorder()
			p.Error(w, nil, &httpbuffer.RequestError{})
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("answered %d", w.Code)
			}
		}},
		{"nil lane", func(t *testing.T) {
			var e *httpbuffer.ConfigError
			if _, err := httpbuffer.New(nil, httpbuffer.Options{}); !errors.As(err, &e) {
				t.Errorf("got %v", err)
			}
			if _, err := httpbuffer.NewProxy(nil, httpbuffer.ProxyOptions{}); !errors.As(err, &e) {
				t.Errorf("got %v", err)
			}
		}},
		{"nil arguments of Handler", func(t *testing.T) {
			status(t, httpbuffer.Handler(nil, ok), post(), http.StatusOK)
			meant := post()
			meant.Header.Set(httpbuffer.TermHeader, "7.c1")
			status(t, httpbuffer.Handler(nil, ok), meant, http.StatusServiceUnavailable)
			status(t, httpbuffer.Handler(nil, nil), post(), http.StatusInternalServerError)
		}},
		{"errors", func(t *testing.T) {
			for _, err := range []error{
				new(httpbuffer.ConfigError), new(httpbuffer.LostError), new(httpbuffer.ReplayError),
				new(httpbuffer.RequestError), new(httpbuffer.TargetError),
			} {
				var r *leadership.Refusal
				if err.Error() == "" || errors.As(err, &r) {
					t.Errorf("%T: %q, refusal %v", err, err, r)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
