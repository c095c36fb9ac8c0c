package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
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

// report is what the steps cost the clients. ops are in order of clients, and of
// time within a client.
func report(steps []*step, ops []op) measure.Report {
	r := measure.Report{After: after}
	for _, s := range steps {
		r.Changes = append(r.Changes, measure.Change{Name: s.name, Result: s.result, Begin: s.begin, End: s.end})
	}
	for _, o := range ops {
		m := measure.Op{Client: o.client, Call: o.call, Ret: o.ret, Outcome: o.outcome}
		if o.outcome != done {
			m.Err = errors.New(o.why)
		}
		r.Ops = append(r.Ops, m)
		r.End = max(r.End, o.ret)
	}
	return r
}

func table(r measure.Report) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "step\tresult\tgap\tp50\tp99\tmax\trequests\terrors\tunknown")
	row := func(name, result string, gap time.Duration, c measure.Costs) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", name, result, measure.Short(gap), measure.Short(c.P50), measure.Short(c.P99), measure.Short(c.Max), c.Requests, c.Errors, c.Unknown)
	}
	for i, s := range r.Changes {
		row(s.Name, s.Result, r.Gap(i), r.Costs(i))
	}
	row("no step", "", 0, r.Calm())
	_ = w.Flush() // into memory
	return b.String()
}

// verdict is what was checked at the end.
type verdict struct {
	all      measure.Costs
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
	v.all = measure.Sum(report(nil, ops).Ops, func(measure.Op) bool { return true })
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
