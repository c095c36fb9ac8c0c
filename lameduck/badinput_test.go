package lameduck_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// bad draws a plan that contradicts itself as often as not.
func bad(t *rapid.T) lameduck.Plan {
	d := rapid.OneOf(
		rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second}),
		rapid.SampledFrom([]time.Duration{-1, math.MinInt64, math.MaxInt64, time.Hour}),
	)
	return lameduck.Plan{
		Announce: d.Draw(t, "announce"), Units: d.Draw(t, "units"), All: d.Draw(t, "all"), Cancel: d.Draw(t, "cancel"),
		Spread: d.Draw(t, "spread"), Hooks: d.Draw(t, "hooks"), RetryAfter: d.Draw(t, "retry"), Expire: d.Draw(t, "expire"),
		Until: rapid.SampledFrom([]leadership.Term{{}, term(1), term(5), term(9), {Num: 1}, {Proposer: "p"},
			{Num: math.MaxUint64, Proposer: "p"}}).Draw(t, "until"),
		Leader:    rapid.SampledFrom([]leadership.NodeID{"", "n2", "no spaces please", "\x00"}).Draw(t, "leader"),
		Survivors: rapid.SampledFrom([]int{0, -1, math.MinInt, math.MaxInt, 1}).Draw(t, "survivors"),
	}
}

// Whatever comes in: a typed error that proves that nothing was touched, or
// it is done; and never a count that nobody made.
func TestG10_WhateverComesInGetsATypedErrorOrIsDone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			g, err := lameduck.New(lameduck.Options{Term: term(5)})
			if err != nil {
				t.Fatal(err)
			}
			var toks []lameduck.Token
			t.Repeat(map[string]func(*rapid.T){
				"enter": func(t *rapid.T) {
					k := lameduck.Kind(rapid.Uint8().Draw(t, "kind"))
					tok, err := g.Enter(k)
					if errors.As(err, new(*lameduck.KindError)) != (k > lameduck.Stream) {
						t.Fatalf("enter %s: %v", k, err)
					}
					toks = append(toks, tok) // the zero token too
				},
				"continue": func(t *rapid.T) {
					tok, err := toks[pick(t, toks)].Continue()
					if err == nil {
						toks = append(toks, tok)
					}
				},
				"context": func(t *rapid.T) {
					var none context.Context
					_ = toks[pick(t, toks)].Context(none).Err()
				},
				"exit": func(t *rapid.T) {
					i := pick(t, toks)
					toks[i].Exit()
					toks[i].Exit()
				},
				"drain": func(t *rapid.T) {
					before := g.State()
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					defer cancel()
					p := bad(t)
					rep, err := g.Drain(ctx, p)
					switch {
					case err == nil, errors.As(err, new(*lameduck.ForcedError)):
						if !rep.Phase.Ended() {
							t.Fatalf("%v at the end of %+v", rep.Phase, p)
						}
					case errors.As(err, new(*lameduck.PlanError)), errors.As(err, new(*lameduck.DeadlineError)),
						errors.As(err, new(*lameduck.PhaseError)):
						if after := g.State(); !leadership.NotExecuted(err) || after != before {
							t.Fatalf("%v, but %+v became %+v", err, before, after)
						}
					default:
						t.Fatalf("%+v: %v", p, err)
					}
				},
				"serve": func(t *rapid.T) { known(t, g.Serve(bad(t).Until)) },
				"seal":  func(t *rapid.T) { known(t, g.Seal(bad(t).Until)) },
				"resume": func(t *rapid.T) {
					if err := g.Resume(); err != nil && !errors.Is(err, lameduck.ErrTooLate) {
						t.Fatal(err)
					}
				},
				"": func(t *rapid.T) {
					synctest.Wait()
					if n := g.InFlight(); n.Active < 0 || n.Active > len(toks) || n.Units > len(toks) || n.Streams > len(toks) {
						t.Fatalf("%d tokens, %+v", len(toks), n)
					}
				},
			})
			for i := range toks {
				toks[i].Exit()
			}
			if n := g.InFlight(); n != (lameduck.Counts{}) {
				t.Fatalf("all have left, and still %+v", n)
			}
		})
	})
}

func known(t *rapid.T, err error) {
	if err != nil && !errors.As(err, new(*leadership.TermError)) && !errors.As(err, new(*lameduck.TermOrderError)) &&
		!errors.As(err, new(*lameduck.PhaseError)) {
		t.Fatalf("an error of no known type: %v", err)
	}
}
