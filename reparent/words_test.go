package reparent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
)

// says fails unless every line is in the text, in that order.
func says(t *testing.T, text string, lines ...string) {
	t.Helper()
	rest := text
	for _, l := range lines {
		_, after, ok := strings.Cut(rest, l+"\n")
		require.True(t, ok, "%q is not there, or not after the one before:\n%s", l, text)
		rest = after
	}
}

// A report is read by somebody who was woken up: what a change did, what it heard
// and did not count, and what is left to do.
func TestAReportTellsAPersonWhatBecameOfTheChange(t *testing.T) {
	t.Parallel()
	at := leadership.Position{Term: leadership.Term{Num: 2, Proposer: "c"}, Point: leadership.LogPoint{Index: 4}}
	r := &reparent.Report{
		Cluster: "orders", Kind: leadership.KindEmergency, From: "n1", To: "n2", Term: leadership.Term{Num: 3, Proposer: "c"},
		Outcome: reparent.Incomplete, Failed: reparent.StepInstall, Took: 1234567 * time.Nanosecond, Gap: 90 * time.Minute,
		Steps: []reparent.StepReport{
			{Step: reparent.StepRevoke, At: time.Millisecond, Took: 2 * time.Millisecond},
			{Step: reparent.StepInstall, At: 3 * time.Millisecond, Took: time.Second, Error: "one\ntwo"},
		},
		Testimony: []reparent.Heard{
			{Node: "n2", Kind: leadership.Promised, Position: &at},
			{Node: "n3", Kind: leadership.Promised, Ignored: "it is of another storage"},
		},
		Accepted:   []leadership.NodeID{"n2", "n3"},
		Passed:     []establish.Passed{{Node: "n4", Reason: "it is behind"}},
		Waivers:    []leadership.Waiver{{Gone: []leadership.NodeID{"n1"}, Reason: "its disk burnt", By: "ann", Loss: true}, {Gone: []leadership.NodeID{"n5"}, Reason: "sold", By: "bob"}},
		Stragglers: []leadership.NodeID{"n3"},
		Notes:      []string{"the registry was slow"},
		Err:        errors.New("it broke\nhere"),
		Undo:       &reparent.Report{Cluster: "orders", Kind: leadership.KindUndo, To: "n1", Outcome: reparent.Done, Took: 2 * time.Second},
	}
	says(t, r.String(),
		"emergency change of orders: n1 -> n2 under term 3.c: incomplete in 1.23ms, failed at install, 1h30m0s without a leader",
		"  revoke      2ms at +1ms",
		"  install     1s at +3ms: one; two",
		"  heard       n2 promised at "+at.String(),
		"  heard       n3 promised (ignored: it is of another storage)",
		"  accepted    n2, n3",
		"  passed over n4: it is behind",
		"  waived      n1 declared gone by ann: its disk burnt, acknowledged requests may be lost",
		"  waived      n5 declared gone by bob: sold",
		"  stragglers  n3 (Sweep owes them a Follow)",
		"  note        the registry was slow",
		"  error       it broke; here",
		"    undo change of orders: n1: done in 2s",
	)
	b, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(b), `"error":"it broke\nhere"`)

	for _, c := range []struct {
		r    reparent.Report
		want leadership.NodeID
	}{
		{reparent.Report{Outcome: reparent.Done, From: "n1", To: "n2"}, "n2"},
		{reparent.Report{Outcome: reparent.NotStarted, From: "n1", To: "n2"}, "n1"},
		{reparent.Report{Outcome: reparent.Restored, From: "n1", To: "n2", Undo: &reparent.Report{To: "n1"}}, "n1"},
		{reparent.Report{Outcome: reparent.Restored, From: "n1", To: "n2"}, ""},
		{reparent.Report{Outcome: reparent.Incomplete, From: "n1", To: "n2"}, ""},
		{reparent.Report{Outcome: reparent.Unsaved, From: "n1", To: "n2"}, "n2"},
		{reparent.Report{Outcome: reparent.Unknown, From: "n1", To: "n2"}, ""},
	} {
		require.Equal(t, c.want, c.r.Leader(), c.r.Outcome)
	}
}

func TestASweepReportTellsWhatBecameOfEachNode(t *testing.T) {
	t.Parallel()
	r := &reparent.SweepReport{
		Leadership: leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 3, Proposer: "c"}},
		Saved:      true,
		Nodes:      []reparent.Swept{{Node: "n1", Did: "leads"}, {Node: "n2", Err: errors.New("no route\nto it")}},
	}
	says(t, r.String(),
		"sweep to "+r.Leadership.String(),
		"  the record was brought up to date",
		"  n1          leads",
		"  n2          no route; to it")
}

func TestAPlanTellsWhoCouldLeadAndWhyOthersCannot(t *testing.T) {
	t.Parallel()
	p := &reparent.Plan{
		Cluster: "orders", Kind: leadership.KindPlanned, From: "n1",
		Choice: establish.Choice{To: "n2", Passed: []establish.Passed{{Node: "n3", Reason: "it does not answer"}}},
		Steps:  []reparent.Step{reparent.StepBegin, reparent.StepRevoke},
		Nodes: []reparent.NodeFindings{
			{Status: leadership.Status{Node: "n2", Reachable: true, Degraded: "its disk is slow"},
				Findings: []leadership.Finding{{Condition: "granted", Because: "it holds no grant"}, {Condition: "routed", Holds: true, Because: "clients go there"}}},
			{Status: leadership.Status{Node: "n3"}},
		},
		Missing: [][]leadership.NodeID{{"n1", "n3"}},
	}
	says(t, p.String(),
		"plan of a planned change of orders: n1 -> n2",
		"  steps       begin, revoke",
		"    no  granted    it holds no grant",
		"    yes routed     clients go there",
		"  n3          does not answer",
		"  passed over n3: it does not answer",
		"  missing     n1, n3")
	require.Contains(t, p.String(), ", degraded: its disk is slow\n")
	p.Choice.To = "n1"
	says(t, p.String(), "plan of a planned change of orders: n1")
	p.Choice.To = ""
	says(t, p.String(), "plan of a planned change of orders: nobody can be established")
}

// The log has one line per step, with what somebody would search for.
func TestEveryStepOfAChangeIsLogged(t *testing.T) {
	t.Parallel()
	inSim(t, reparenttest.LogStore(), func(t *testing.T, c *cluster) {
		var log bytes.Buffer
		rep, err := c.change("c1", reparent.Change{Kind: leadership.KindPlanned, To: "n2"}, func(cfg *reparent.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		require.NoError(t, err)
		for _, s := range rep.Steps {
			require.Contains(t, log.String(), `msg="reparent: `+string(s.Step)+`"`)
		}
		last := log.String()[strings.LastIndex(strings.TrimSpace(log.String()), "\n")+1:]
		for _, attr := range []string{"level=INFO", "cluster=", "kind=planned", "term=" + rep.Term.String(), "from=n1", "to=n2", "error=<nil>"} {
			require.Contains(t, last, attr)
		}
	})
}
