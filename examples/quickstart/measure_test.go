package main

import (
	"errors"
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
	led := []message{
		m(10, "before", reparent.StepHandOver, ""), m(17, "after", reparent.StepHandOver, ""),
		m(20, "before", reparent.StepGrant, ""), m(40, "after", reparent.StepGrant, ""),
	}
	require.Equal(t, time.Duration(7), leaderless(0, led))
	led[1].Error = "the candidate does not answer" // what undoes it grants
	require.Equal(t, time.Duration(30), leaderless(0, led))
	require.Zero(t, leaderless(0, []message{m(10, "before", reparent.StepRevoke, ""), m(12, "after", reparent.StepGrant, "refused")}))
}

func TestTheTableHasARowForEachChangeAndOneForTheRest(t *testing.T) {
	t.Parallel()
	ch := &change{name: "planned n1 -> n2", result: "done", begin: at(1000), end: at(1100), leaderless: at(23)}
	s := table(report([]*change{ch}, []op{answered(0, 1000, 1123), answered(0, 3000, 3004)}, at(4000)))
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

func TestOnlyProofCountsAsNotExecuted(t *testing.T) {
	t.Parallel()
	proof := &leadership.Refusal{Reason: "not the leader"}
	require.Equal(t, done, outcomeOf(nil))
	require.Equal(t, refused, outcomeOf(proof))
	require.Equal(t, unknown, outcomeOf(errors.New("broken")))
	require.Equal(t, unknown, outcomeOf(errors.Join(proof, leadership.ErrUnknownOutcome)))
	require.Equal(t, unknown, outcomeOf(&kv.RemoteError{Text: "broken"}))
}
