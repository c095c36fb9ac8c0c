package lameduck

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// RefusalHeader carries a *leadership.Refusal, in its text form, on the 503
// that Middleware answers with. On a 503 it proves that the request was not
// executed.
//
// It is a proof only from a server that is trusted to tell the truth about the
// very request it answers. A server that passes on responses of others to
// requests of its own making (a backend that called another service, then
// copies that one's response) must remove the field from them, or it claims
// that its own request was not executed; a proxy must remove it from responses
// of backends that it does not trust, and may pass it on only for a request
// that it sent to one backend, once:
//
//	proxy.ModifyResponse = func(resp *http.Response) error {
//		resp.Header.Del(lameduck.RefusalHeader)
//		return nil
//	}
const RefusalHeader = "Tenure-Refusal"

// RefusalOf returns the refusal that a response carries: a 503 with exactly one
// well-formed RefusalHeader. Anything else, a bare 503 included, proves
// nothing, and neither does a request that got no response. The body is not
// touched. For who must be trusted see RefusalHeader.
func RefusalOf(resp *http.Response) (*leadership.Refusal, bool) {
	if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		return nil, false
	}
	values := resp.Header.Values(RefusalHeader)
	if len(values) != 1 {
		return nil, false
	}
	r := new(leadership.Refusal)
	if err := r.UnmarshalText([]byte(values[0])); err != nil {
		return nil, false
	}
	return r, true
}

// refuse answers a request that was not admitted.
func refuse(w http.ResponseWriter, err error) {
	h, code := w.Header(), http.StatusServiceUnavailable
	h.Set("Connection", "close")
	var r *leadership.Refusal
	var kind *KindError
	var option *OptionError
	switch {
	case errors.As(err, &r):
		if text, terr := r.MarshalText(); terr == nil {
			h.Set(RefusalHeader, string(text))
		}
		if r.RetryAfter > 0 {
			whole := (r.RetryAfter-1)/time.Second + 1
			h.Set("Retry-After", strconv.FormatInt(int64(whole), 10))
		}
	case errors.As(err, &kind), errors.As(err, &option):
		code = http.StatusInternalServerError
	}
	http.Error(w, err.Error(), code)
}
