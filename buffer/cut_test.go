package buffer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A gate in front of a router cuts a request that the leader executes. net/http
// reports that by the cause of the context.
func TestG9_ARequestCutByAGateInFrontIsNotTakenForRefusedByTheLeader(t *testing.T) {
	t.Parallel()
	executes := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		executes <- struct{}{}
		<-r.Context().Done()
	}))
	defer srv.Close()
	b, err := buffer.New(buffer.Config{})
	require.NoError(t, err)
	defer b.Close()
	lane := b.Lane("k")
	lane.Observe(routed(1, lead("n1", 1)))
	gate, err := lameduck.New(lameduck.Options{Term: term(7)})
	require.NoError(t, err)
	tok, err := gate.Enter(lameduck.Single)
	require.NoError(t, err)
	ctx := tok.Context(t.Context())
	done := make(chan error, 1)
	go func() {
		defer tok.Exit()
		done <- lane.Do(ctx, buffer.Request{}, func(ctx context.Context, _ leadership.Leadership, _ string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, nil)
			if err != nil {
				return err
			}
			resp, err := srv.Client().Do(req)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		})
	}()
	<-executes
	_, err = gate.Drain(t.Context(), lameduck.Plan{Cancel: time.Minute, RetryAfter: time.Hour})
	require.NoError(t, err)
	err = <-done
	require.Error(t, err)
	require.False(t, leadership.NotExecuted(err), err)
	require.Equal(t, buffer.MaybeExecuted, buffer.Classify(err))
	require.Equal(t, buffer.Serving, lane.Snapshot().State, "the leader has refused nothing")
}
