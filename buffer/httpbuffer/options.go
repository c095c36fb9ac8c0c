package httpbuffer

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// The headers by which routers and servers understand each other.
const (
	// TermHeader carries, on a request, the term of the leadership that it is
	// meant for, so that a server which serves another can refuse it.
	TermHeader = "Tenure-Term"
	// LeaderHeader carries, on a response, the leadership that executed the
	// request, as "n1@7.c1".
	LeaderHeader = "Tenure-Leader"
	// RefusalHeader carries, on a 503, a *leadership.Refusal in its text form.
	// Its presence proves that the request was not executed. Package lameduck
	// writes the same header.
	RefusalHeader = "Tenure-Refusal"
)

// defaultReplay is how much of a body is kept when Options does not say.
const defaultReplay = 64 << 10

// Options of a Transport. The zero value is usable and means what is stated at
// each field.
type Options struct {
	// Base sends the requests. nil means http.DefaultTransport. It should be
	// an *http.Transport, or wrap one and hand the request's context down: what
	// left is known from net/http/httptrace, and a base that calls none of its
	// hooks gets its requests replayed on refusals only. MaxIdleConnsPerHost
	// of the default is 2, which is little for a router.
	Base http.RoundTripper
	// URL returns where a leadership is reached: scheme and host are used, the
	// rest of the request's URL stays. addr is the lane's, empty when only the
	// leader's name is known. An error means that nobody knows yet: the request
	// is tried again with back-off. nil means "http://" + addr.
	URL func(to leadership.Leadership, addr string) (*url.URL, error)
	// Unit says which requests are units, see buffer.Request. nil means those
	// that ask for an upgrade of the connection, and CONNECT.
	Unit func(*http.Request) bool
	// Idempotent says which requests may be sent again when it is not known
	// whether they were executed. nil means the rule of net/http itself: GET,
	// HEAD, OPTIONS, TRACE, and any with an Idempotency-Key or
	// X-Idempotency-Key header. http.Transport applies its own rule below in
	// any case. The method and the headers only may be looked at.
	Idempotent func(*http.Request) bool
	// Replay is how many bytes of a body without GetBody are kept while they
	// are sent, so that a request which was refused half way can be sent
	// again. 0 means 64 KiB; negative keeps nothing, and then only a request
	// whose body is untouched is sent again.
	Replay int

	_ struct{}
}

func (o Options) withDefaults() Options {
	if o.Base == nil {
		o.Base = http.DefaultTransport
	}
	if o.URL == nil {
		o.URL = addrURL
	}
	if o.Unit == nil {
		o.Unit = asksUpgrade
	}
	if o.Idempotent == nil {
		o.Idempotent = isIdempotent
	}
	switch {
	case o.Replay == 0:
		o.Replay = defaultReplay
	case o.Replay < 0:
		o.Replay = 0
	}
	return o
}

var errNoAddr = errors.New("no address is known")

// addrURL is the default of Options.URL.
func addrURL(_ leadership.Leadership, addr string) (*url.URL, error) {
	if addr == "" {
		return nil, errNoAddr
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "http", Host: addr}, nil
}

func asksUpgrade(r *http.Request) bool {
	return r.Method == http.MethodConnect || r.Header.Get("Upgrade") != ""
}

// isIdempotent is the rule of net/http's Request.isReplayable, its condition
// on the body aside.
func isIdempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := r.Header["Idempotency-Key"]
	_, xkey := r.Header["X-Idempotency-Key"]
	return key || xkey
}

// describe returns what the lane has to know of a request. Bytes is what the
// transport may keep for it: its headers, and of its body what Replay allows.
func (o *Options) describe(r *http.Request) buffer.Request {
	n := int64(len(r.Method) + len(r.URL.Path) + len(r.URL.RawQuery))
	for k, vs := range r.Header {
		for _, v := range vs {
			n += int64(len(k) + len(v))
		}
	}
	switch {
	case !hasBody(r):
	case r.ContentLength < 0:
		n += int64(o.Replay)
	default:
		n += min(r.ContentLength, int64(o.Replay))
	}
	return buffer.Request{Bytes: n, Unit: o.Unit(r), Idempotent: o.Idempotent(r)}
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// parseLeadership is the inverse of leadership.Leadership.String.
func parseLeadership(s string) (leadership.Leadership, bool) {
	id, term, ok := strings.Cut(s, "@")
	if !ok {
		return leadership.Leadership{}, false
	}
	l := leadership.Leadership{Leader: leadership.NodeID(id)}
	var err error
	if l.Term, err = leadership.ParseTerm(term); err != nil || l.Term.IsZero() || l.Leader.Validate() != nil {
		return leadership.Leadership{}, false
	}
	return l, true
}
