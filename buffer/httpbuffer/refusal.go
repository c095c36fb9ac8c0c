package httpbuffer

import (
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

func cloneURL(u *url.URL) *url.URL {
	c := *u
	return &c
}
