package main

import (
	"time"

	"github.com/tenure-go/tenure/internal/measure"
)

// report is what the changes cost the clients. ops are in order of clients, and
// of time within a client; end is when the load ended.
func report(changes []*change, ops []op, end time.Duration) measure.Report {
	r := measure.Report{End: end, Before: before, After: after}
	for _, ch := range changes {
		r.Changes = append(r.Changes, measure.Change{
			Name: ch.name, Result: ch.result, Strict: ch.strict,
			Begin: ch.begin, End: ch.end, Leaderless: ch.leaderless,
		})
	}
	for _, o := range ops {
		r.Ops = append(r.Ops, measure.Op{Client: o.client, Call: o.call, Ret: o.ret, Outcome: o.outcome, Err: o.err})
	}
	return r
}

// table returns the table of all changes.
func table(r measure.Report) string {
	return r.Table("an emergency is called for "+detect.String()+" after the leader is gone",
		"one that is handed over: until its coordinator has heard that it is, a message and more after it was") +
		"            reads are sent again\n"
}
