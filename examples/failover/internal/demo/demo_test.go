package demo

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/measure"
)

func TestWhatADemoMustNotShowIsAProblem(t *testing.T) {
	t.Parallel()
	op := func(at time.Duration, o measure.Outcome) measure.Op {
		return measure.Op{Call: at, Ret: at + time.Millisecond, Outcome: o, Err: errors.New("lost")}
	}
	well := load.Verdict{Attempts: 1, Acked: 1}
	rep := func(strict bool, ops ...measure.Op) measure.Report {
		return measure.Report{
			Changes: []measure.Change{{Name: "planned", Strict: strict, Begin: time.Second, End: 2 * time.Second}},
			Ops:     ops, End: 10 * time.Second, Before: before, After: after,
		}
	}
	require.Empty(t, problems(rep(true, op(time.Second, measure.Done)), well))
	require.Empty(t, problems(rep(false, op(time.Second, measure.Unknown)), well), "a crash may cost unknown outcomes")
	require.Len(t, problems(rep(true, op(time.Second, measure.Unknown)), well), 1)
	require.Len(t, problems(rep(true, op(time.Second, measure.Refused)), well), 1)
	require.Len(t, problems(rep(false, op(5*time.Second, measure.Refused)), well), 1, "at no change nothing may fail")
	require.Len(t, problems(rep(false), load.Verdict{Attempts: 1, Acked: 1, Problems: []load.Problem{{Node: "n1", What: "acknowledged and missing", IDs: []int64{7}}}}), 1)
	require.Len(t, problems(rep(false), load.Verdict{}), 1, "a load that wrote nothing proves nothing")
}
