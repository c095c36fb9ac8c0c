package httpbuffer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// Transport is an http.RoundTripper that sends each request to the leader of a
// lane and holds it while there is none. Make one with New; it is safe for
// concurrent use. The zero Transport sends nothing: it returns *RequestError.
type Transport struct {
	lane *buffer.Lane
	o    Options
}

// New returns a transport for the requests of one lane, or a *ConfigError when
// lane is nil.
func New(lane *buffer.Lane, o Options) (*Transport, error) {
	if lane == nil {
		return nil, &ConfigError{"lane", "is nil"}
	}
	return &Transport{lane: lane, o: o.withDefaults()}, nil
}

// CloseIdleConnections closes those of the base, if it knows how.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.o.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends req to the leader of the lane, in the scheme and at the host
// of Options.URL, and returns the response as the leader gave it. Neither the
// request's headers nor its URL's path are changed, but for TermHeader, and the
// Host header is req.Host if that is set.
//
// A request that is held waits in the caller's goroutine with its body
// untouched. It is sent again only when
//
//   - it was refused: a 503 with a single, well-formed RefusalHeader and
//     without a LeaderHeader. A bare 503 is a response like any other;
//   - it never got a connection, as after a failed dial;
//   - or it got lost before the first byte of an answer and is idempotent;
//
// and when its body is untouched, was kept whole (Options.Replay), or can be
// had anew (GetBody).
//
// Errors: those of buffer.Lane.Enter; a *LostError when it is not known whether
// the request was executed; a *ReplayError when its body is gone;
// a *RequestError; and what the base says of a request that it cannot send. An
// error satisfies leadership.NotExecuted when it is proven that the request
// was not executed. When the request's context ends it returns at once while
// the request is held; then the request is forgotten. While it is being sent,
// that is the base's to notice, which may return the context's cause. Should the
// cause say that something else was not executed, as the refusal of a gate in
// front of the client does, then errors.Is finds it in the error, and in one of
// the response's body, but errors.As does not, and it proves nothing.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req == nil {
		return nil, &RequestError{"there is no request"}
	}
	c := call{t: t, req: req}
	switch {
	case t.lane == nil:
		c.closeBody()
		return nil, &RequestError{"the transport was not made by New"}
	case req.URL == nil:
		c.closeBody()
		return nil, &RequestError{"the request has no URL"}
	}
	if hasBody(req) && req.GetBody == nil {
		c.rec = newRecorder(req.Body, t.o.Replay)
	}
	turn, err := t.lane.Enter(req.Context(), t.o.describe(req))
	if err != nil {
		c.closeBody()
		return nil, err
	}
	resp, err := c.run(req.Context(), &turn)
	if err != nil {
		c.closeBody()
		if c.lost && leadership.NotExecuted(err) {
			err = &LostError{Err: err}
		}
		return nil, err
	}
	turn.Answered()
	return answer(resp, turn), nil
}

// run sends the request until it is answered, or the turn is over.
func (c *call) run(ctx context.Context, turn *buffer.Turn) (*http.Response, error) {
	ended := false
	defer func() {
		if !ended { // the base panicked, or a function of the options
			turn.Done(&LostError{Err: errPanic})
			c.closeBody()
		}
	}()
	for {
		resp, err := c.try(ctx, turn.To(), turn.Addr())
		if err == nil {
			ended = true
			return resp, nil
		}
		if c.stop {
			turn.Done(err)
		} else {
			err = turn.Retry(ctx, err)
		}
		if err != nil {
			ended = true
			return nil, err
		}
	}
}

var errPanic = errors.New("httpbuffer: a panic")

// call is one RoundTrip.
type call struct {
	t    *Transport
	req  *http.Request
	rec  *recorder // nil for no body, and for one that has GetBody
	used bool      // the base has closed req.Body, or will
	lost bool      // some try may have been executed
	stop bool      // no other try may follow
}

// closeBody closes the request's body, as every RoundTripper must.
func (c *call) closeBody() {
	switch {
	case c.rec != nil:
		c.rec.end()
	case c.req.Body != nil && !c.used:
		c.used = true
		_ = c.req.Body.Close()
	}
}

// try sends the request once.
func (c *call) try(ctx context.Context, to leadership.Leadership, addr string) (*http.Response, error) {
	u, err := c.t.o.URL(to, addr)
	if err == nil && (u == nil || u.Host == "") {
		err = errNoAddr
	}
	if err != nil {
		return nil, buffer.NotSent(&TargetError{To: to, Addr: addr, Err: mute(err)})
	}
	var w wire
	out := c.req.WithContext(httptrace.WithClientTrace(ctx, w.trace()))
	out.URL = cloneURL(c.req.URL)
	out.URL.Scheme, out.URL.Host = u.Scheme, u.Host
	out.Header = c.req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set(TermHeader, to.Term.String())
	if err := c.body(out); err != nil {
		c.stop = true
		return nil, err
	}
	resp, err := c.t.o.Base.RoundTrip(out)
	if err != nil {
		return nil, c.failed(ctx, &w, err)
	}
	if r := refusalOf(resp); r != nil {
		discard(resp.Body)
		return nil, c.refused(&w, out, resp.ProtoMajor, r)
	}
	c.learn(addr, resp)
	if c.rec != nil {
		c.rec.settle()
	}
	resp.Request = c.req
	return resp, nil
}

// body gives out a body to send.
func (c *call) body(out *http.Request) error {
	switch {
	case c.rec != nil:
		open := func() (io.ReadCloser, error) {
			if a, ok := c.rec.open(); ok {
				return a, nil
			}
			return nil, errBodyGone
		}
		b, err := open()
		// The base may need a second one, for a connection that turns out to
		// be dead before anything was written to it.
		out.Body, out.GetBody = b, open
		return err
	case !hasBody(c.req):
	case !c.used:
		c.used = true
	default:
		b, err := c.req.GetBody()
		if err != nil {
			return buffer.NotSent(mute(err))
		}
		out.Body = b
	}
	return nil
}

var errBodyGone = errors.New("httpbuffer: the body is gone")

// refused says what a refusal proves. Of the tries that the base made by itself
// before the one that was refused it says nothing, so these must be known to
// have written nothing: over HTTP/1 net/http sends again what was written only
// if it takes it for idempotent, over HTTP/2 what it is not sure of as well.
func (c *call) refused(w *wire, out *http.Request, proto int, r *leadership.Refusal) error {
	if w.conns.Load() > 1 && (proto != 1 || isIdempotent(out)) {
		c.lost = true
		if !c.t.o.Idempotent(c.req) {
			c.stop = true
			return &LostError{Err: r}
		}
	}
	return c.again(r)
}

// failed says what an error of the base proves. The leader's word is a response
// only, so an error that refuses comes from somebody else, as does any that may
// be the cause of the request's context.
func (c *call) failed(ctx context.Context, w *wire, err error) error {
	conns, end := w.conns.Load(), ctx.Err()
	if speaks(context.Cause(ctx)) || refuses(err) {
		err = mute(err)
	}
	switch {
	case conns == 0 && w.asked.Load():
		// It waited for a connection, or dialled, and got none.
		return c.again(buffer.NotSent(err))
	case conns == 0:
		// The base found fault with it, or tells nothing.
		c.stop = true
		if end != nil && !errors.Is(err, end) {
			err = fmt.Errorf("%w: %w", end, err)
		}
		return err
	}
	c.lost = true
	err = &LostError{Err: err}
	if w.answered.Load() || errors.Is(err, errBodyGone) {
		c.stop = true
		return err
	}
	if c.t.o.Idempotent(c.req) {
		return c.again(err)
	}
	return err
}

// again returns err, which lets the buffer send the request again, if its body
// allows that.
func (c *call) again(err error) error {
	if c.rec == nil || c.rec.replayable() {
		return err
	}
	c.stop = true
	return &ReplayError{Err: err}
}

// learn takes in who answered; the lane knows what is old. A response that names
// several leaders was put together from several, and is not listened to.
func (c *call) learn(addr string, resp *http.Response) {
	vs := resp.Header[LeaderHeader]
	if len(vs) != 1 {
		return
	}
	if l, ok := parseLeadership(vs[0]); ok {
		c.t.lane.Learn(l, addr)
	}
}

// wire is what is known of what left. Its fields are set by the goroutines of
// the base.
type wire struct {
	asked    atomic.Bool  // a connection was asked for
	conns    atomic.Int32 // connections that were had, one after the other
	answered atomic.Bool  // the first byte of an answer came
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { w.asked.Store(true) },
		GotConn:              func(httptrace.GotConnInfo) { w.conns.Add(1) },
		GotFirstResponseByte: func() { w.answered.Store(true) },
	}
}
