package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

func at(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

func answered(client, call, ret int) op {
	return op{client: client, key: "k", call: at(call), ret: at(ret)}
}

func TestAChangeIsChargedForTheRequestsThatItMet(t *testing.T) {
	t.Parallel()
	ch := &change{begin: at(1000), end: at(1100)}
	var ops []op
	for i := range 100 { // 1 ms to 100 ms
		ops = append(ops, answered(0, 1000+i, 1000+2*i+1))
	}
	lost, no := answered(0, 1300, 1400), answered(0, 1500, 1550)
	lost.outcome, lost.err = unknown, leadership.ErrUnknownOutcome
	no.outcome = refused
	ops = append(ops, lost, no,
		answered(0, 100, 890),   // over before the window
		answered(0, 100, 950),   // reaches into it
		answered(0, 1601, 9000)) // begins after it
	c := measure(ch, ops, at(9000))
	require.Equal(t, 103, c.requests)
	require.Equal(t, 1, c.errors)
	require.Equal(t, 1, c.lost)
	require.ErrorIs(t, c.firstErr, leadership.ErrUnknownOutcome)
	require.Equal(t, at(51), c.p50)
	require.Equal(t, at(100), c.p99)
	require.Equal(t, at(850), c.max)
	require.Equal(t, 2, calm([]*change{ch}, ops).requests)
}

func TestTheGapIsTheLongestThatOneClientWaitedAroundTheChange(t *testing.T) {
	t.Parallel()
	ch := &change{begin: at(1000), end: at(1100)}
	failed := answered(1, 1050, 1060)
	failed.outcome = unknown
	ops := []op{
		answered(0, 0, 10), answered(0, 600, 700), answered(0, 950, 990), answered(0, 1000, 1150), answered(0, 1160, 1900),
		answered(1, 800, 900), failed, answered(1, 1200, 1210), answered(1, 1300, 1310),
	}
	require.Equal(t, at(310), longestGap(ch, ops, at(2000)), "an unknown outcome is no answer; what is not around the change does not count")
	require.Equal(t, at(1100), longestGap(ch, ops[5:7], at(2000)), "a client that never got one again waited to the end")
	require.Zero(t, longestGap(ch, nil, at(2000)))
}

func TestTheTimeWithoutALeaderIsSummedOverAttempts(t *testing.T) {
	t.Parallel()
	m := func(at int64, what string, s reparent.Step, err string) message {
		return message{At: at, What: what, Step: s, Error: err}
	}
	undone := []message{
		m(10, "before", reparent.StepRevoke, ""), m(15, "after", reparent.StepInstall, "vetoed"),
		m(20, "before", reparent.StepRevoke, ""), m(30, "after", reparent.StepGrant, ""),
	}
	require.Equal(t, time.Duration(20), leaderless(0, undone))
	require.Equal(t, time.Duration(25), leaderless(5, undone))
	twice := append([]message{m(60, "after", reparent.StepGrant, ""), m(50, "before", reparent.StepRevoke, "")}, undone...)
	require.Equal(t, time.Duration(30), leaderless(0, twice))
	require.Zero(t, leaderless(0, []message{m(10, "before", reparent.StepRevoke, ""), m(12, "after", reparent.StepGrant, "refused")}))
}

func TestTheTableHasARowForEachChangeAndOneForTheRest(t *testing.T) {
	t.Parallel()
	ch := &change{name: "planned n1 -> n2", result: "done", begin: at(1000), end: at(1100), leaderless: at(23)}
	s := table([]*change{ch}, []op{answered(0, 1000, 1123), answered(0, 3000, 3004)}, at(4000))
	lines := strings.Split(s, "\n")
	require.Regexp(t, `^1 +planned n1 -> n2 +done +23ms +123ms +123ms +123ms +123ms +1 +0 +0$`, lines[1])
	require.Regexp(t, `^ +no change +4\.0ms +4\.0ms +4\.0ms +1 +0 +0$`, lines[2])
}

func TestBucketsHoldTheirLatency(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 1, time.Microsecond, 3 * time.Microsecond, 999 * time.Microsecond, at(1), at(17), time.Second, time.Minute} {
		b := bucket(d)
		require.LessOrEqual(t, d, bucketTop(b), "%s in %d", d, b)
		require.LessOrEqual(t, float64(bucketTop(b)), 3*max(float64(d), 1e3), "%s in %d", d, b)
	}
	var old, now pulse
	now.buckets[bucket(at(1))] = 990
	now.buckets[bucket(at(100))] = 10
	require.Equal(t, bucketTop(bucket(at(1))), now.p99(old))
	now.buckets[bucket(at(100))]++
	require.Equal(t, bucketTop(bucket(at(100))), now.p99(old))
	require.Zero(t, now.p99(now))
}

func TestThePictureShowsEveryChangeAndEveryRequestWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	lost := answered(0, 1200, 1400)
	lost.outcome = unknown
	changes := []*change{
		{name: "planned <n1> & n2", strict: true, begin: at(1000), end: at(1100)},
		{name: "emergency", begin: at(2000), end: at(2500)},
	}
	s := drawSVG(changes, []op{answered(0, 100, 105), answered(0, 900, 2300), lost}, at(4000))
	wellFormed(t, []byte(s))
	require.Contains(t, s, "planned &lt;n1&gt; &amp; n2")
	require.Equal(t, 2, strings.Count(s, `fill-opacity="0.25"`))
	require.Equal(t, 1, strings.Count(s, "l6 6m0 -6l-6 6"))
	// The emergency is at the middle of the axis, and an eighth of it wide.
	require.Contains(t, s, fmt.Sprintf(`x="%.1f"`, picLeft+float64(picWidth-picLeft-picRight)/2))
	require.Contains(t, s, fmt.Sprintf(`width="%.1f"`, float64(picWidth-picLeft-picRight)/8))
	wellFormed(t, []byte(drawSVG(nil, nil, 0)))
	p := &picture{end: time.Second, low: at(1), top: at(100)}
	require.InDelta(t, picTop+latHeight, p.y(at(1)), 0.01)
	require.InDelta(t, picTop+latHeight/2, p.y(at(10)), 0.01)
	require.InDelta(t, picTop, p.y(at(100)), 0.01)
}

func TestOnlyProofCountsAsNotExecuted(t *testing.T) {
	t.Parallel()
	proof := &leadership.Refusal{Reason: "not the leader"}
	require.Equal(t, done, outcomeOf(nil))
	require.Equal(t, refused, outcomeOf(proof))
	require.Equal(t, unknown, outcomeOf(errors.New("broken")))
	require.Equal(t, unknown, outcomeOf(errors.Join(proof, leadership.ErrUnknownOutcome)))
	require.Equal(t, unknown, outcomeOf(&kv.RemoteError{Text: "broken"}))
}
