package lameduck_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A zero value does what it says or says so with a typed error.
func TestZeroValuesAndNilArgumentsAreUsableOrRefused(t *testing.T) {
	t.Parallel()
	var none context.Context
	background := context.Background()
	want := func(t *testing.T, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("got %v, not %v", got, want)
		}
	}
	option := func(t *testing.T, err error) {
		t.Helper()
		var o *lameduck.OptionError
		if !errors.As(err, &o) || !leadership.NotExecuted(err) {
			t.Errorf("got %v", err)
		}
	}
	status := func(t *testing.T, h http.Handler, code int) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/pay", nil))
		resp := w.Result()
		if _, proof := lameduck.RefusalOf(resp); resp.StatusCode != code || proof {
			t.Errorf("answered %d, proof %v", resp.StatusCode, proof)
		}
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Gate serves", func(t *testing.T) {
			var g lameduck.Gate
			tok, err := g.Enter(lameduck.Single)
			want(t, err, nil)
			tok.Exit()
			_, err = g.Drain(background, lameduck.Plan{})
			want(t, err, nil)
		}},
		{"Cell is closed", func(t *testing.T) {
			c := new(lameduck.Cell)
			for _, k := range []lameduck.Kind{lameduck.Single, lameduck.Unit, lameduck.Stream} {
				tok, err := c.Enter(k)
				want(t, err, lameduck.ErrCellClosed)
				tok.Exit()
				tok, err = c.EnterInfo(k, lameduck.Info{})
				want(t, err, lameduck.ErrCellClosed)
				tok.Exit()
			}
			want(t, c.Close(), nil)
			want(t, c.Close(), nil)
			_, err := c.Enter(lameduck.Single)
			want(t, err, lameduck.ErrCellClosed)
		}},
		{"Token is nobody's", func(t *testing.T) {
			var tok lameduck.Token
			if tok.Context(background) != background || tok.Context(none) == nil || tok.Draining() != nil {
				t.Error("it has a context or a notice of its own")
			}
			_, err := tok.Continue()
			want(t, err, lameduck.ErrNotUnit)
			tok.Exit()
		}},
		{"HTTPServer was not made", func(t *testing.T) {
			_, err := new(lameduck.HTTPServer).Run(background, nil, nil)
			option(t, err)
		}},
		{"nil arguments of a server", func(t *testing.T) {
			_, err := lameduck.NewHTTPServer(nil, &http.Server{}, lameduck.HTTPOptions{})
			option(t, err)
			_, err = lameduck.NewHTTPServer(new(lameduck.Gate), nil, lameduck.HTTPOptions{})
			option(t, err)
			s, err := lameduck.NewHTTPServer(new(lameduck.Gate), &http.Server{}, lameduck.HTTPOptions{})
			want(t, err, nil)
			_, err = s.Run(none, nil, nil)
			option(t, err)
			_, err = s.Run(background, nil, nil)
			option(t, err)
		}},
		{"nil arguments of a handler", func(t *testing.T) {
			g, ok := new(lameduck.Gate), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			status(t, lameduck.Handler(g, ok), http.StatusOK)
			status(t, lameduck.Handler(nil, ok), http.StatusInternalServerError)
			status(t, lameduck.Handler(g, nil), http.StatusInternalServerError)
			status(t, lameduck.Readyz(nil), http.StatusInternalServerError)
			status(t, lameduck.Livez(nil), http.StatusInternalServerError)
			if lameduck.Draining(none) != nil || lameduck.Draining(background) != nil {
				t.Error("a notice of nobody's")
			}
			if _, ok := lameduck.RefusalOf(nil); ok {
				t.Error("no response is no refusal")
			}
		}},
		{"nil context and nil function of the others", func(t *testing.T) {
			var p *lameduck.PlanError
			if _, err := new(lameduck.Gate).Drain(none, lameduck.Plan{}); !errors.As(err, &p) {
				t.Errorf("got %v", err)
			}
			want(t, lameduck.OnSignal(none, nil), nil)
			option(t, lameduck.OnSignal(none, func(context.Context, <-chan struct{}) error { return nil }))
		}},
		{"errors and reports", func(t *testing.T) {
			for _, err := range []error{
				new(lameduck.BrokenOffError), new(lameduck.CancelledError), new(lameduck.CapacityError), new(lameduck.DeadlineError), new(lameduck.ForcedError),
				new(lameduck.KindError), new(lameduck.OptionError), new(lameduck.PhaseError), new(lameduck.PlanError),
				new(lameduck.RestartUnitError), new(lameduck.SignalError), new(lameduck.TermOrderError), new(lameduck.UnitCutError),
			} {
				var r *leadership.Refusal
				if err.Error() == "" || errors.As(err, &r) {
					t.Errorf("%T: %q, refusal %v", err, err, r)
				}
			}
			if (lameduck.Report{}).String() == "" {
				t.Error("no text")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
