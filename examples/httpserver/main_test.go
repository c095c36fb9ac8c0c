package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

// The test binary is also the backends'.
func TestMain(m *testing.M) {
	if code, ok := asBackend(); ok {
		os.Exit(code)
	}
	// A child built with -race would linger for a second after its end.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

func TestG7_ARollingRestartUnderLoadCostsNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for some seconds")
	}
	t.Parallel()
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"-duration", "4s", "-clients", "8", "-plain=false"}, &out, &errs)
	require.Equal(t, exitOK, code, "%s\n%s", out.String(), errs.String())
	require.Contains(t, out.String(), "\nok: 2 restarts, ")
	require.Contains(t, out.String(), "restart n2, v1 to v2")
	require.NotContains(t, out.String(), "FAILED")
	require.NotContains(t, out.String(), "For contrast")
}

func TestThePlainWayIsShownAndFailsNobodysExitCode(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for some seconds")
	}
	t.Parallel()
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"-duration", "4s", "-clients", "4", "-v"}, &out, &errs)
	require.Equal(t, exitOK, code, "%s\n%s", out.String(), errs.String())
	require.Contains(t, out.String(), "requests failed in 2 restarts")
	require.Contains(t, out.String(), "planned change of orders: n1 -> n2")
}

func TestAnInterruptEndsEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	require.Equal(t, exitInterrupted, run(ctx, []string{"-duration", "1h"}, &out, &errs))
}

func TestFlagsThatMakeNoSenseAreRefusedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-duration 1s", "-duration 2h", "-clients 0", "-clients 1001", "now", "-fast"} {
		var out, errs bytes.Buffer
		require.Equal(t, exitUsage, run(context.Background(), strings.Fields(args), &out, &errs), args)
		require.Empty(t, out.String())
		require.NotEmpty(t, errs.String())
	}
}

// What the example claims is worth what verify finds.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	term := func(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }
	for _, c := range []struct {
		name   string
		store  []string
		terms  []uint64
		ops    []op
		fenced bool
		want   string
	}{
		{"all is well", []string{"a", "b"}, []uint64{1, 2}, []op{{order: "a"}, {order: "b"}, {}}, true, ""},
		{"lost", []string{"a"}, []uint64{1}, []op{{order: "a"}, {order: "b"}}, true, "order b was acknowledged and is missing"},
		{"twice", []string{"a", "a"}, []uint64{1, 1}, []op{{order: "a"}}, true, "order a was executed 2 times"},
		{"twice, its client does not know", []string{"a", "a"}, []uint64{1, 1}, []op{{order: "a", outcome: unknown}}, true, "executed 2 times"},
		{"a false refusal", []string{"a"}, []uint64{1}, []op{{order: "a", outcome: refused}}, true, "got proof that it was not"},
		{"two leaders", []string{"a", "b"}, []uint64{2, 1}, []op{{order: "a"}, {order: "b"}}, true, "was added after one of term 2.c1"},
		{"no leaders", []string{"a", "b"}, []uint64{2, 1}, []op{{order: "a"}, {order: "b"}}, false, ""},
		{"a stale read", []string{"a"}, []uint64{1}, []op{{order: "a"}, {fell: "0 orders were counted"}}, true, "0 orders"},
		{"unknown and not there", nil, nil, []op{{order: "a", outcome: unknown}}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "orders")
			s, err := openStore(file)
			require.NoError(t, err)
			defer s.f.Close()
			for i, id := range c.store {
				require.NoError(t, s.add(id, term(c.terms[i])))
			}
			n, err := s.count()
			require.NoError(t, err)
			require.Len(t, c.store, int(n))
			v, err := verify(file, c.ops, c.fenced)
			require.NoError(t, err)
			if c.want == "" {
				require.Empty(t, v.problems)
				return
			}
			require.Len(t, v.problems, 1)
			require.Contains(t, v.problems[0], c.want)
		})
	}
}

func TestTheTableSaysWhatARestartCost(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	var ops []op
	for i := range 100 {
		ops = append(ops, op{call: at(10 * i), ret: at(10*i + 1 + i%2)})
	}
	ops[50].outcome, ops[51].outcome, ops[50].why = unknown, refused, "lost"
	s := &step{name: "restart", result: "done", begin: at(500), end: at(600)}
	r := report([]*step{s}, ops)
	require.Equal(t, at(29), r.Gap(0))
	require.Equal(t, measure.Costs{P50: at(1), P99: at(2), Max: at(2), Requests: 31, Errors: 1, Unknown: 1, First: errors.New("lost")}, r.Costs(0))
	lines := strings.Split(table(r), "\n")
	require.Equal(t, strings.Fields("restart done 29ms 1.0ms 2.0ms 2.0ms 31 1 1"), strings.Fields(lines[1]))
	require.Equal(t, strings.Fields("no step - 2.0ms 2.0ms 2.0ms 69 0 0"), strings.Fields(lines[2]))
}
