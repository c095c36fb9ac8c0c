package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/compare/internal/account"
	"github.com/tenure-go/tenure/internal/engines/load"
)

var epoch = time.Unix(1000, 0)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// attempt is one of a writer, that took a millisecond.
func attempt(id int64, writer, end int, o load.Outcome, class string) load.Attempt {
	return load.Attempt{ID: id, Writer: writer, Start: at(end - 1), End: at(end), Outcome: o, Class: class, Err: "why"}
}

func TestEveryAttemptIsCountedOnce(t *testing.T) {
	t.Parallel()
	h := load.History{Attempts: []load.Attempt{
		attempt(1, 0, 10, load.Acked, ""),
		attempt(2, 0, 20, load.NotExecuted, load.ClassConnect),
		attempt(3, 0, 30, load.NotExecuted, "begin: *net.OpError"),
		attempt(4, 0, 40, load.Unknown, "commit: EOF"),
		attempt(5, 0, 50, load.Other, "*some.Error"),
		attempt(6, 0, 60, load.Acked, ""),
	}}
	s := account.Measure(h, at(15), at(60))
	require.Equal(t, 2, s.Acked)
	require.Equal(t, 1, s.NoConn, "there was no connection")
	require.Equal(t, 1, s.Failed)
	require.Equal(t, 2, s.Unknown, "what proves nothing is unknown")
	require.Equal(t, len(h.Attempts), s.Acked+s.Errors())
	require.Equal(t, load.ClassConnect+": why", s.First)
	require.Equal(t, 50*time.Millisecond, s.Gap)
}

func TestTheGapIsOfAllWritersAndOnlyAroundTheChange(t *testing.T) {
	t.Parallel()
	var h load.History
	for i, ack := range []struct{ writer, end int }{
		{0, 0}, {0, 70}, // a gap of the machine, before the change
		{0, 80}, {0, 90}, {0, 150}, {0, 160}, {0, 166}, {0, 300},
		{1, 75}, {1, 85}, {1, 130}, {1, 170}, {1, 175},
	} {
		h.Attempts = append(h.Attempts, attempt(int64(i), ack.writer, ack.end, load.Acked, ""))
	}
	s := account.Measure(h, at(88), at(165))
	require.Equal(t, 40*time.Millisecond, s.Gap, "90 to 130: then the second writer has one")
	require.Equal(t, 60*time.Millisecond, s.WriterGap, "90 to 150 for the first")
	require.Equal(t, 70*time.Millisecond, s.Calm)
}

func TestAGapThatBeganBeforeOrEndedAfterTheChangeCounts(t *testing.T) {
	t.Parallel()
	ack := func(ends ...int) (h load.History) {
		for i, e := range ends {
			h.Attempts = append(h.Attempts, attempt(int64(i), 0, e, load.Acked, ""))
		}
		return h
	}
	gap := func(h load.History) time.Duration { return account.Measure(h, at(100), at(200)).Gap }
	require.Equal(t, 60*time.Millisecond, gap(ack(90, 150, 190, 210)))
	require.Equal(t, 110*time.Millisecond, gap(ack(95, 110, 220)), "it ended after")
	require.Equal(t, 400*time.Millisecond, gap(ack(50, 450)), "it began before and ended after")
	require.Equal(t, 95*time.Millisecond, gap(ack(90, 105)), "none came any more")
	require.Equal(t, 100*time.Millisecond, gap(ack(90)), "none came in the window or after")
	require.Equal(t, 100*time.Millisecond, gap(ack()), "none came at all")
	require.Equal(t, 80*time.Millisecond, gap(ack(180)), "the first one of all")
}

func TestALostWriteIsCountedOnceAndWhereItWasWritten(t *testing.T) {
	t.Parallel()
	mine := load.History{Attempts: []load.Attempt{
		attempt(1, 0, 1, load.Acked, ""), attempt(2, 0, 2, load.Acked, ""), attempt(3, 0, 3, load.NotExecuted, "x"), attempt(4, 0, 4, load.Unknown, "x"),
	}}
	theirs := load.History{Attempts: []load.Attempt{attempt(11, 1, 1, load.Acked, ""), attempt(12, 1, 2, load.Acked, "")}}
	check := func(rows ...[]int64) (account.Loss, account.Loss) {
		var all []load.Rows
		for _, ids := range rows {
			all = append(all, load.Rows{IDs: ids})
		}
		v := account.Merge(mine, theirs).Check(all[0], all[1:]...)
		return account.Losses(v, mine), account.Losses(v, theirs)
	}
	a, b := check([]int64{1, 2, 11, 12}, []int64{1, 2, 11, 12})
	require.Equal(t, account.Loss{Acked: 2}, a)
	require.Equal(t, account.Loss{Acked: 2}, b)
	a, b = check([]int64{1, 2, 4, 12}, []int64{1, 2, 4, 12})
	require.Equal(t, account.Loss{Acked: 2}, a, "an unknown one may be there")
	require.Equal(t, account.Loss{Acked: 2, Lost: 1}, b, "lost on two servers, lost once")
	a, b = check([]int64{1, 2, 11, 12}, []int64{1, 11, 12})
	require.Equal(t, 1, a.Lost, "every server must have it")
	require.Zero(t, b.Lost)
	a, _ = check([]int64{1, 1, 2, 3, 11, 12}, []int64{1, 2, 3, 11, 12})
	require.Equal(t, account.Loss{Acked: 2, Twice: 1, Lied: 1}, a)
	a, b = check([]int64{1, 2, 11, 12, 99}, []int64{1, 2, 11, 12, 99})
	require.Equal(t, 1, a.Apart, "nobody wrote it")
	require.Equal(t, 1, b.Apart)
}

// runs are results with these gaps, in milliseconds.
func runs(lost int, gaps ...int) (all []account.Result) {
	for _, g := range gaps {
		all = append(all, account.Result{
			Sample: account.Sample{Gap: time.Duration(g) * time.Millisecond, Acked: 10},
			Loss:   account.Loss{Acked: 10, Lost: lost},
		})
	}
	return all
}

func table(add func(k account.Key, rs ...account.Result)) {
	ours := account.Key{Engine: "E", Event: account.Planned, Who: "Tenure", Settings: "s", Client: "c", Conns: 4, Load: 4, Ours: true}
	add(ours, runs(0, 30, 10, 20)...)
	quick := account.Key{Engine: "E", Event: account.Planned, Who: "Peer", Settings: "quick", Client: "c", Conns: 4, Load: 8}
	add(quick, runs(0, 15, 16, 14)...)
	slow := quick
	slow.Settings = "slow"
	add(slow, append(runs(2, 400, 500), account.Result{Wrong: "it did not\nstart"})...)
}

func newTable() *account.Table {
	var tb account.Table
	table(func(k account.Key, rs ...account.Result) {
		for _, r := range rs {
			tb.Add(k, r)
		}
	})
	return &tb
}

func TestATableShowsEveryRunOursFirst(t *testing.T) {
	t.Parallel()
	md := newTable().Markdown()
	var rows []string
	for line := range strings.Lines(md) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| tool") {
			rows = append(rows, line)
		}
	}
	require.Len(t, rows, 3)
	require.Contains(t, rows[0], "| **Tenure, s** | c | 4 | 20ms | 30ms 10ms 20ms |")
	require.Contains(t, rows[1], "| Peer, quick | c | 4 of 8 | 15ms | 15ms 16ms 14ms |")
	require.Contains(t, rows[2], "| 450ms | 400ms 500ms not made |", "a run that was not made has no part in the median")
	require.Contains(t, rows[2], "| 2 2 not made |")
	require.Contains(t, md, "### Planned change")
}

func TestRowsThatWeLoseAreNamed(t *testing.T) {
	t.Parallel()
	tb := newTable()
	require.Equal(t, []string{"E, planned change: median of the longest gap of Tenure, s, c, 4 connections is 20ms, of Peer, quick, c, 4 connections 15ms."}, tb.Lost())
	v := tb.Verdicts()
	require.Contains(t, v, "| E, planned change | Tenure, s, c, 4 connections | Peer, quick, c, 4 connections | 3, 10ms to 30ms : 3, 14ms to 16ms | 20ms : 15ms = 1.33 (runs overlap) | 0 : 0 |")
	require.Equal(t, 3, strings.Count(v, "\n"), "one row, under a head")
	require.Empty(t, new(account.Table).Verdicts())

	var apart account.Table
	k := account.Key{Engine: "E", Event: account.Planned, Who: "Tenure", Ours: true}
	for _, r := range runs(0, 10, 30) {
		apart.Add(k, r)
	}
	k.Who, k.Ours = "Peer", false
	for _, r := range runs(0, 31, 41) {
		apart.Add(k, r)
	}
	require.Contains(t, apart.Verdicts(), "| 2, 10ms to 30ms : 2, 31ms to 41ms | 20ms : 36ms = 0.56 |", "half way between two, and no run of one side is like one of the other")
}

func TestABrokenPromiseIsAProblem(t *testing.T) {
	t.Parallel()
	tb := newTable()
	all := strings.Join(tb.Problems(false), "\n")
	require.Len(t, tb.Problems(false), 2)
	require.Contains(t, all, "run 1: 2 acknowledged writes lost")
	require.NotContains(t, all, "run 3", "it was not made")
	require.Empty(t, tb.Problems(true), "theirs are not ours")

	k := account.Key{Engine: "E", Event: account.Planned, Who: "Tenure", Ours: true}
	for _, bad := range []account.Result{
		{Loss: account.Loss{Acked: 1}, Sample: account.Sample{Acked: 1, Failed: 1}},
		{Loss: account.Loss{Acked: 1}, Sample: account.Sample{Acked: 1, NoConn: 1}},
		{Loss: account.Loss{Acked: 1}, Sample: account.Sample{Acked: 1, Unknown: 1}},
		{Loss: account.Loss{Acked: 1, Lost: 1}},
		{Loss: account.Loss{Acked: 1, Lied: 1}},
		{Loss: account.Loss{Acked: 1, Twice: 1}},
		{Loss: account.Loss{Acked: 1, Apart: 1}},
		{}, // nothing was acknowledged, so nothing was checked
	} {
		var tb account.Table
		tb.Add(k, bad)
		require.Len(t, tb.Problems(true), 1, "%+v", bad)
	}
	var crash account.Table
	k.Event = account.ServerKill
	crash.Add(k, account.Result{Loss: account.Loss{Acked: 1}, Sample: account.Sample{Acked: 1, Unknown: 1}})
	require.Empty(t, crash.Problems(true), "a crash may cost errors")
}
