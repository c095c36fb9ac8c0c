package httpbuffer

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// ProxyOptions of a Proxy. The zero value is usable and means what is stated
// at each field.
type ProxyOptions struct {
	// Options are those of the transport below.
	Options
	// Rewrite changes the request that is sent to the leader, as that of
	// httputil.ReverseProxy does. It finds the X-Forwarded headers set, the
	// client's Tenure headers gone, and the client's Host. The scheme and host
	// of the URL are the transport's to set. nil changes nothing more.
	Rewrite func(*httputil.ProxyRequest)
	// ModifyResponse changes the leader's response, as that of
	// httputil.ReverseProxy does; its Tenure headers are gone. The leader has
	// executed the request by then, so an error that proves the contrary, being
	// about another call, is handed to ErrorHandler in a *LostError. nil
	// changes nothing more.
	ModifyResponse func(*http.Response) error
	// ErrorHandler answers a request that the transport or ModifyResponse
	// failed. nil means Proxy.Error.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// RetryAfter is what a client is told to wait that got an error which
	// proves non-execution. 0 means 1s.
	RetryAfter time.Duration
	// Log gets what goes wrong while a response is copied. nil discards it.
	Log *slog.Logger

	_ struct{}
}

// Proxy is a reverse proxy in front of the leader of a lane. Make one with
// NewProxy; it is safe for concurrent use.
//
// While there is no leader, requests are held, in the goroutine and the context
// that the server gave them, and the client sees a slow answer. The place of a
// client that goes away is free at once. The body of a request that waits for
// 100 Continue is not asked for before its turn. Of other bodies as much as
// Options.Replay is taken in while they are held, because a server of package
// http notices that a client has gone only once it has read all that the client
// sent. With a longer body, the place of a client that went away is free when
// its turn comes or its age is up.
//
// Tenure headers are between the proxy and the leader: those of clients are not
// forwarded, and neither are those of responses.
type Proxy struct {
	lane *buffer.Lane
	o    ProxyOptions
	rp   httputil.ReverseProxy
}

// NewProxy returns a proxy for the requests of one lane, or a *ConfigError
// when lane is nil or RetryAfter is negative.
func NewProxy(lane *buffer.Lane, o ProxyOptions) (*Proxy, error) {
	t, err := New(lane, o.Options)
	switch {
	case err != nil:
		return nil, err
	case o.RetryAfter < 0:
		return nil, &ConfigError{"RetryAfter", "is negative"}
	case o.RetryAfter == 0:
		o.RetryAfter = time.Second
	}
	o.Options = t.o
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{lane: lane, o: o}
	if p.o.ErrorHandler == nil {
		p.o.ErrorHandler = p.Error
	}
	p.rp = httputil.ReverseProxy{
		Transport:      t,
		Rewrite:        p.rewrite,
		ModifyResponse: p.modify,
		ErrorHandler:   p.o.ErrorHandler,
		ErrorLog:       slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	return p, nil
}

// ServeHTTP implements http.Handler. The zero Proxy answers 500.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.lane == nil {
		http.Error(w, "the proxy was not made by NewProxy", http.StatusInternalServerError)
		return
	}
	if hasBody(r) && r.ContentLength != 0 && p.o.Replay > 0 && !p.lane.Ready() && !awaitsContinue(r) {
		r = r.WithContext(r.Context()) // a copy: its body is another
		defer p.readAhead(w, r)()
	}
	p.rp.ServeHTTP(w, r)
}

func awaitsContinue(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// linger is how long a client may take to send on after it was answered.
const linger = 500 * time.Millisecond

// readAhead takes in what r's client sends while r is held, so that the server
// notices when the client goes away, and ends r's context. The goroutine that it
// starts has ended when join returns.
func (p *Proxy) readAhead(w http.ResponseWriter, r *http.Request) (join func()) {
	rec := newRecorder(r.Body, p.o.Replay)
	body, _ := rec.open()
	r.Body = body
	var wg sync.WaitGroup
	wg.Go(func() { rec.ahead() })
	return func() {
		if rec.halt() {
			// The answer came before the request had been sent. A client
			// that fails to write may never look at it, so it gets the time
			// to go on, as from net/http itself.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(linger))
		}
		wg.Wait()
	}
}

// rewrite is the proxy's own part of Rewrite.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	strip(pr.Out.Header)
	strip(pr.Out.Trailer)
	pr.SetXForwarded()
	if p.o.Rewrite != nil {
		p.o.Rewrite(pr)
	}
}

// modify is the proxy's own part of ModifyResponse.
func (p *Proxy) modify(resp *http.Response) error {
	strip(resp.Header)
	if p.o.ModifyResponse == nil {
		return nil
	}
	err := p.o.ModifyResponse(resp)
	if leadership.NotExecuted(err) {
		// The leader has answered: the proof is about another call.
		err = &LostError{Err: err}
	}
	return err
}

// strip removes the headers that are between a proxy and a leader.
func strip(h http.Header) {
	for _, k := range []string{TermHeader, LeaderHeader, RefusalHeader} {
		delete(h, k)
	}
}

// Error answers a request that failed with err: with 503, Retry-After and a
// RefusalHeader when err proves that it was not executed, so that a router in
// front of this one may send it again; with 502 and neither when it does not.
func (p *Proxy) Error(w http.ResponseWriter, _ *http.Request, err error) {
	strip(w.Header())
	if !leadership.NotExecuted(err) {
		http.Error(w, "the request was sent and no answer came; it may have been executed", http.StatusBadGateway)
		return
	}
	var lead leadership.Leadership
	if p.lane != nil {
		lead, _ = p.lane.Leader()
	}
	writeRefusal(w, &leadership.Refusal{Term: lead.Term, Reason: reason(err), RetryAfter: p.o.RetryAfter})
}

// reason says to a client what became of its request, and nothing of what is
// behind the proxy.
func reason(err error) string {
	var (
		full   *buffer.OverflowError
		outage *buffer.OutageError
		age    *buffer.AgeError
		over   *buffer.ClosedError
		gone   *ReplayError
	)
	switch {
	case errors.As(err, &full):
		return "too many requests are held"
	case errors.As(err, &outage), errors.As(err, &age):
		return "no leader took the request in time"
	case errors.As(err, &over):
		return "the proxy is closed"
	case errors.As(err, &gone):
		return "the leader has changed while the request was sent"
	}
	return "the request was not sent"
}
