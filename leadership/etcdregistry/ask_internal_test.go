package etcdregistry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// What a call comes to, by what each of its requests came to. The last one goes on.
func TestACallIsOnlyRefusedWhenNoRequestOfItMayHaveBeenExecuted(t *testing.T) {
	t.Parallel()
	lost, denied, token := rpctypes.ErrTimeout, rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken
	for _, c := range []struct {
		name     string
		writes   bool
		requests []error
		want     string
		takes    time.Duration
	}{
		{"answered", true, []error{nil}, "done", 0},
		{"answered when asked again", true, []error{lost, nil}, "done, unsure", retryPause},
		{"read again", false, []error{lost, nil}, "done", retryPause},
		{"refused", true, []error{denied}, "refused", 0},
		{"refused after an answer was lost", true, []error{lost, denied}, "unknown", time.Second},
		{"a read refused after an answer was lost", false, []error{lost, denied}, "refused", retryPause},
		{"a token ended", true, []error{token, nil}, "done", retryPause},
		{"a token is never good", true, []error{token}, "refused", time.Second},
		{"an answer was lost while a token ended", true, []error{token, lost, token}, "unknown", time.Second},
		{"nobody answers a write", true, []error{lost}, "unknown", time.Second},
		{"nobody answers a read", false, []error{lost}, "unavailable", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := &Client{cfg: Config{Attempt: 100 * time.Millisecond, Patience: time.Second}}
				client.life, client.end = context.WithCancelCause(t.Context())
				defer client.end(nil)
				start, n := time.Now(), 0
				unsure, err := client.ask(t.Context(), "test", c.writes, func(context.Context) error {
					err := c.requests[min(n, len(c.requests)-1)]
					n++
					return err
				})
				got := "?"
				switch {
				case err == nil && unsure:
					got = "done, unsure"
				case err == nil:
					got = "done"
				case errors.Is(err, leadership.ErrUnknownOutcome) && !leadership.NotExecuted(err):
					got = "unknown"
				case errors.As(err, new(*RefusedError)) && leadership.NotExecuted(err):
					got = "refused"
				case errors.As(err, new(*UnavailableError)) && !leadership.NotExecuted(err):
					got = "unavailable"
				}
				if took := time.Since(start); got != c.want || took != c.takes {
					t.Errorf("%s after %s: %v, want %s after %s", got, took, err, c.want, c.takes)
				}
			})
		})
	}
}

// late is a context that ends after its deadline, as those of package context do when
// their timer is late.
type late struct {
	context.Context
	by time.Duration
}

func (l late) Deadline() (time.Time, bool) {
	d, ok := l.Context.Deadline()
	return d.Add(-l.by), ok
}

func TestACallSaysWhyItsContextEndedHoweverLateThatIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := &Client{cfg: Config{Attempt: 100 * time.Millisecond, Patience: time.Hour}}
		client.life, client.end = context.WithCancelCause(t.Context())
		defer client.end(nil)
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		_, err := client.ask(late{ctx, 30 * time.Millisecond}, "test", false, func(context.Context) error { return rpctypes.ErrTimeout })
		if !errors.Is(err, enough) {
			t.Errorf("%v", err)
		}
	})
}

func TestG8_ACallEndsWithItsContextAndWithItsClient(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"context", "client"} {
		synctest.Test(t, func(t *testing.T) {
			client := &Client{cfg: Config{Attempt: 100 * time.Millisecond, Patience: time.Hour}}
			client.life, client.end = context.WithCancelCause(t.Context())
			defer client.end(nil)
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := enough
			if how == "client" {
				why = leadership.ErrClosed
			}
			time.AfterFunc(time.Minute, func() {
				if how == "client" {
					client.end(leadership.ErrClosed)
				} else {
					cancel(enough)
				}
			})
			start := time.Now()
			_, err := client.ask(ctx, "test", true, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			if took := time.Since(start); took != time.Minute || !errors.Is(err, why) || !errors.Is(err, leadership.ErrUnknownOutcome) {
				t.Errorf("%s: %v after %s", how, err, took)
			}
			if how == "client" {
				ctx = t.Context()
			}
			unsure, err := client.ask(ctx, "test", true, func(context.Context) error { t.Error("sent"); return nil })
			if unsure || !errors.Is(err, why) || errors.Is(err, leadership.ErrUnknownOutcome) {
				t.Errorf("%s: %v of a call that was not made", how, err)
			}
		})
	}
}
