package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tenure-go/tenure/examples/internal/loadtest"
)

// costs are what a change cost the clients.
type costs struct {
	gap           time.Duration // the longest time a client went without an answer
	p50, p99, max time.Duration
	requests      int
	errors, lost  int // proven not executed; of unknown outcome
	firstErr      error
}

// window is the span whose requests belong to the change.
func (ch *change) window() (from, to time.Duration) { return ch.begin - before, ch.end + after }

// touches reports whether any part of the request is in the window.
func (ch *change) touches(o op) bool {
	from, to := ch.window()
	return o.ret >= from && o.call <= to
}

// measure returns what a change cost. ops are in order of clients, and of time
// within a client; end is when the load ended.
func measure(ch *change, ops []op, end time.Duration) costs {
	c := sum(ops, ch.touches)
	c.gap = longestGap(ch, ops, end)
	return c
}

// calm measures the requests that no change met.
func calm(changes []*change, ops []op) costs {
	return sum(ops, func(o op) bool {
		return !slices.ContainsFunc(changes, func(ch *change) bool { return ch.touches(o) })
	})
}

// sum measures the requests that belong.
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
			c.lost++
		}
		if c.firstErr == nil {
			c.firstErr = o.err
		}
	}
	slices.Sort(took)
	c.p50, c.p99, c.max = loadtest.Percentile(took, 50), loadtest.Percentile(took, 99), loadtest.Percentile(took, 100)
	return c
}

// longestGap is the longest time between two answers in a row that one client
// got, of those that reach into the change.
func longestGap(ch *change, ops []op, end time.Duration) (gap time.Duration) {
	span := func(from, to time.Duration) {
		if to >= ch.begin && from <= ch.end {
			gap = max(gap, to-from)
		}
	}
	client, last := -1, time.Duration(0)
	for i, o := range ops {
		if o.client != client {
			client, last = o.client, o.call
		}
		if o.outcome == done {
			span(last, o.ret)
			last = o.ret
		}
		if i+1 == len(ops) || ops[i+1].client != client {
			span(last, end)
		}
	}
	return gap
}

// table returns the table of all changes.
func table(changes []*change, ops []op, end time.Duration) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "#\tchange\tresult\tno leader\tclient gap\tp50\tp99\tmax\trequests\terrors\tunknown")
	for i, ch := range changes {
		c := measure(ch, ops, end)
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", i+1, ch.name, ch.result, loadtest.Short(ch.leaderless),
			loadtest.Short(c.gap), loadtest.Short(c.p50), loadtest.Short(c.p99), loadtest.Short(c.max), c.requests, c.errors, c.lost)
	}
	c := calm(changes, ops)
	fmt.Fprintf(w, "\tno change\t\t\t\t%s\t%s\t%s\t%d\t%d\t%d\n", loadtest.Short(c.p50), loadtest.Short(c.p99), loadtest.Short(c.max), c.requests, c.errors, c.lost)
	w.Flush()
	b.WriteString(`
no leader   from when the leader began to be revoked, or was killed or paused, until the grant;
            an emergency is called for ` + detect.String() + ` after the leader is gone
client gap  longest time between two answers in a row that one client got, around the change
p50 to unknown  requests that were under way from ` + before.String() + ` before the change until ` + after.String() + ` after;
            errors are proven not executed, unknown may be executed; reads are sent again
`)
	return b.String()
}
