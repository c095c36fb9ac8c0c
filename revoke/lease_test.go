package revoke_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

type lessorFunc func(ctx context.Context, t leadership.Term, leader leadership.NodeID) (time.Duration, error)

func (f lessorFunc) Expire(ctx context.Context, t leadership.Term, leader leadership.NodeID) (time.Duration, error) {
	return f(ctx, t, leader)
}

func rat(f float64) *big.Rat { return new(big.Rat).SetFloat64(f) }

func ratInt(d time.Duration) *big.Rat { return new(big.Rat).SetInt64(int64(d)) }

// rate draws the real rate of a clock whose error is at most rho.
func rate(t *rapid.T, rho float64, name string) *big.Rat {
	r := new(big.Rat).Mul(rat(rapid.Float64Range(-1, 1).Draw(t, name)), rat(rho))
	return r.Add(r, big.NewRat(1, 1))
}

// For every lease, grant, moment of asking and clock rates within rho: when we
// stop waiting, the lease is over on the leader's own clock. Exact arithmetic.
func TestG1_ALeaseIsOverOnTheLeadersOwnClockBeforeWeStopWaiting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rho := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, 0.01), rapid.Float64Range(0, 0.9)).Draw(t, "rho")
		length := time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "length"))
		leader, lessor, own := rate(t, rho, "leader"), rate(t, rho, "lessor"), rate(t, rho, "own")

		// The leader sent its renewal at 0 and it was granted at once: the
		// worst case. It stops when its clock shows length.
		stops := new(big.Rat).Quo(ratInt(length), leader)

		counts, err := revoke.LeaseWait(length, rho)
		if err != nil {
			t.Fatal(err)
		}
		// The lessor is asked when its clock shows passed, and answers what
		// is left of its own count.
		passed := time.Duration(rapid.Int64Range(0, int64(counts)).Draw(t, "passed"))
		wait, err := revoke.LeaseWait(counts-passed, rho)
		if err != nil {
			t.Fatal(err)
		}
		over := new(big.Rat).Quo(ratInt(passed), lessor)
		over.Add(over, new(big.Rat).Quo(ratInt(wait), own))
		if over.Cmp(stops) < 0 {
			t.Fatalf("we stop waiting at %s ns, the leader at %s ns", over.FloatString(3), stops.FloatString(3))
		}
	})
}

// What has passed on our clock has passed on any other within rho.
func TestLeaseWaitCoversTheSameTimeOnASlowerClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rho := rapid.Float64Range(0, 0.99).Draw(t, "rho")
		left := time.Duration(rapid.Int64Range(1, math.MaxInt64/400).Draw(t, "left"))
		other, own := rate(t, rho, "other"), rate(t, rho, "own")
		wait, err := revoke.LeaseWait(left, rho)
		if err != nil {
			t.Fatal(err)
		}
		shown := new(big.Rat).Mul(new(big.Rat).Quo(ratInt(wait), own), other)
		if wait < left || shown.Cmp(ratInt(left)) < 0 {
			t.Fatalf("waited %v, the other clock shows %s of %d ns", wait, shown.FloatString(3), left)
		}
		// No more than needed, but for the rounding.
		need := float64(left) * (1 + rho) / (1 - rho)
		if float64(wait) > need*(1+1e-12)+2 {
			t.Fatalf("waits %d ns, %f would do", wait, need)
		}
	})
}

func TestLeaseWaitAtItsEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		left time.Duration
		rho  float64
		want time.Duration
	}{
		{0, 0, 0},
		{-time.Second, 0.5, 0},
		{time.Second, 0, time.Second},
		{math.MaxInt64, 0, math.MaxInt64},
		{1<<53 + 1, 0, 1<<53 + 1},
		{math.MaxInt64, 0.5, math.MaxInt64},
		{math.MaxInt64, math.Nextafter(1, 0), math.MaxInt64},
		{1, math.Nextafter(1, 0), 1 << 54},
	} {
		got, err := revoke.LeaseWait(c.left, c.rho)
		slack := 1 + time.Duration(float64(c.want)*1e-12)
		if c.rho == 0 {
			slack = 0 // nothing is scaled: exact
		}
		if err != nil || got < c.want || got-c.want > slack {
			t.Errorf("LeaseWait(%d, %v) = %d, %v, want %d", c.left, c.rho, got, err, c.want)
		}
	}
	for _, rho := range []float64{-0.1, 1, 2, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if d, err := revoke.LeaseWait(time.Second, rho); d != 0 {
			t.Errorf("rho %v: %v", rho, d)
		} else {
			wantAs[*revoke.RateError](t, err)
		}
	}
}

func TestALeaseIsReportedOnlyAfterTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := must[*revoke.Lease](t)(revoke.NewLease(lessorFunc(func(_ context.Context, tm leadership.Term, leader leadership.NodeID) (time.Duration, error) {
			if tm != t7 || leader != "n1" {
				t.Errorf("asked to expire %s below %s", leader, tm)
			}
			time.Sleep(time.Second) // the answer took its time: it counts from then
			return 10 * time.Second, nil
		}), 0.25))
		h := listen()
		if err := l.Revoke(t.Context(), ask(), h.report); err != nil {
			t.Fatal(err)
		}
		want := leadership.Testimony{Node: "n1", Term: t7, Kind: leadership.LeaseExpired, Mechanism: "lease"}
		if h.len() != 1 || h.list()[0].Kind != want.Kind || h.list()[0].Node != want.Node || h.list()[0].Term != t7 || h.list()[0].Read != nil {
			t.Fatalf("reports %+v", h.list())
		}
		if wait := must[time.Duration](t)(revoke.LeaseWait(10*time.Second, 0.25)); h.when[0] != time.Second+wait {
			t.Errorf("reported after %v, want 1s and %v", h.when[0], wait)
		}
	})
}

func TestG8_NothingIsReportedOfALeaseWhenTheContextEndsDuringTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := must[*revoke.Lease](t)(revoke.NewLease(lessorFunc(func(context.Context, leadership.Term, leadership.NodeID) (time.Duration, error) {
			return math.MaxInt64, nil
		}), 0))
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, gone)
		defer cancel()
		h := listen()
		err := l.Revoke(ctx, ask(), h.report)
		wantIs(t, err, gone)
		if e := wantAs[*revoke.NodeError](t, err); e.Node != "n1" || h.len() != 0 || time.Since(h.start) != time.Minute {
			t.Errorf("%v after %v, reports %+v", err, time.Since(h.start), h.list())
		}
		if leadership.NotExecuted(err) {
			t.Error("the lease can no longer be renewed: the error must not prove that nothing was done")
		}
	})
}

func TestALessorThatFailsOrKnowsMoreIsReportedAsSuch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		broken := errors.New("no answer")
		answer := broken
		l := must[*revoke.Lease](t)(revoke.NewLease(lessorFunc(func(context.Context, leadership.Term, leadership.NodeID) (time.Duration, error) {
			return 0, answer
		}), 0))
		h := listen()
		wantIs(t, l.Revoke(t.Context(), ask(), h.report), broken)
		if h.len() != 0 {
			t.Errorf("reports %+v", h.list())
		}
		answer = stale("n1", t7, t9)
		wantAs[*leadership.StaleTermError](t, l.Revoke(t.Context(), ask(), h.report))
		if h.len() != 1 || h.list()[0].Kind != leadership.Refused || h.list()[0].Term != t9 || h.list()[0].Mechanism != "lease" {
			t.Errorf("reports %+v", h.list())
		}
		a := ask()
		a.Leader = ""
		wantAs[*revoke.TargetError](t, l.Revoke(t.Context(), a, h.report))
	})
}
