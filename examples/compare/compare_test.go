package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/examples/compare/internal/mha"
	"github.com/tenure-go/tenure/examples/compare/internal/patroni"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/internal/engines/load"
)

// The test binary is also the writers of its loads.
func TestMain(m *testing.M) {
	if code, ok := load.Main(openClient); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// run puts one side through some events, and returns what it cost.
func run(t *testing.T, events []account.Event, side func(*compare) side, need ...engines.Engine) *compare {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real servers")
	}
	enginetest.Need(t, append(need, engines.Etcd)...)
	enginetest.Slot(t)
	runtime.LockOSThread() // children end with the thread that starts them
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := newCompare(ctx, t.Logf)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.close()) }()
	c.events, c.conns, c.planned = events, []int{connections}, 1
	require.NoError(t, side(c).run(ctx))
	for _, r := range c.table.Rows {
		for _, x := range r.Runs {
			require.Greater(t, x.Loss.Acked, 100, "%+v", r.Key)
			require.Positive(t, x.Gap)
			require.Zero(t, x.Lost+x.Twice+x.Lied+x.Apart, "%+v", r.Key)
		}
	}
	return c
}

func TestOursLosesNothingAndAPlannedChangeCostsNoError(t *testing.T) {
	for _, e := range []engines.Engine{engines.Postgres, engines.MariaDB} {
		t.Run(string(e), func(t *testing.T) {
			c := run(t, []account.Event{account.Planned, account.ServerKill}, func(c *compare) side { return c.ours(e, detectors()[0]) }, e)
			require.Empty(t, c.table.Problems(true))
			require.Len(t, c.table.Rows, 2)
			require.NoError(t, c.judge())
		})
	}
}

func TestPatroniIsPutThroughTheSame(t *testing.T) {
	if err := patroni.Missing(); err != nil {
		t.Skip(err)
	}
	c := run(t, []account.Event{account.Planned}, func(c *compare) side { return c.patroni("tuned", patroni.Tuned(), true) }, engines.Postgres)
	require.Len(t, c.table.Rows, 2, "directly and through HAProxy")
}

func TestMHAIsPutThroughTheSame(t *testing.T) {
	if err := mha.Missing(); err != nil {
		t.Skip(err)
	}
	c := run(t, []account.Event{account.Planned}, func(c *compare) side { return c.mha("tuned", mha.Tuned(), true) }, engines.MariaDB)
	require.Len(t, c.table.Rows, 1)
}

func TestSidesTakeTurnsAtBeingFirst(t *testing.T) {
	t.Parallel()
	all := []int{1, 2, 3}
	require.Equal(t, []int{1, 2, 3}, order(all, 0))
	require.Equal(t, []int{2, 3, 1}, order(all, 1))
	require.Equal(t, []int{1, 2, 3}, order(all, 3))
	require.Equal(t, []int{1, 2, 3}, all)
	require.Empty(t, order([]int(nil), 1))
}

func TestAReportSaysWhatWasNotRunAndWhatWeLose(t *testing.T) {
	t.Parallel()
	c := &compare{left: []string{"Patroni: it is not\ninstalled"}, events: account.Events()}
	k := account.Key{Engine: postgres, Event: account.Planned, Who: "Tenure", Settings: "quick detector", Client: "sqlbuffer", Conns: 4, Load: 4, Ours: true}
	c.table.Add(k, account.Result{Sample: account.Sample{Gap: time.Second, Acked: 1}, Loss: account.Loss{Acked: 1}})
	k.Who, k.Ours = "Patroni", false
	c.table.Add(k, account.Result{Sample: account.Sample{Gap: time.Millisecond, Acked: 1}, Loss: account.Loss{Acked: 1}})
	text := c.report(t.Context(), 1, time.Second)
	var headings []string
	for line := range strings.Lines(text) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			headings = append(headings, strings.TrimSpace(h))
		}
	}
	require.Equal(t, []string{
		"In short", "Rows that we lose", "Broken promises", "Not run", "How to read it", postgres, "Settings", "Versions", "What is and is not comparable",
	}, headings)
	require.Contains(t, text, "- Patroni: it is not installed\n")
	require.NotContains(t, (&compare{}).findings(), "lose", "where there was nothing to compare with, nothing is won")
	require.Contains(t, text, "median of the longest gap of Tenure, quick detector, sqlbuffer, 4 connections is 1.00s, of Patroni")
	require.NoError(t, c.judge())
	require.ErrorContains(t, (&compare{}).judge(), "nothing was run")
	c.fail(side{name: "theirs"}, 1, errors.New("it broke"))
	require.NoError(t, c.judge())
	require.Contains(t, c.findings(), "theirs, round 1: it broke")
	c.fail(side{name: "ours", ours: true}, 1, errors.New("it broke"))
	require.ErrorContains(t, c.judge(), "ours, round 1: it broke")
}

func TestOnlyWhatIsAskedForIsPutUp(t *testing.T) {
	t.Parallel()
	enginetest.Need(t, engines.Postgres, engines.MariaDB, engines.Etcd)
	names := func(c *compare, only string) (all []string) {
		for _, s := range c.sides(only) {
			all = append(all, s.name)
		}
		return all
	}
	for _, only := range []string{"postgres", "mariadb"} {
		got := names(&compare{}, only)
		require.Contains(t, got[0], "Tenure", "ours and the others' in turn")
		want := map[string]string{"postgres": postgres, "mariadb": mariadb}[only]
		require.False(t, slices.ContainsFunc(got, func(n string) bool { return !strings.HasPrefix(n, want) }), "%q", got)
	}
	require.Len(t, names(&compare{who: "Tenure"}, ""), 5)
}
