package lameduck

import (
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Report is the account of one drain.
type Report struct {
	// Gate is the gate's name.
	Gate string
	// Term is the term that was served.
	Term leadership.Term
	// Phase is how far it came: Drained, Forced, or where it was broken off.
	Phase Phase

	// Total is how long Drain took, the others are the time in each phase.
	Total, Announce, Units, All, Cancel time.Duration

	// Before is what was in flight when it began.
	Before Counts
	// Finished is the number of requests that exited after the gate was first
	// announced or closed, those that were cancelled included.
	Finished int
	// FinishedUnits is the same of units.
	FinishedUnits int
	// EndedUnits is the number of units that were ended or cut.
	EndedUnits int
	// Refused is the number of entries that were refused.
	Refused int
	// Cancelled is the number of requests that ran when contexts were
	// cancelled.
	Cancelled int
	// Surviving is the number of requests that still ran at the end.
	Surviving int
	// Streams is the number of streams open at the end.
	Streams int
	// Survivors names those that still ran and came in as units or through
	// EnterInfo, at most Plan.Survivors of them.
	Survivors []Info
	// Abandoned are the units whose Options.EndUnit had not returned in time.
	Abandoned []Info
}

func (r *Report) spent(p Phase, d time.Duration, any bool) {
	if !any {
		return
	}
	switch p {
	case Announced:
		r.Announce += d
	case DrainUnits:
		r.Units += d
	case DrainAll:
		r.All += d
	case Cancelled:
		r.Cancel += d
	}
}

// String returns the report in a few lines for people.
func (r Report) String() string {
	var b strings.Builder
	name := r.Gate
	if name == "" {
		name = "gate"
	}
	fmt.Fprintf(&b, "%s at term %s: %s after %v", name, r.Term, r.Phase, r.Total)
	sep := " ("
	for _, p := range []struct {
		name string
		d    time.Duration
	}{{"announced", r.Announce}, {"units", r.Units}, {"all", r.All}, {"cancelled", r.Cancel}} {
		if p.d > 0 {
			fmt.Fprintf(&b, "%s%s %v", sep, p.name, p.d)
			sep = ", "
		}
	}
	if sep == ", " {
		b.WriteByte(')')
	}
	fmt.Fprintf(&b, "\n  before: %d requests, %d units, %d streams", r.Before.Active, r.Before.Units, r.Before.Streams)
	fmt.Fprintf(&b, "\n  finished %d requests and %d units, ended %d units, refused %d, cancelled %d, %d survive, %d streams open",
		r.Finished, r.FinishedUnits, r.EndedUnits, r.Refused, r.Cancelled, r.Surviving, r.Streams)
	list(&b, "survivor", r.Survivors)
	list(&b, "abandoned", r.Abandoned)
	return b.String()
}

func list(b *strings.Builder, what string, of []Info) {
	for _, s := range of {
		label := s.Label
		if label == "" {
			label = "(no label)"
		}
		fmt.Fprintf(b, "\n  %s: %s %s", what, s.Kind, label)
		if !s.Since.IsZero() {
			fmt.Fprintf(b, " since %s", s.Since.Format(time.RFC3339))
		}
	}
}

// totals are the counters of a gate that only rise.
type totals struct{ refused, finished, finishedUnits, endedUnits uint64 }

func (t *totals) add(c *Cell) {
	t.refused += c.refused.Load()
	t.finished += c.finished.Load()
	t.finishedUnits += c.finishedUnits.Load()
	t.endedUnits += c.endedUnits.Load()
}

// totals is called with the tree locked.
func (g *Gate) totals() totals {
	t := g.folded
	for _, c := range g.cells {
		t.add(c)
	}
	for _, ch := range g.children {
		u := ch.totals()
		t.refused += u.refused
		t.finished += u.finished
		t.finishedUnits += u.finishedUnits
		t.endedUnits += u.endedUnits
	}
	return t
}

// count fills in the report at the end, with the tree locked.
func (r *run) count(left int) {
	t := r.g.totals()
	rep := &r.report
	rep.Refused = int(t.refused - r.base.refused)
	rep.EndedUnits = int(t.endedUnits - r.base.endedUnits)
	rep.FinishedUnits = int(t.finishedUnits - r.base.finishedUnits)
	rep.Finished = int(t.finished - r.base.finished)
	rep.Surviving = left
	rep.Streams = r.g.sum().Streams
	limit := r.plan.Survivors
	if limit == 0 {
		limit = defaultSurvivors
	}
	r.g.eachCell(func(c *Cell) {
		c.slots.each(func(s *slot) {
			if len(rep.Survivors) >= limit {
				return
			}
			if info, _, st := s.read(); info.Kind != Stream && info.Active > 0 && st&(slotOpen|slotCut|slotExited) != 0 {
				rep.Survivors = append(rep.Survivors, info)
			}
		})
	})
}
