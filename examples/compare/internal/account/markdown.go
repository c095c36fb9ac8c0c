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
	for _, engine := range t.engines() {
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
// and, of ours, an error at a planned change. A run that was not made shows nothing. With
// ours, only those of our rows.
func (t *Table) Problems(ours bool) (all []string) {
	for _, r := range t.Rows {
		if ours && !r.Ours {
			continue
		}
		say := func(format string, args ...any) {
			all = append(all, fmt.Sprintf("%s, %s, %s, %s, %s, %d connections: ", r.Engine, r.Event, r.Who, r.Settings, r.Client, r.Conns)+fmt.Sprintf(format, args...))
		}
		for i, x := range r.Runs {
			switch {
			case x.Wrong != "":
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

// engines are those of the rows, in their order.
func (t *Table) engines() (all []string) {
	for _, r := range t.Rows {
		if !slices.Contains(all, r.Engine) {
			all = append(all, r.Engine)
		}
	}
	return all
}

// figures are what a row is compared by. Less is better.
var figures = []struct {
	what string
	of   func(Row) float64
	show func(float64) string
}{
	{"median of the longest gap", func(r Row) float64 { return float64(r.Median(gap)) }, func(f float64) string { return measure.Short(time.Duration(f)) }},
	{"mean of failed writes", func(r Row) float64 { return r.mean(func(x Result) int { return x.Failed + x.NoConn }) }, count},
	{"mean of unknown outcomes", func(r Row) float64 { return r.mean(func(x Result) int { return x.Unknown }) }, count},
	{"mean of lost writes", func(r Row) float64 { return r.mean(func(x Result) int { return x.Lost }) }, count},
}

func count(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

func (r Row) mean(f func(Result) int) float64 {
	n := len(r.made())
	if n == 0 {
		return 0
	}
	return float64(r.sum(f)) / float64(n)
}

// title names a row where engine and event are known.
func (r Row) title() string {
	return fmt.Sprintf("%s, %s, %s, %d connections", r.Who, r.Settings, r.Client, r.Conns)
}

// pairs calls f for each of our rows that was run, with the others of its engine and
// event that were.
func (t *Table) pairs(f func(ours Row, others []Row)) {
	for _, engine := range t.engines() {
		for _, e := range Events() {
			var ours, others []Row
			for _, r := range t.Of(engine, e) {
				switch {
				case len(r.made()) == 0:
				case r.Ours:
					ours = append(ours, r)
				default:
					others = append(others, r)
				}
			}
			for _, r := range ours {
				if len(others) > 0 {
					f(r, others)
				}
			}
		}
	}
}

// span says how many runs a row has, and from where to where their gaps go.
func (r Row) span() string {
	all := r.sorted(gap)
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, %s to %s", len(all), measure.Short(all[0]), measure.Short(all[len(all)-1]))
}

// overlap says that some run of each row had a gap within the range of the other: then
// the ratio of their medians may be chance.
func overlap(a, b Row) bool {
	x, y := a.sorted(gap), b.sorted(gap)
	return len(x) > 0 && len(y) > 0 && x[0] <= y[len(y)-1] && y[0] <= x[len(x)-1]
}

// Verdicts is a table of how each of our rows stands to the best of the others, which
// is the one with the shortest gap; "" when there is nothing to compare with.
func (t *Table) Verdicts() string {
	var b strings.Builder
	t.pairs(func(ours Row, others []Row) {
		best := others[0]
		fmt.Fprintf(&b, "| %s, %s | %s | %s | %s : %s ", ours.Engine, ours.Event, ours.title(), best.title(), ours.span(), best.span())
		for i, f := range figures {
			x, y := f.of(ours), f.of(best)
			fmt.Fprintf(&b, "| %s : %s ", f.show(x), f.show(y))
			if i == 0 && y > 0 {
				fmt.Fprintf(&b, "= %.2f ", x/y)
				if overlap(ours, best) {
					b.WriteString("(runs overlap) ")
				}
			}
		}
		b.WriteString("|\n")
	})
	if b.Len() == 0 {
		return ""
	}
	head := "| | ours | best of the others | runs, shortest to longest gap |"
	for _, f := range figures {
		head += " " + f.what + " |"
	}
	return head + "\n" + strings.Repeat("|---", len(figures)+4) + "|\n" + b.String()
}

// Lost are the rows that we lose: any figure of ours that any row of the others, of
// the same engine and event, is better in.
func (t *Table) Lost() (all []string) {
	t.pairs(func(ours Row, others []Row) {
		for _, f := range figures {
			for _, o := range others {
				if a, b := f.of(ours), f.of(o); b < a {
					all = append(all, fmt.Sprintf("%s, %s: %s of %s is %s, of %s %s.", ours.Engine, ours.Event, f.what, ours.title(), f.show(a), o.title(), f.show(b)))
				}
			}
		}
	})
	return all
}
