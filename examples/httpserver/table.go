package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tenure-go/tenure/examples/internal/loadtest"
	"github.com/tenure-go/tenure/leadership"
)

// after is how long after its end the requests belong to a step.
const after = 200 * time.Millisecond

// step is one row of the table.
type step struct {
	name, result string
	begin, end   time.Duration
	report       string
}

func (s *step) touches(o op) bool { return o.ret >= s.begin && o.call <= s.end+after }

// costs are what requests cost their clients.
type costs struct {
	p50, p99, max             time.Duration
	requests, errors, unknown int
	first                     string // the first failure
}

func sum(ops []op, belongs func(op) bool) (c costs) {
	var took []time.Duration
	for _, o := range ops {
		if !belongs(o) {
			continue
		}
		c.requests++
		switch o.outcome {
		case done:
			took = append(took, o.ret-o.call)
			continue
		case refused:
			c.errors++
		case unknown:
			c.unknown++
		}
		if c.first == "" {
			c.first = o.why
		}
	}
	slices.Sort(took)
	c.p50, c.p99, c.max = loadtest.Percentile(took, 50), loadtest.Percentile(took, 99), loadtest.Percentile(took, 100)
	return c
}

// gap is the longest time between two answers in a row that one client got, of
// those that reach into the step. ops are in order of clients, and of time.
func (s *step) gap(ops []op) (gap time.Duration) {
	client, last := -1, time.Duration(0)
	for _, o := range ops {
		if o.client != client {
			client, last = o.client, o.call
		}
		if o.outcome != done {
			continue
		}
		if o.ret >= s.begin && last <= s.end {
			gap = max(gap, o.ret-last)
		}
		last = o.ret
	}
	return gap
}

func table(steps []*step, ops []op) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "step\tresult\tgap\tp50\tp99\tmax\trequests\terrors\tunknown")
	row := func(name, result string, gap time.Duration, c costs) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", name, result, loadtest.Short(gap), loadtest.Short(c.p50), loadtest.Short(c.p99), loadtest.Short(c.max), c.requests, c.errors, c.unknown)
	}
	for _, s := range steps {
		row(s.name, s.result, s.gap(ops), sum(ops, s.touches))
	}
	row("no step", "", 0, sum(ops, func(o op) bool {
		return !slices.ContainsFunc(steps, func(s *step) bool { return s.touches(o) })
	}))
	w.Flush()
	return b.String()
}

// verdict is what was checked at the end.
type verdict struct {
	all      costs
	writes   int // acknowledged
	problems []string
}

// verify reads the store and compares it with what the clients were told. With
// fenced, the store must also show one leader after the other.
func verify(file string, ops []op, fenced bool) (v verdict, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return v, err
	}
	found := map[string]int{}
	var last leadership.Term
	for line := range strings.Lines(string(b)) {
		id, text, _ := strings.Cut(line, " ")
		found[id]++
		t, err := leadership.ParseTerm(strings.TrimSpace(text))
		if err != nil {
			return v, err
		}
		if fenced && t.Less(last) {
			v.problems = append(v.problems, fmt.Sprintf("order %s of term %s was added after one of term %s", id, t, last))
		}
		last = leadership.MaxTerm(last, t)
	}
	v.all = sum(ops, func(op) bool { return true })
	for _, o := range ops {
		if o.fell != "" {
			v.problems = append(v.problems, o.fell)
		}
		if o.order == "" {
			continue
		}
		n := found[o.order]
		switch {
		case o.outcome == done && n == 0:
			v.problems = append(v.problems, "order "+o.order+" was acknowledged and is missing")
		case o.outcome == refused && n > 0:
			v.problems = append(v.problems, "order "+o.order+" was executed though its client got proof that it was not")
		case n > 1:
			v.problems = append(v.problems, fmt.Sprintf("order %s was executed %d times", o.order, n))
		}
		if o.outcome == done {
			v.writes++
		}
	}
	return v, nil
}
