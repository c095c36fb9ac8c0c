package lameduck

import (
	"context"
	"net/http"
	"strings"
)

// Handler admits each request to next as a Single: Middleware{}.Wrap(g, next).
func Handler(g *Gate, next http.Handler) http.Handler { return Middleware{}.Wrap(g, next) }

// Middleware is how requests of net/http enter a gate. The zero value admits
// every request as a Single, labelled with method and path.
type Middleware struct {
	// Classify says what a request is; nil means a Single each. It must not
	// block. A Stream is not waited for by a drain and a Unit is refused
	// earlier, so decide by what the handler does (its route), not by what a
	// client may claim: see ClassifyByHeader.
	//
	// A Unit is counted as one, with the whole request as its continuation: it
	// is refused from DrainUnits on, and what was admitted before is waited for.
	Classify func(*http.Request) Kind
	// Label names a request in reports and in Entries; nil means its method
	// and path.
	Label func(*http.Request) string

	_ struct{}
}

// Wrap admits each request to next. Health endpoints must not be wrapped.
//
// The request's context is cancelled when the drain reaches Cancelled (see
// Token.Context), and Draining tells it when the gate is announced.
//
// A request refused is answered with 503 Service Unavailable, Connection:
// close, RefusalHeader, and Retry-After in whole seconds, rounded up, when the
// plan named one; its body is not read. A kind that is none is answered with
// 500, and a gate that cannot count more with 503, both without proof. When g
// or next is nil every request is answered with 500.
//
// From Announced on, responses carry Connection: close. HTTP/1 clients then
// take their next request to a new connection; over HTTP/2, where the field
// does not exist, net/http turns it into GOAWAY and closes the connection once
// its streams are done.
//
// A connection that is hijacked counts as a Stream from then until it is
// closed, or the handler has returned if that is later, when the request was
// one for an upgrade (RFC 9110, section 7.8), a CONNECT, or classified as
// Stream; Hijack returns the *leadership.Refusal from DrainUnits on, and the
// connection is then still net/http's. Any other request that hijacks counts
// until its handler returns. The ResponseWriter is wrapped for those requests
// only; it keeps Flush, Hijack, ReadFrom and, by Unwrap, whatever
// http.ResponseController can do.
func (m Middleware) Wrap(g *Gate, next http.Handler) http.Handler {
	switch {
	case g == nil:
		return useless("gate")
	case next == nil:
		return useless("next")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		kind, info := Single, Info{Owner: req}
		if m.Classify != nil {
			kind = m.Classify(req)
		}
		if m.Label != nil {
			info.Label = m.Label(req)
		} else {
			info.Label = req.Method + " " + req.URL.Path
		}
		whole, err := g.EnterInfo(kind, info)
		if err != nil {
			refuse(w, err)
			return
		}
		held := newHeld(req.Context(), whole)
		defer held.release()
		tok := &held.tok
		if kind == Unit {
			request, err := whole.Continue()
			if err != nil {
				refuse(w, err)
				return
			}
			defer request.Exit()
			tok = &request
		}
		if g.view.Load() != nil {
			w.Header().Set("Connection", "close")
		}
		if (kind == Stream || upgrade(req)) && canHijack(w) {
			w = &hijackWriter{ResponseWriter: w, gate: g, kind: kind, info: info, held: held}
		}
		next.ServeHTTP(w, req.WithContext(tok.Context(held)))
	})
}

// useless answers in the place of a handler that was given a nil argument.
func useless(argument string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, &OptionError{Field: argument, Reason: "is nil"})
	})
}

// Draining is Token.Draining for the request with this context, admitted by
// Middleware (the innermost if there are several): a channel that is closed once
// the gate is announced to drain, what a long poll, an event stream or a
// WebSocket waits for to say goodbye. After an undo a new call returns a new
// channel. It is nil for any other context.
func Draining(ctx context.Context) <-chan struct{} {
	if ctx == nil {
		return nil
	}
	h, ok := ctx.Value(heldKey{}).(*held)
	if !ok {
		return nil
	}
	tok := *h.told.Load()
	return tok.Draining()
}

// ClassifyByHeader is a Classify that takes a request for an upgrade and a GET
// that accepts text/event-stream as a Stream and all others as a Single.
//
// It believes the client: whoever sends such a request for something else is
// not waited for by a drain. Use it where that harms nobody but the sender.
func ClassifyByHeader(req *http.Request) Kind {
	events := req.Method == http.MethodGet && hasToken(req.Header["Accept"], "text/event-stream")
	if events || upgrade(req) {
		return Stream
	}
	return Single
}

// upgrade reports whether the client asks for another protocol on the
// connection, or over HTTP/2 (RFC 8441) on the stream.
func upgrade(req *http.Request) bool {
	return req.Method == http.MethodConnect ||
		len(req.Header["Upgrade"]) > 0 && hasToken(req.Header["Connection"], "upgrade")
}

// hasToken finds token in a comma-separated list, parameters aside.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// Readyz answers 200 while the gate is ready and 503 from Announced on, with
// the phase as its body: the endpoint for balancers. For a nil gate it answers
// 500.
func Readyz(g *Gate) http.Handler {
	if g == nil {
		return useless("gate")
	}
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
// role is alive and must not be restarted for it. For a nil gate it answers 500.
func Livez(g *Gate) http.Handler {
	if g == nil {
		return useless("gate")
	}
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
