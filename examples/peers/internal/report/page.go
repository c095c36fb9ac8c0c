package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Page is all that the page shows.
type Page struct {
	Machine Machine
	// Day is the day of the run, "2006-01-02".
	Day string
	// Peers are the modules that were measured, with their versions.
	Peers []Module
	// Rounds of the run, and whether it was a quick one, whose figures are not
	// worth quoting.
	Rounds int
	Quick  bool
	Rows   []Row
}

// Machine is where it ran.
type Machine struct {
	CPU    string
	Cores  int
	Kernel string
	Go     string
}

// Module is a dependency.
type Module struct{ Path, Version string }

// Lost are the rows that do not meet their bar.
func (p Page) Lost() []Row {
	var lost []Row
	for _, r := range p.Rows {
		if r.Bar.Want && !r.Met && !r.Inconclusive {
			lost = append(lost, r)
		}
	}
	return lost
}

// hopeless are those of them whose bar the floor misses too.
func (p Page) hopeless() (n int) {
	for _, r := range p.Lost() {
		if r.Floor != "" {
			n++
		}
	}
	return n
}

// Markdown renders the page.
func (p Page) Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	if p.Quick {
		b.WriteString("\n**This was a quick run, made to see that every row can be measured. Do not quote its figures.**\n")
	}
	p.where(&b)
	p.summary(&b)
	for _, g := range p.groups() {
		p.table(&b, g)
	}
	p.lost(&b)
	b.WriteString(outro)
	return b.String()
}

// groups are named in the order in which they come first.
func (p Page) groups() []string {
	var names []string
	for _, r := range p.Rows {
		if !slices.Contains(names, r.Group) {
			names = append(names, r.Group)
		}
	}
	return names
}

func (p Page) where(b *strings.Builder) {
	m := p.Machine
	fmt.Fprintf(b, "\n## Where\n\n%s, %d cores, %s, %s. Run on %s, %d rounds.\n\n", m.CPU, m.Cores, m.Kernel, m.Go, p.Day, p.Rounds)
	b.WriteString("| peer | version |\n|---|---|\n")
	for _, d := range p.Peers {
		fmt.Fprintf(b, "| %s | %s |\n", d.Path, d.Version)
	}
}

func (p Page) summary(b *strings.Builder) {
	met, lost, undecided, shown := 0, len(p.Lost()), 0, 0
	for _, r := range p.Rows {
		switch {
		case !r.Bar.Want:
			shown++
		case r.Inconclusive:
			undecided++
		case r.Met:
			met++
		}
	}
	fmt.Fprintf(b, "\n%d bars met, %d missed, %d inconclusive; %d rows have no bar.", met, lost, undecided, shown)
	if n := p.hopeless(); n > 0 {
		fmt.Fprintf(b, " Of those missed, %d have a bar below what the floor of the same run came to.", n)
	}
	b.WriteString("\n")
}

func (p Page) table(b *strings.Builder, group string) {
	fmt.Fprintf(b, "\n## %s\n\n| work | unit | Tenure | peers | ratio | objects per operation | bar | |\n|---|---|---:|---|---:|---|---|---|\n", group)
	var notes []string
	for _, r := range p.Rows {
		if r.Group != group {
			continue
		}
		mark := ""
		if r.Note != "" {
			at := slices.Index(notes, r.Note)
			if at < 0 {
				at, notes = len(notes), append(notes, r.Note)
			}
			mark = fmt.Sprintf(" [%d]", at+1)
		}
		fmt.Fprintf(b, "| %s%s | %s | %s | %s | %s | %s | %s | %s |\n",
			cellText(r.Name), mark, r.Unit, r.ours(), r.peers(), number(r.Ratio), r.objects(), cellText(r.Bar.Text), r.verdict())
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	for i, n := range notes {
		fmt.Fprintf(b, "- [%d] %s.\n", i+1, strings.TrimSuffix(n, "."))
	}
}

func (p Page) lost(b *strings.Builder) {
	b.WriteString("\n## What we lose\n\n### Bars that we miss\n\n")
	defer p.quicker(b)
	lost := p.Lost()
	if len(lost) == 0 {
		b.WriteString("Every row that this run could decide meets its bar.\n")
		return
	}
	b.WriteString("| group | work | unit | Tenure | peers | ratio | bar |\n|---|---|---|---:|---|---:|---|\n")
	for _, r := range lost {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n",
			r.Group, cellText(r.Name), r.Unit, r.ours(), r.peers(), number(r.Ratio), cellText(r.Bar.Text)+r.below())
	}
}

// quicker names what needed less than ours, whatever the bar: peers, what they are made
// of, and floors.
func (p Page) quicker(b *strings.Builder) {
	b.WriteString("\n### What is quicker than ours\n\n")
	none := true
	for _, r := range p.Rows {
		var all []string
		for _, t := range r.Theirs {
			if t.Value < r.Ours {
				all = append(all, t.Name+" "+number(t.Value))
			}
		}
		if len(all) > 0 {
			none = false
			fmt.Fprintf(b, "- %s, %s, %s: ours %s; %s.\n", r.Group, r.Name, r.Unit, number(r.Ours), strings.Join(all, ", "))
		}
	}
	if none {
		b.WriteString("Nothing in this run.\n")
	}
}

// below says that the floor misses the bar too.
func (r Row) below() string {
	if r.Floor == "" {
		return ""
	}
	return " (below the floor: " + cellText(r.Floor) + ")"
}

// verdict is whether the row meets its bar.
func (r Row) verdict() string {
	switch {
	case !r.Bar.Want:
		return ""
	case r.Inconclusive:
		return "inconclusive"
	case r.Met:
		return "met"
	}
	return "**MISSED**" + r.below()
}

func figure(v float64, note string) string {
	if note == "" {
		return number(v)
	}
	return number(v) + " (" + cellText(note) + ")"
}

func (r Row) ours() string { return figure(r.Ours, r.OursNote) }

func (r Row) peers() string {
	var all []string
	for _, t := range r.Theirs {
		all = append(all, cellText(t.Name)+" "+figure(t.Value, t.Note))
	}
	return strings.Join(all, "<br>")
}

// objects are those of ours and of the first peer, where they were counted.
func (r Row) objects() string {
	if r.Allocs < 0 {
		return ""
	}
	s := number(r.Allocs)
	if len(r.Theirs) > 0 && r.Theirs[0].Allocs >= 0 {
		s += " / " + number(r.Theirs[0].Allocs)
	}
	return s
}

func cellText(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// number shows three digits, and all of those before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a == 0:
		return "0"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.095:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a >= 0.0005:
		return strconv.FormatFloat(v, 'f', 4, 64)
	}
	return strconv.FormatFloat(v, 'e', 1, 64)
}
