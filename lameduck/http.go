package lameduck

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// RefusalHeader carries a *leadership.Refusal, in its text form, on the 503
// that Handler answers with. Its presence proves that the request was not
// executed.
const RefusalHeader = "Tenure-Refusal"

// Handler admits each request to next as a Single, labelled with method and
// path, with a context that a drain can cancel. A request refused is answered
// with 503 Service Unavailable, Connection: close, RefusalHeader, and
// Retry-After in whole seconds, rounded up, when the plan named one. While the
// gate drains, responses carry Connection: close.
//
// A hijacked connection counts until its handler returns. Health endpoints
// must not be wrapped.
func Handler(g *Gate, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		tok, err := g.EnterInfo(Single, Info{Label: req.Method + " " + req.URL.Path, Owner: req})
		if err != nil {
			refuse(w, err)
			return
		}
		defer tok.Exit()
		if v := g.view.Load(); v != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req.WithContext(tok.Context(req.Context())))
	})
}

func refuse(w http.ResponseWriter, err error) {
	h := w.Header()
	h.Set("Connection", "close")
	var r *leadership.Refusal
	if errors.As(err, &r) {
		if text, terr := r.MarshalText(); terr == nil {
			h.Set(RefusalHeader, string(text))
		}
		if r.RetryAfter > 0 {
			whole := (r.RetryAfter-1)/time.Second + 1
			h.Set("Retry-After", strconv.FormatInt(int64(whole), 10))
		}
	}
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// Readyz answers 200 while the gate is ready and 503 from Announced on, with
// the phase as its body: the endpoint for balancers.
func Readyz(g *Gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := g.State()
		code := http.StatusOK
		if !s.Ready() {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, s)
	})
}

// Livez answers 200 in every phase: a process that drains, or has drained, a
// role is alive and must not be restarted for it.
func Livez(g *Gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, g.State())
	})
}

func answer(w http.ResponseWriter, code int, s State) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(s.Phase.String() + "\n"))
}
