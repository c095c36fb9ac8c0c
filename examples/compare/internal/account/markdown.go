package account

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
)

func gap(r Result) time.Duration  { return r.Gap }
func one(r Result) time.Duration  { return r.WriterGap }
func calm(r Result) time.Duration { return r.Calm }

// Markdown is all rows, one table for each engine and event.
func (t *Table) Markdown() string {
	var b strings.Builder
	var engines []string
	for _, r := range t.Rows {
		if !slices.Contains(engines, r.Engine) {
			engines = append(engines, r.Engine)
		}
	}
	for _, engine := range engines {
		fmt.Fprintf(&b, "## %s\n\n", engine)
		for _, e := range Events() {
			if rows := t.Of(engine, e); len(rows) > 0 {
				fmt.Fprintf(&b, "### %s\n\n", capital(string(e)))
				b.WriteString(table(rows))
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func table(rows []Row) string {
	var b strings.Builder
	b.WriteString("| tool, settings | client | connections | longest gap, median | each run | one writer's | before it | failed | no connection | unknown | acknowledged | lost |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		who := r.Who + ", " + r.Settings
		if r.Ours {
			who = "**" + who + "**"
		}
		conns := fmt.Sprint(r.Conns)
		if r.Load != r.Conns {
			conns += fmt.Sprintf(" of %d", r.Load)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d | %s |\n", who, r.Client, conns,
			measure.Short(r.Median(gap)), r.each(func(x Result) string { return measure.Short(x.Gap) }),
			measure.Short(r.Median(one)), measure.Short(r.Median(calm)),
			r.counts(func(x Result) int { return x.Failed }), r.counts(func(x Result) int { return x.NoConn }),
			r.counts(func(x Result) int { return x.Unknown }), r.sum(func(x Result) int { return x.Sample.Acked }),
			r.counts(func(x Result) int { return x.Lost }))
	}
	return b.String()
}

// each is a figure of every run, in the order in which they were made.
func (r Row) each(f func(Result) string) string {
	var all []string
	for _, x := range r.Runs {
		if x.Wrong != "" {
			all = append(all, "not made")
			continue
		}
		all = append(all, f(x))
	}
	return strings.Join(all, " ")
}

func (r Row) counts(f func(Result) int) string {
	return r.each(func(x Result) string { return fmt.Sprint(f(x)) })
}

// Problems are what no run may show: a write that was acknowledged and is not on
// every server or there twice, one that was said not to be executed and is there,
// and, of ours, an error at a planned change. A run that was not made is one too.
func (t *Table) Problems() (all []string) {
	for _, r := range t.Rows {
		say := func(format string, args ...any) {
			all = append(all, fmt.Sprintf("%s, %s, %s, %s, %s, %d connections: ", r.Engine, r.Event, r.Who, r.Settings, r.Client, r.Conns)+fmt.Sprintf(format, args...))
		}
		for i, x := range r.Runs {
			switch {
			case x.Wrong != "":
				say("run %d was not made: %s", i+1, oneLine(x.Wrong))
				continue
			case x.Loss.Acked == 0:
				say("run %d: no write was acknowledged, so nothing was checked", i+1)
			}
			if x.Lost+x.Twice+x.Lied+x.Apart > 0 {
				say("run %d: %d acknowledged writes lost, %d there twice, %d there that were said not to be, %d ids that servers disagree about", i+1, x.Lost, x.Twice, x.Lied, x.Apart)
			}
			if r.Ours && r.Event == Planned && x.Errors() > 0 {
				say("run %d: a planned change cost %d errors, the first %s", i+1, x.Errors(), oneLine(x.First))
			}
		}
	}
	return all
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}

// Verdicts say, for each engine and event, how our rows stand to the best of the
// others: by the longest gap, by errors and by lost writes, the rows that we lose
// too.
func (t *Table) Verdicts() (all []string) {
	var engines []string
	for _, r := range t.Rows {
		if !slices.Contains(engines, r.Engine) {
			engines = append(engines, r.Engine)
		}
	}
	for _, engine := range engines {
		for _, e := range Events() {
			var best, other *Row
			for _, r := range t.Of(engine, e) {
				if len(r.made()) == 0 {
					continue
				}
				if p := map[bool]**Row{true: &best, false: &other}[r.Ours]; *p == nil || r.Median(gap) < (*p).Median(gap) {
					*p = &r
				}
			}
			if best == nil || other == nil {
				continue
			}
			for _, r := range t.Of(engine, e) {
				if r.Ours && len(r.made()) > 0 {
					all = append(all, engine+", "+string(e)+": "+against(r, *other))
				}
			}
		}
	}
	return all
}

// against says how one of our rows stands to the one of the others with the
// shortest gap.
func against(ours, other Row) string {
	name := func(r Row) string {
		return fmt.Sprintf("%s, %s, %s, %d connections", r.Who, r.Settings, r.Client, r.Conns)
	}
	a, b := ours.Median(gap), other.Median(gap)
	word := "shorter"
	if a > b {
		word = "LONGER"
	}
	text := fmt.Sprintf("%s (%s) is %s than the best of the others, %s (%s): %.2fx", name(ours), measure.Short(a), word, name(other), measure.Short(b), float64(a)/float64(max(b, 1)))
	perRun := func(r Row, f func(Result) int) float64 { return float64(r.sum(f)) / float64(len(r.made())) }
	for _, c := range []struct {
		what string
		f    func(Result) int
	}{
		{"failed writes", func(x Result) int { return x.Failed + x.NoConn }},
		{"unknown outcomes", func(x Result) int { return x.Unknown }},
		{"lost writes", func(x Result) int { return x.Lost }},
	} {
		x, y := perRun(ours, c.f), perRun(other, c.f)
		if x > y {
			text += fmt.Sprintf("; MORE %s, %.1f against %.1f a run", c.what, x, y)
		} else {
			text += fmt.Sprintf("; %s %.1f against %.1f a run", c.what, x, y)
		}
	}
	return text
}
