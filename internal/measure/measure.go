// Package measure says what changes of a leader cost the clients that were there:
// the longest gap, latencies, errors; as a table and as a picture.
//
//	r := measure.Report{Changes: changes, Ops: ops, End: ended, Before: before, After: after}
//	fmt.Print(r.Table())
//	err := os.WriteFile("changes.svg", []byte(r.SVG()), 0o644)
//
// # Guarantees
//
// Every request is counted: at the changes it was under way at, or as one that no
// change met.
//
// # What it does not guarantee
//
// A request that was under way at two changes is counted at both.
//
// # Assumptions
//
// Times of all clients count from one moment, by one clock.
//
// # State model
//
// None: everything is a function of values.
//
// # Failure handling
//
// No function fails. Without requests everything is zero.
package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Outcome is what a client knows of its request.
type Outcome uint8

// The outcomes.
const (
	Done    Outcome = iota // answered
	Refused                // not executed, proven
	Unknown                // it may be executed, now or later
)

// Op is one request of one client. Times count from the start of the load.
type Op struct {
	Client    int
	Call, Ret time.Duration
	Outcome   Outcome
	Err       error // nil when it is Done
}

// Change is one row of the table. Times count from the start of the load.
type Change struct {
	Name, Result string
	Strict       bool // it must not cost an error
	Begin, End   time.Duration
	Leaderless   time.Duration
}

// Costs are what a change cost the clients.
type Costs struct {
	P50, P99, Max   time.Duration // of what was answered
	Requests        int
	Errors, Unknown int   // proven not executed; of unknown outcome
	First           error // of the first of these
}

// Report is the changes of one run and the requests that were sent meanwhile.
type Report struct {
	Changes []Change
	Ops     []Op          // in order of clients, and of time within a client
	End     time.Duration // when the load ended
	// Before and After widen a change: what was under way in them belongs to it.
	Before, After time.Duration
}

// Touches reports whether any part of o is at change i.
func (r Report) Touches(i int, o Op) bool {
	ch := r.Changes[i]
	return o.Ret >= ch.Begin-r.Before && o.Call <= ch.End+r.After
}

// Costs measures the requests that change i met.
func (r Report) Costs(i int) Costs {
	return Sum(r.Ops, func(o Op) bool { return r.Touches(i, o) })
}

// Calm measures the requests that no change met.
func (r Report) Calm() Costs {
	return Sum(r.Ops, func(o Op) bool {
		for i := range r.Changes {
			if r.Touches(i, o) {
				return false
			}
		}
		return true
	})
}

// Sum measures the requests that belong.
func Sum(ops []Op, belongs func(Op) bool) (c Costs) {
	var took []time.Duration
	for _, o := range ops {
		if !belongs(o) {
			continue
		}
		c.Requests++
		switch o.Outcome {
		case Done:
			took = append(took, o.Ret-o.Call)
			continue
		case Refused:
			c.Errors++
		case Unknown:
			c.Unknown++
		}
		if c.First == nil {
			c.First = o.Err
		}
	}
	slices.Sort(took)
	c.P50, c.P99, c.Max = Percentile(took, 50), Percentile(took, 99), Percentile(took, 100)
	return c
}

// Gap is the longest time between two answers in a row that one client got, of
// those that reach into change i. A client's first request begins one, and the
// end of the load ends the last.
func (r Report) Gap(i int) (gap time.Duration) {
	ch := r.Changes[i]
	span := func(from, to time.Duration) {
		if to >= ch.Begin && from <= ch.End {
			gap = max(gap, to-from)
		}
	}
	client, last := -1, time.Duration(0)
	for i, o := range r.Ops {
		if o.Client != client {
			client, last = o.Client, o.Call
		}
		if o.Outcome == Done {
			span(last, o.Ret)
			last = o.Ret
		}
		if i+1 == len(r.Ops) || r.Ops[i+1].Client != client {
			span(last, r.End)
		}
	}
	return gap
}

// Table returns the table of all changes, and what its columns mean. notes are
// put after the meaning of "no leader".
func (r Report) Table(notes ...string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "#\tchange\tresult\tno leader\tclient gap\tp50\tp99\tmax\trequests\terrors\tunknown")
	row := func(number, name, result, leaderless, gap string, c Costs) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", number, name, result, leaderless, gap,
			Short(c.P50), Short(c.P99), Short(c.Max), c.Requests, c.Errors, c.Unknown)
	}
	for i, ch := range r.Changes {
		row(fmt.Sprint(i+1), ch.Name, ch.Result, Short(ch.Leaderless), Short(r.Gap(i)), r.Costs(i))
	}
	row("", "no change", "", "", "", r.Calm())
	_ = w.Flush() // a Builder does not fail
	b.WriteString("\nno leader   from when the leader began to be revoked, or was killed or paused, until the grant")
	for _, n := range notes {
		b.WriteString(";\n            " + n)
	}
	fmt.Fprintf(&b, `
client gap  longest time between two answers in a row that one client got, around the change
p50 to unknown  requests that were under way from %s before the change until %s after;
            errors are proven not executed, unknown may be executed
`, r.Before, r.After)
	return b.String()
}

// Percentile is that of sorted durations, by the nearest rank; 0 for none.
func Percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(float64(len(sorted)*p) / 100))
	return sorted[max(rank, 1)-1]
}

// Short formats a duration for a table, "-" for none.
func Short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}
