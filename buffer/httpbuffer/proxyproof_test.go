package httpbuffer_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// proofs are errors that are proof of something else than the request at hand:
// another service, or a gate in front of the client, said them of another call.
func proofs() map[string]error {
	refusal := &leadership.Refusal{Term: term(1), Until: term(2)}
	return map[string]error{
		"a refusal":              refusal,
		"a refusal, wrapped":     fmt.Errorf("audit: %w", refusal),
		"a stale term":           &leadership.StaleTermError{Asked: term(1), Promised: term(2)},
		"a full lane":            &buffer.OverflowError{},
		"what could not be sent": buffer.NotSent(errors.New("audit")),
	}
}

// The leader has executed a request whose response ModifyResponse fails. A proxy
// in front of this one must not be told otherwise: it would send again.
func TestG9_AnAnswerThatCannotBePassedOnWasExecuted(t *testing.T) {
	t.Parallel()
	for name, cause := range proofs() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				var executed, audits counter
				w.serve("n1:80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { executed.add() }))
				w.lane.Observe(routed(1, lead("n1", 1)))
				w.proxy(httpbuffer.ProxyOptions{ModifyResponse: func(*http.Response) error {
					if audits.add() == 1 {
						return cause
					}
					return nil
				}})
				outer := newWorld(t, buffer.Config{})
				outer.base.DialContext = w.net.dial
				outer.lane.Observe(routed(1, lead("proxy", 1)))
				r := <-do(outer.transport(httpbuffer.Options{}), request(t, "POST", nil))
				require.NoError(t, r.err)
				require.Equal(t, http.StatusBadGateway, r.resp.StatusCode)
				require.Empty(t, r.resp.Header.Get(httpbuffer.RefusalHeader))
				require.Equal(t, 1, executed.get())
				require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
			})
		})
	}
}

// The host's own handler of errors sees what failed, and is not misled.
func TestG9_AHandlerOfErrorsIsNotToldThatAnAnsweredRequestWasNotExecuted(t *testing.T) {
	t.Parallel()
	for name, cause := range proofs() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				w.serve("n1:80", echo("n1"))
				w.lane.Observe(routed(1, lead("n1", 1)))
				errs := make(chan error, 1)
				client := w.proxy(httpbuffer.ProxyOptions{
					ModifyResponse: func(*http.Response) error { return cause },
					ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { errs <- err },
				})
				require.NoError(t, (<-do(client, inbound(t, "GET", nil))).err)
				err := <-errs
				require.ErrorIs(t, err, cause)
				require.False(t, leadership.NotExecuted(err))
			})
		})
	}
}
