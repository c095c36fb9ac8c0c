package measure_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

func at(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

func answered(client, call, ret int) measure.Op {
	return measure.Op{Client: client, Call: at(call), Ret: at(ret)}
}

func wellFormed(t *testing.T, s string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
}

func report(ch measure.Change, ops []measure.Op, end time.Duration) measure.Report {
	return measure.Report{Changes: []measure.Change{ch}, Ops: ops, End: end, Before: at(100), After: at(500)}
}

func TestAChangeIsChargedForTheRequestsThatItMet(t *testing.T) {
	t.Parallel()
	ch := measure.Change{Begin: at(1000), End: at(1100)}
	var ops []measure.Op
	for i := range 100 { // 1 ms to 100 ms
		ops = append(ops, answered(0, 1000+i, 1000+2*i+1))
	}
	lost, no := answered(0, 1300, 1400), answered(0, 1500, 1550)
	lost.Outcome, lost.Err = measure.Unknown, leadership.ErrUnknownOutcome
	no.Outcome = measure.Refused
	ops = append(ops, lost, no,
		answered(0, 100, 890),   // over before the window
		answered(0, 100, 950),   // reaches into it
		answered(0, 1601, 9000)) // begins after it
	r := report(ch, ops, at(9000))
	c := r.Costs(0)
	require.Equal(t, 103, c.Requests)
	require.Equal(t, 1, c.Errors)
	require.Equal(t, 1, c.Unknown)
	require.ErrorIs(t, c.First, leadership.ErrUnknownOutcome)
	require.Equal(t, at(51), c.P50)
	require.Equal(t, at(100), c.P99)
	require.Equal(t, at(850), c.Max)
	require.Equal(t, 2, r.Calm().Requests)
}

func TestTheGapIsTheLongestThatOneClientWaitedAroundTheChange(t *testing.T) {
	t.Parallel()
	ch := measure.Change{Begin: at(1000), End: at(1100)}
	failed := answered(1, 1050, 1060)
	failed.Outcome = measure.Unknown
	ops := []measure.Op{
		answered(0, 0, 10), answered(0, 600, 700), answered(0, 950, 990), answered(0, 1000, 1150), answered(0, 1160, 1900),
		answered(1, 800, 900), failed, answered(1, 1200, 1210), answered(1, 1300, 1310),
	}
	require.Equal(t, at(310), report(ch, ops, at(2000)).Gap(0), "an unknown outcome is no answer; what is not around the change does not count")
	require.Equal(t, at(1100), report(ch, ops[5:7], at(2000)).Gap(0), "a client that never got one again waited to the end")
	require.Zero(t, report(ch, nil, at(2000)).Gap(0))
}

func TestThePictureShowsEveryChangeAndEveryRequestWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	lost := answered(0, 1200, 1400)
	lost.Outcome = measure.Unknown
	changes := []measure.Change{
		{Name: "planned <n1> & n2", Strict: true, Begin: at(1000), End: at(1100)},
		{Name: "emergency", Begin: at(2000), End: at(2500)},
	}
	s := measure.Report{Changes: changes, Ops: []measure.Op{answered(0, 100, 105), answered(0, 900, 2300), lost}, End: at(4000)}.SVG()
	wellFormed(t, s)
	require.Contains(t, s, "planned &lt;n1&gt; &amp; n2")
	require.Equal(t, 2, strings.Count(s, `fill-opacity="0.25"`))
	require.Equal(t, 1, strings.Count(s, "l6 6m0 -6l-6 6"))
	// The emergency is at the middle of the axis, and an eighth of it wide.
	require.Contains(t, s, fmt.Sprintf(`x="%.1f"`, 70+1110/2.0))
	require.Contains(t, s, fmt.Sprintf(`width="%.1f"`, 1110/8.0))
	wellFormed(t, measure.Report{}.SVG())
}

func TestPercentilesAreOfTheNearestRank(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	require.Zero(t, measure.Percentile(nil, 99))
	require.Equal(t, at(7), measure.Percentile([]time.Duration{at(7)}, 1))
	ds := []time.Duration{at(1), at(2), at(3), at(4)}
	require.Equal(t, at(2), measure.Percentile(ds, 50))
	require.Equal(t, at(4), measure.Percentile(ds, 99))
	require.Equal(t, at(1), measure.Percentile(ds, 0))
}

func TestDurationsAreShort(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"-": 0, "0.5ms": 500 * time.Microsecond, "9.9ms": 9900 * time.Microsecond,
		"37ms": 37 * time.Millisecond, "1.50s": 1500 * time.Millisecond,
	} {
		require.Equal(t, want, measure.Short(d))
	}
}
