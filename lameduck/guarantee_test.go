package lameduck_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// The bubble fails if anything that Drain started outlives it.
func TestG8_DrainEndsWithItsContextAndNothingKeepsRunning(t *testing.T) {
	t.Parallel()
	for at := range 4 {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, lameduck.Options{})
			single, tok := enter(t, g, lameduck.Single), enter(t, g, lameduck.Unit)
			end := time.Duration(at)*time.Minute + time.Second
			ctx, cancel := context.WithCancel(t.Context())
			stop := time.AfterFunc(end, cancel)
			defer stop.Stop()
			began := time.Now()
			_, err := g.Drain(ctx, long)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, end, time.Since(began))
			require.True(t, g.State().Ready())
			single.Exit()
			tok.Exit()
		})
	}
}

func TestG10_BadInputIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	ended, cancelEnded := context.WithCancel(context.Background())
	cancelEnded()
	bg := context.Background()
	plan, deadline := new(*lameduck.PlanError), new(*lameduck.DeadlineError)
	for _, tc := range []struct {
		name string
		ctx  context.Context
		plan lameduck.Plan
		as   any
	}{
		{"no context", nil, lameduck.Plan{}, plan},
		{"negative announce", bg, lameduck.Plan{Announce: -1}, plan},
		{"negative units", bg, lameduck.Plan{Units: -1}, plan},
		{"negative grace", bg, lameduck.Plan{All: -1}, plan},
		{"negative cancel", bg, lameduck.Plan{Cancel: -1}, plan},
		{"negative retry", bg, lameduck.Plan{RetryAfter: -1}, plan},
		{"negative expiry", bg, lameduck.Plan{Expire: -1}, plan},
		{"bad term", bg, lameduck.Plan{Until: leadership.Term{Num: 1}}, plan},
		{"term below the one served", bg, lameduck.Plan{Until: term(4)}, plan},
		{"bad leader", bg, lameduck.Plan{Leader: "no spaces please"}, plan},
		{"sum above the deadline", short, lameduck.Plan{Announce: time.Second / 2, All: time.Second}, deadline},
		{"sum that overflows", short, lameduck.Plan{Units: math.MaxInt64, All: math.MaxInt64}, deadline},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGate(t, lameduck.Options{})
			changed := g.Changed()
			_, err := g.Drain(tc.ctx, tc.plan)
			require.ErrorAs(t, err, tc.as)
			require.True(t, leadership.NotExecuted(err))
			select {
			case <-changed:
				t.Fatal("touched")
			default:
			}
			tok := enter(t, g, lameduck.Unit)
			tok.Exit()
		})
	}
	g := newGate(t, lameduck.Options{})
	_, err := g.Drain(ended, lameduck.Plan{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = g.Enter(3)
	var kind *lameduck.KindError
	require.ErrorAs(t, err, &kind)
	_, err = g.Enter(200)
	require.ErrorAs(t, err, &kind)
	_, err = lameduck.New(lameduck.Options{Term: leadership.Term{Num: 1}})
	bad, order, phase := new(*leadership.TermError), new(*lameduck.TermOrderError), new(*lameduck.PhaseError)
	require.ErrorAs(t, err, bad)
	require.ErrorAs(t, g.Serve(leadership.Term{}), bad)
	require.ErrorAs(t, g.Seal(leadership.Term{}), bad)
	require.ErrorAs(t, g.Serve(term(5)), order)
	require.ErrorAs(t, g.Serve(term(4)), order)
	require.ErrorAs(t, g.Seal(term(6)), phase)
	require.Equal(t, term(5), g.State().Term)
	require.True(t, g.State().Ready())
}

func TestASealedGateOpensOnlyForAHigherTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		_, err := g.Drain(t.Context(), lameduck.Plan{Expire: time.Second})
		require.NoError(t, err)
		order := new(*lameduck.TermOrderError)
		require.ErrorAs(t, g.Seal(term(5)), order)
		require.NoError(t, g.Seal(term(7)))
		require.NoError(t, g.Seal(term(7)))
		require.ErrorAs(t, g.Seal(term(6)), order)
		time.Sleep(time.Hour)
		_, err = g.Enter(lameduck.Single)
		refusal := new(*leadership.Refusal)
		require.ErrorAs(t, err, refusal)
		require.Equal(t, term(7), (*refusal).Until)
		require.ErrorAs(t, g.Serve(term(6)), order)
		require.NoError(t, g.Serve(term(7)))
		tok := enter(t, g, lameduck.Single)
		tok.Exit()
	})
}

func TestADrainExpiresAtTheNodeByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		ch := g.Child("shard")
		_, err := g.Drain(t.Context(), lameduck.Plan{Expire: time.Second})
		require.NoError(t, err)
		time.Sleep(time.Second - time.Nanosecond)
		for _, each := range []*lameduck.Gate{g, ch} {
			_, err = each.Enter(lameduck.Single)
			require.Error(t, err)
		}
		time.Sleep(time.Nanosecond)
		tok := enter(t, ch, lameduck.Single)
		tok.Exit()
		require.True(t, g.State().Ready())
		require.ErrorAs(t, g.Seal(term(6)), new(*lameduck.PhaseError))
	})
}

// Whichever comes first, expiry or Seal: never both an admission and a seal.
func TestExpiryRacingSealNeverAdmitsIntoASealedGate(t *testing.T) {
	t.Parallel()
	var sealed, opened int
	for range 2000 {
		g := newGate(t, lameduck.Options{})
		_, err := g.Drain(context.Background(), lameduck.Plan{Expire: 3 * time.Microsecond})
		require.NoError(t, err)
		var wg sync.WaitGroup
		var admitted atomic.Int64
		for range 2 {
			wg.Go(func() {
				for range 40 {
					if _, err := g.Enter(lameduck.Single); err == nil {
						admitted.Add(1)
					}
				}
			})
		}
		err = g.Seal(term(6))
		wg.Wait()
		switch {
		case err == nil && admitted.Load() != 0:
			t.Fatal("admitted into a sealed gate")
		case err == nil:
			sealed++
		default:
			opened++
		}
	}
	t.Logf("sealed %d, expired %d", sealed, opened)
}

func TestAdmissionAndRefusalAllocateNothing(t *testing.T) {
	g := newGate(t, lameduck.Options{})
	unit := enter(t, g, lameduck.Unit)
	wide := newGate(t, lameduck.Options{})
	lameduck.Widen(wide)
	for name, f := range map[string]func(){
		"single at a gate that is wide": func() {
			tok, err := wide.Enter(lameduck.Single)
			require.NoError(t, err)
			tok.Exit()
		},
		"single": func() {
			tok, err := g.Enter(lameduck.Single)
			require.NoError(t, err)
			tok.Exit()
		},
		"unit": func() {
			tok, err := g.Enter(lameduck.Unit)
			require.NoError(t, err)
			tok.Exit()
		},
		"continuation": func() {
			tok, err := unit.Continue()
			require.NoError(t, err)
			tok.Exit()
		},
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	_, err := g.Drain(context.Background(), lameduck.Plan{})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, err := g.Enter(lameduck.Single)
		require.Error(t, err)
		_, err = unit.Continue()
		require.Error(t, err)
	}))
}

func TestHTTPReadinessFollowsStateAndRefusalsCarryTheirProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		get := func(h http.Handler) *http.Response {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/pay", nil))
			return rec.Result()
		}
		app := lameduck.Handler(g, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		require.Equal(t, http.StatusOK, get(lameduck.Readyz(g)).StatusCode)
		require.Equal(t, http.StatusNoContent, get(app).StatusCode)

		held := enter(t, g, lameduck.Single)
		out := drain(t.Context(), g, lameduck.Plan{Announce: time.Second, All: time.Minute, RetryAfter: 1500 * time.Millisecond})
		require.Equal(t, http.StatusServiceUnavailable, get(lameduck.Readyz(g)).StatusCode)
		require.Equal(t, http.StatusOK, get(lameduck.Livez(g)).StatusCode)
		res := get(app)
		require.Equal(t, http.StatusNoContent, res.StatusCode, "announced is not closed")
		require.Equal(t, "close", res.Header.Get("Connection"))

		time.Sleep(time.Second)
		synctest.Wait()
		res = get(app)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		require.Equal(t, "2", res.Header.Get("Retry-After"))
		var r leadership.Refusal
		require.NoError(t, r.UnmarshalText([]byte(res.Header.Get(lameduck.RefusalHeader))))
		require.Equal(t, term(5), r.Term)
		held.Exit()
		require.NoError(t, (<-out).err)
		require.NoError(t, g.Serve(term(6)))
		require.Equal(t, http.StatusOK, get(lameduck.Readyz(g)).StatusCode)
		require.Equal(t, http.StatusNoContent, get(app).StatusCode)
		require.Equal(t, lameduck.Counts{}, g.InFlight())
	})
}
