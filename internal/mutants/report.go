package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// print is one row of the table: the mutation, the rule it takes out, which test
// caught it, and how fast.
func (r result) print(w io.Writer, verbose bool) {
	fmt.Fprintf(w, "%-8s %-34s", r.verdict, r.m.name)
	switch r.verdict {
	case caught:
		how := ""
		if r.hung {
			how = " by hanging, which is its effect"
		}
		fmt.Fprintf(w, " %7s  (+%s to build)  %s %s%s\n", short(r.took), short(r.built), r.by.pkg, r.test, how)
	case survived:
		fmt.Fprintf(w, " %7s  %s\n", short(r.took), checksText(r.m.checks))
	default:
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "         %s [%s]\n", r.m.rule, r.m.ids)
	if r.err != nil {
		fmt.Fprintf(w, "         %s\n", indent(r.err.Error()))
	}
	switch {
	case r.verdict == broken && r.output != "":
		fmt.Fprintf(w, "         %s\n", indent(tail(r.output, 30)))
	case verbose && r.output != "":
		fmt.Fprintf(w, "         %s\n", indent(head(r.output, 12)))
	}
}

// summary prints the counts, and is the exit code.
func summary(w io.Writer, rs []result, took time.Duration, interrupted bool) int {
	n := map[verdict]int{}
	var tests time.Duration
	for _, r := range rs {
		n[r.verdict]++
		tests += r.took
	}
	fmt.Fprintf(w, "%d mutations: %d caught, %d survived, %d errors, %d not run, in %s (%s of it tests)\n",
		len(rs), n[caught], n[survived], n[broken], n[notRun], short(took), short(tests))
	for _, v := range []verdict{survived, broken, notRun} {
		for _, r := range rs {
			if r.verdict == v {
				fmt.Fprintf(w, "  %s: %s\n", v, r.m.name)
			}
		}
	}
	if interrupted || n[survived]+n[broken] > 0 || n[caught] == 0 {
		return 1
	}
	return 0
}

func printList(w io.Writer, ms []mutation) {
	for _, m := range ms {
		fmt.Fprintf(w, "%-34s %s [%s]\n%-34s %s: %s\n", m.name, m.rule, m.ids, "", m.file, checksText(m.checks))
	}
}

func checksText(cs []check) string {
	var parts []string
	for _, c := range cs {
		parts = append(parts, strings.TrimSpace(strings.Join(c.env, " ")+" "+c.pkg+" -run '"+c.run+"'"))
	}
	return strings.Join(parts, ", then ")
}

func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func indent(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n         ")
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func head(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[:min(len(all), lines)], "\n")
}
