package measure_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
)

func TestQuantilesAndRatiosAreThoseOfTheRounds(t *testing.T) {
	t.Parallel()
	v := measure.Timing{5, 1, 4, 2, 3}
	if m := v.Median(); m != 3 {
		t.Errorf("median %v", m)
	}
	if q := measure.Quantile(v, 0.99); q != 5 {
		t.Errorf("99th percentile %v", q)
	}
	if v[0] != 5 {
		t.Error("the rounds were put into another order")
	}
	if !math.IsNaN(measure.Quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
	// Of the medians it would be 2: a slow round must not pair with a fast one.
	if r := (measure.Timing{10, 2, 30}).Over(measure.Timing{10, 1, 10}); r != 2 {
		t.Errorf("ratio %v", r)
	}
	if r := (measure.Timing{10, 3, 40}).Over(measure.Timing{100, 1, 10}); r != 3 {
		t.Errorf("ratio %v", r)
	}
	above := (measure.Timing{5, 1}).Less(measure.Timing{3, 2})
	if len(above) != 2 || above[0] != 2 || above[1] != 0 {
		t.Errorf("above the floor %v", above)
	}
}

func TestSidesAreMeasuredInTurns(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		const slow = 20
		var work measure.Line
		times := func(k int) func(int) {
			return func(n int) {
				for range n * k {
					work.N.Add(1)
				}
			}
		}
		took := measure.PerOp(5, workers, time.Millisecond, measure.Same("one", times(1)), measure.Same("many", times(slow)))
		if len(took) != 2 || len(took[0]) != 5 || len(took[1]) != 5 {
			t.Fatalf("%d workers: %v", workers, took)
		}
		if r := took[1].Over(took[0]); workers == 1 && r < slow/4 {
			t.Errorf("%d times the work takes %v times as long", slow, r)
		}
	}
}

func TestAnEpisodeEndsAsItShould(t *testing.T) {
	t.Parallel()
	const n = 50
	p := measure.NewParked(n)
	for _, how := range []measure.How{{}, {Cancel: true}, {Live: true}, {Warm: true}} {
		e, err := measure.Run(p, n, how)
		if err != nil {
			t.Fatalf("%+v: %v", how, err)
		}
		if e.Hold < 0 || e.End < 0 || e.Mallocs < 0 {
			t.Errorf("%+v: %+v", how, e)
		}
	}
	if _, err := measure.WarmMallocs(p, n); err != nil {
		t.Error(err)
	}
}

// failing lets each of its requests fail.
type failing struct{ *measure.Parked }

func (f failing) Call(ctx context.Context, i int) error {
	_ = f.Parked.Call(ctx, i)
	return errors.New("lost")
}

func TestAnEpisodeInWhichRequestsFailIsNotMeasured(t *testing.T) {
	t.Parallel()
	_, err := measure.Run(failing{measure.NewParked(3)}, 3, measure.How{})
	if err == nil || !strings.Contains(err.Error(), "3 of 3") {
		t.Errorf("got %v", err)
	}
}
