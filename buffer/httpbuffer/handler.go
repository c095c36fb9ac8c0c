package httpbuffer

import (
	"net/http"

	"github.com/tenure-go/tenure/leadership"
)

// Handler is the server's side of TermHeader and LeaderHeader: it lets next
// answer the requests that are meant for the leadership being served, says so
// in LeaderHeader, and refuses those that are meant for another one.
//
// serving is asked once per request, from any goroutine, and must not block;
// the zero Leadership means that this server does not lead, and so does a nil
// serving. A nil next answers 500. A request without a TermHeader is let through;
// one whose TermHeader cannot be read, or is there twice, is refused with 400.
//
// Handler belongs inside the gate that a change of leader drains, as in
//
//	lameduck.Handler(gate, httpbuffer.Handler(serving, app))
//
// so that a request which has passed here is one that the drain waits for. The
// other way round the gate's own refusals would carry LeaderHeader and prove
// nothing.
//
// LeaderHeader marks what was executed, so a RefusalHeader that next passes on
// from somebody else is no proof to a Transport.
func Handler(serving func() leadership.Leadership, next http.Handler) http.Handler {
	if serving == nil {
		serving = func() leadership.Leadership { return leadership.Leadership{} }
	}
	if next == nil {
		next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "there is no handler", http.StatusInternalServerError)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cur := serving()
		if text, ok := r.Header[TermHeader]; ok {
			asked, err := leadership.ParseTerm(r.Header.Get(TermHeader))
			if err != nil || len(text) != 1 {
				http.Error(w, "bad "+TermHeader, http.StatusBadRequest)
				return
			}
			if asked != cur.Term {
				refuse := &leadership.Refusal{Term: cur.Term, Until: asked, Reason: "the request is meant for term " + asked.String()}
				if asked.Less(cur.Term) {
					refuse.Until, refuse.Leader = cur.Term, cur.Leader
				}
				writeRefusal(w, refuse)
				return
			}
		}
		if !cur.IsZero() {
			w.Header()[LeaderHeader] = []string{cur.String()}
		}
		next.ServeHTTP(w, r)
	})
}
