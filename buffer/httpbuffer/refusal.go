package httpbuffer

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// refusalOf returns the refusal that a response is, nil when it is none. A
// response with a LeaderHeader was executed, whatever headers of others it
// passes on.
func refusalOf(resp *http.Response) *leadership.Refusal {
	vs := resp.Header[RefusalHeader]
	if resp.StatusCode != http.StatusServiceUnavailable || len(vs) != 1 || len(resp.Header[LeaderHeader]) > 0 {
		return nil
	}
	var r leadership.Refusal
	if r.UnmarshalText([]byte(vs[0])) != nil {
		return nil
	}
	return &r
}

// writeRefusal answers a request that was not executed.
func writeRefusal(w http.ResponseWriter, r *leadership.Refusal) {
	h := w.Header()
	if text, err := r.MarshalText(); err == nil {
		h[RefusalHeader] = []string{string(text)}
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((r.RetryAfter-1)/time.Second+1), 10))
	}
	http.Error(w, r.Error(), http.StatusServiceUnavailable)
}

// discard reads what little a refusal says, so that its connection can be used
// again, and closes it.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}

// streamError has the shape of golang.org/x/net/http2.StreamError, to which
// net/http converts its own.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "stream error" }

// isRefusedStream reports whether the server refused an HTTP/2 stream, which
// says that nothing of the request was processed (RFC 9113, section 8.7).
func isRefusedStream(err error) bool {
	const refusedStream = 7
	var se streamError
	return errors.As(err, &se) && se.Code == refusedStream
}

func cloneURL(u *url.URL) *url.URL {
	c := *u
	return &c
}
