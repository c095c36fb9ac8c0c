package main

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/internal/register"
	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

func write(client, call, ret int, value string, index uint64) op {
	return op{client: client, key: "k", write: true, value: value, index: index, call: at(call), ret: at(ret)}
}

func read(client, call, ret int, value string) op {
	return op{client: client, key: "k", value: value, call: at(call), ret: at(ret)}
}

func with(o op, as measure.Outcome) op {
	o.outcome = as
	return o
}

func logOf(values ...string) []kv.Logged {
	log := []kv.Logged{{Index: 1, Marker: true}}
	for i, v := range values {
		log = append(log, kv.Logged{Index: uint64(i + 2), Write: kv.Write{Key: "k", Value: []byte(v)}})
	}
	return log
}

func TestWhatClientsWereToldIsCheckedAgainstTheLog(t *testing.T) {
	t.Parallel()
	a, b := write(0, 0, 1, "a", 2), write(0, 2, 3, "b", 3)
	for _, c := range []struct {
		name string
		ops  []op
		log  []kv.Logged
		ok   bool
	}{
		{"as told", []op{a, b}, logOf("a", "b"), true},
		{"lost", []op{a, b}, logOf("a"), false},
		{"twice", []op{a, b}, logOf("a", "b", "a"), false},
		{"elsewhere", []op{a, b}, logOf("b", "a"), false},
		{"refused and executed", []op{a, with(b, refused)}, logOf("a", "b"), false},
		{"refused and not executed", []op{a, with(b, refused)}, logOf("a"), true},
		{"unknown and executed", []op{a, with(b, unknown)}, logOf("a", "b"), true},
		{"unknown and not executed", []op{a, with(b, unknown)}, logOf("a"), true},
		{"unknown and twice", []op{a, with(b, unknown)}, logOf("a", "b", "b"), false},
		{"out of order", []op{write(0, 0, 1, "a", 3), write(1, 2, 3, "b", 2)}, logOf("b", "a"), false},
		{"at the same time", []op{write(0, 0, 5, "a", 3), write(1, 2, 3, "b", 2)}, logOf("b", "a"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := &verdict{}
			writesInLog(v, c.ops, c.log)
			require.Equal(t, c.ok, v.ok(), v.String())
		})
	}
}

func TestLogsThatDifferAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		other []kv.Logged
		ok    bool
	}{
		{"the same", logOf("a", "b"), true},
		{"shorter", logOf("a"), false},
		{"another value", logOf("a", "c"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := &verdict{}
			sameLogs(v, []leadership.NodeID{"n1", "n2"}, [][]kv.Logged{logOf("a", "b"), c.other})
			require.Equal(t, c.ok, v.ok(), v.String())
		})
	}
}

func TestAZombieThatAnswersOrWritesIsFound(t *testing.T) {
	t.Parallel()
	check := func(z zombie, log []kv.Logged) bool {
		v := &verdict{}
		(&script{zombies: []zombie{z}}).zombiesGone(v, log)
		return v.ok()
	}
	require.True(t, check(zombie{"z", leadership.ErrUnknownOutcome}, logOf("a")))
	require.False(t, check(zombie{"z", nil}, logOf("a")))
	require.False(t, check(zombie{"z", leadership.ErrUnknownOutcome}, logOf("a", "z")))
}

func TestErrorsAreForgivenOnlyToChangesThatMayCostThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		strict bool
		o      op
		ok     bool
	}{
		{"in a planned change", true, with(write(0, 1050, 1060, "a", 0), unknown), false},
		{"refused in a planned change", true, with(write(0, 1050, 1060, "a", 0), refused), false},
		{"in an emergency", false, with(write(0, 1050, 1060, "a", 0), unknown), true},
		{"outside of it", false, with(write(0, 5000, 5001, "a", 0), unknown), false},
		{"answered", true, write(0, 1050, 1060, "a", 0), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := &verdict{}
			noErrors(v, report([]*change{{name: "x", strict: c.strict, begin: at(1000), end: at(1100)}}, []op{c.o}, at(9000)))
			require.Equal(t, c.ok, v.ok(), v.String())
		})
	}
}

func TestHistoriesThatAreNotLinearizableAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ops  []op
		ok   bool
	}{
		{"read after write", []op{write(0, 0, 1, "a", 1), read(1, 2, 3, "a")}, true},
		{"a stale read", []op{write(0, 0, 1, "a", 1), write(0, 2, 3, "b", 2), read(1, 4, 5, "a")}, false},
		{"a lost write", []op{write(0, 0, 1, "a", 1), read(1, 2, 3, "")}, false},
		{"a value from nowhere", []op{write(0, 0, 1, "a", 1), read(1, 2, 3, "z")}, false},
		{"an unknown write that came later", []op{with(write(0, 0, 1, "a", 0), unknown), read(1, 2, 3, ""), read(1, 9, 10, "a")}, true},
		{"an unknown write that never came", []op{with(write(0, 0, 1, "a", 0), unknown), read(1, 2, 3, "")}, true},
		{"an unknown write that went again", []op{with(write(0, 0, 1, "a", 0), unknown), read(1, 2, 3, "a"), read(1, 4, 5, "")}, false},
		{"a refused write that was read", []op{with(write(0, 0, 1, "a", 0), refused), read(1, 2, 3, "a")}, false},
		{"a read before the write was called", []op{read(1, 0, 1, "a"), write(0, 2, 3, "a", 1)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := &verdict{}
			linearizable(v, c.ops)
			require.Equal(t, c.ok, v.ok(), v.String())
		})
	}
}

func TestEveryUnknownWriteThatWasReadIsAClientOfItsOwn(t *testing.T) {
	t.Parallel()
	var ops []op
	for i := range 3 {
		v := strconv.Itoa(i)
		ops = append(ops, with(write(0, 10*i, 10*i+1, v, 0), unknown), read(1, 10*i+2, 10*i+3, v))
	}
	ops = append(ops, with(write(0, 50, 51, "never read", 0), unknown), with(read(1, 60, 61, ""), unknown))
	h := history(ops)
	require.Len(t, h, 6)
	clients := map[int]int{}
	for _, o := range h {
		clients[o.ClientId]++
		if o.Input.(register.Access).Write {
			require.Equal(t, int64(1<<62), o.Return)
		}
	}
	require.Equal(t, map[int]int{1: 3, 2: 1, 3: 1, 4: 1}, clients)
}
