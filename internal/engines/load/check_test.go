package load_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/internal/measure"
)

func at(ms int) time.Time { return time.UnixMilli(int64(1_000_000 + ms)) }

func attempt(id int64, writer, begin, end int, o load.Outcome) load.Attempt {
	a := load.Attempt{ID: id, Writer: writer, Start: at(begin), End: at(end), Outcome: o}
	if o != load.Acked {
		a.Class, a.Err = "broken", "pipe"
	}
	return a
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	t.Parallel()
	h := load.History{Attempts: []load.Attempt{
		attempt(1, 0, 0, 10, load.Acked), attempt(2, 0, 20, 30, load.NotExecuted), attempt(3, 0, 40, 90, load.Acked),
		attempt(4, 1, 0, 15, load.Unknown), attempt(5, 1, 20, 45, load.Acked), attempt(6, 1, 50, 60, load.Other),
	}}
	for _, c := range []struct {
		name   string
		leader []int64
		other  []int64
		want   string
	}{
		{name: "all is well", leader: []int64{1, 3, 5}, other: []int64{1, 3, 5}},
		{name: "what is unknown may be there", leader: []int64{1, 3, 4, 5, 6}, other: []int64{1, 3, 4, 5, 6}},
		{name: "an acknowledged id is missing", leader: []int64{1, 5}, other: []int64{1, 5}, want: "n1: 1 ids acknowledged and missing: [3]"},
		{name: "what was not executed is there", leader: []int64{1, 2, 3, 5}, other: []int64{1, 2, 3, 5}, want: "n1: 1 ids not executed and there: [2]"},
		{name: "an id is there twice", leader: []int64{1, 3, 3, 5}, other: []int64{1, 3, 5}, want: "n1: 1 ids there more than once: [3]"},
		{name: "an id was never tried", leader: []int64{1, 3, 5, 9}, other: []int64{1, 3, 5, 9}, want: "n1: 1 ids there and never tried: [9]"},
		{name: "another node misses an acknowledged id", leader: []int64{1, 3, 5}, other: []int64{1, 5}, want: "n2: 1 ids acknowledged and missing: [3]"},
		{name: "another node has a tail of its own", leader: []int64{1, 3, 5}, other: []int64{1, 3, 5, 6}, want: "n2: 1 ids there and not on the leader: [6]"},
		{name: "another node lags", leader: []int64{1, 3, 4, 5}, other: []int64{1, 3, 5}, want: "n2: 1 ids on the leader and missing: [4]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := h.Check(load.Rows{Node: "n1", IDs: c.leader}, load.Rows{Node: "n2", IDs: c.other})
			if c.want == "" {
				require.NoError(t, v.Err())
				require.Empty(t, v.Problems)
			} else {
				require.ErrorContains(t, v.Err(), c.want)
				require.Contains(t, v.String(), c.want)
			}
			require.Error(t, v.Flawless(), "three attempts failed")
		})
	}
	v := h.Check(load.Rows{IDs: []int64{1, 3, 4, 5}})
	require.Equal(t, []int{6, 3, 1, 1, 1, 1}, []int{v.Attempts, v.Acked, v.NotExecuted, v.Unknown, v.Other, v.Present})
	require.Equal(t, 45*time.Millisecond, v.Gap)
	require.Equal(t, 80*time.Millisecond, v.WriterGap)
	require.Equal(t, 25*time.Millisecond, v.P50)
	require.Equal(t, 50*time.Millisecond, v.Max)
	require.Equal(t, map[string]int{"broken": 3}, v.Classes)
	require.Equal(t, []int64{1, 3, 5}, h.Acked())
	require.Error(t, load.History{}.Check(load.Rows{}).Err(), "a load that wrote nothing checks nothing")
}

func TestAttemptsAreRequestsOfTheirWriter(t *testing.T) {
	t.Parallel()
	h := load.History{Attempts: []load.Attempt{
		attempt(1, 0, 0, 10, load.Acked), attempt(2, 0, 20, 30, load.NotExecuted),
		attempt(3, 1, 0, 15, load.Other), {ID: 4, Writer: 1, Start: at(20), Outcome: load.Unknown, Class: "killed"},
	}}
	ops := h.Ops(at(0), at(100))
	require.Len(t, ops, 4)
	require.Equal(t, measure.Op{Client: 0, Call: 0, Ret: 10 * time.Millisecond}, ops[0])
	require.Equal(t, measure.Refused, ops[1].Outcome)
	require.Equal(t, measure.Unknown, ops[2].Outcome)
	require.EqualError(t, ops[2].Err, "broken: pipe")
	require.Equal(t, []int{0, 0, 1, 1}, []int{ops[0].Client, ops[1].Client, ops[2].Client, ops[3].Client})
	require.Equal(t, 100*time.Millisecond, ops[3].Ret)
}
