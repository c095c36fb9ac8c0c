// Package account turns what writers were told, and what servers have, into the
// figures that a change of leader is compared by, and these into a table.
//
//	s := account.Measure(history, begin, end)
//	l := account.Losses(all.Check(leader, others...), history)
//	fmt.Print(table.Markdown())
//
// # Guarantees
//
// Every attempt of a history is counted once. The same rule counts all sides.
//
// # What it does not guarantee
//
// That a difference between two medians of few runs means anything.
//
// # Assumptions
//
// Ids are unique over all attempts, and the times of all writers are by one clock.
//
// # State model
//
// None: everything is a function of values.
//
// # Failure handling
//
// No function fails. A run that could not be made has a text in its Result.
package account

import (
	"cmp"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/engines/load"
)

// Sample is what one change cost the writers of one client.
type Sample struct {
	// Gap is the longest time, around the change, in which no writer at all got
	// an acknowledgement; WriterGap the longest for one of them. Calm is what Gap
	// was before the change began.
	Gap, WriterGap, Calm time.Duration
	// Acked, Failed, NoConn and Unknown add up to all attempts. Failed are errors
	// on a connection that the application had and that prove that nothing was
	// written, NoConn attempts for which there was no connection to begin on,
	// Unknown everything that may or may not have been written.
	Acked, Failed, NoConn, Unknown int
	// First is the first error, "" for none.
	First string
}

// Errors is how many attempts were not acknowledged, for whatever reason.
func (s Sample) Errors() int { return s.Failed + s.NoConn + s.Unknown }

// Measure measures a history whose load saw one change, from begin to end. What lies
// outside of it is counted in everything but Gap and WriterGap.
func Measure(h load.History, begin, end time.Time) Sample {
	var s Sample
	var all []time.Time
	own := map[[2]int][]time.Time{}
	for _, a := range h.Attempts {
		switch {
		case a.Outcome == load.Acked:
			s.Acked++
			all = append(all, a.End)
			w := [2]int{a.Worker, a.Writer}
			own[w] = append(own[w], a.End)
			continue
		case a.Outcome == load.NotExecuted && a.Class == load.ClassConnect:
			s.NoConn++
		case a.Outcome == load.NotExecuted:
			s.Failed++
		default:
			s.Unknown++
		}
		if s.First == "" {
			s.First = a.Class + ": " + a.Err
		}
	}
	s.Gap = longest(all, begin, end)
	for _, acks := range own {
		s.WriterGap = max(s.WriterGap, longest(acks, begin, end))
	}
	slices.SortFunc(all, time.Time.Compare)
	for i := 1; i < len(all) && !all[i].After(begin); i++ {
		s.Calm = max(s.Calm, all[i].Sub(all[i-1]))
	}
	return s
}

// longest is the longest time without an acknowledgement that any part of the window
// belongs to. Where none came before or after, the window ends it.
func longest(acks []time.Time, begin, end time.Time) (gap time.Duration) {
	slices.SortFunc(acks, time.Time.Compare)
	last := begin
	for _, at := range acks {
		if at.After(begin) && !last.After(end) {
			gap = max(gap, at.Sub(last))
		}
		last = at
	}
	if last.Before(end) {
		gap = max(gap, end.Sub(later(last, begin)))
	}
	return gap
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Loss is what the servers say about what the writers were told.
type Loss struct {
	// Acked are the ids that were acknowledged. Lost are those of them that some
	// server has not, Twice those that some server has more than once, and Lied
	// those that were said not to be executed and are there.
	Acked, Lost, Twice, Lied int
	// Apart are ids that the servers disagree about, for any other reason.
	Apart int
}

// Losses reads a verdict about the ids of own, which is a part of the history that was
// checked. An id that is lost on two servers is lost once.
func Losses(v load.Verdict, own load.History) Loss {
	var l Loss
	mine := map[int64]bool{}
	for _, a := range own.Attempts {
		mine[a.ID] = true
		if a.Outcome == load.Acked {
			l.Acked++
		}
	}
	count := map[string]*int{load.AckedAndMissing: &l.Lost, load.MoreThanOnce: &l.Twice, load.NotExecutedAndThere: &l.Lied}
	counted := map[*int]map[int64]bool{}
	for _, p := range v.Problems {
		n := count[p.What]
		if n == nil {
			n = &l.Apart
		}
		if counted[n] == nil {
			counted[n] = map[int64]bool{}
		}
		for _, id := range p.IDs {
			// Nobody tried the ids of one kind, so they are everybody's.
			if (mine[id] || p.What == load.NeverTried) && !counted[n][id] {
				counted[n][id] = true
				*n++
			}
		}
	}
	return l
}

// Merge is all histories as one.
func Merge(hs ...load.History) (all load.History) {
	for _, h := range hs {
		all.Attempts = append(all.Attempts, h.Attempts...)
		all.Failures = append(all.Failures, h.Failures...)
	}
	return all
}

// Event is what happens to a leader.
type Event string

// The events, in the order in which they are shown.
const (
	Planned    Event = "planned change"
	ServerKill Event = "kill -9 of the leader's server"
	NodeKill   Event = "kill -9 of the leader's server and of the tool beside it"
	Zombie     Event = "the leader is frozen, replaced, and wakes up"
)

// Events are all of them.
func Events() []Event { return []Event{Planned, ServerKill, NodeKill, Zombie} }

// Key says which runs belong to one row.
type Key struct {
	Engine string
	Event  Event
	// Who is the tool, Settings how it is set, Client how the writers reach the
	// leader.
	Who, Settings, Client string
	// Conns is how many connections this client writes on, Load how many all
	// writers of the run have.
	Conns, Load int
	// Ours says that it is this library.
	Ours bool
}

// Result is one run of a row.
type Result struct {
	Sample
	Loss
	// Wrong is why the run could not be made, "" when it was.
	Wrong string
}

// Row is the runs with one key.
type Row struct {
	Key
	Runs []Result
}

// made are the runs that were made.
func (r Row) made() (all []Result) {
	for _, x := range r.Runs {
		if x.Wrong == "" {
			all = append(all, x)
		}
	}
	return all
}

// Median is the median of a figure of the runs that were made, of an even number half
// way between the two in the middle; 0 for none.
func (r Row) Median(f func(Result) time.Duration) time.Duration {
	all := r.sorted(f)
	n := len(all)
	if n == 0 {
		return 0
	}
	return (all[(n-1)/2] + all[n/2]) / 2
}

// sorted is a figure of the runs that were made, the smallest first.
func (r Row) sorted(f func(Result) time.Duration) []time.Duration {
	var all []time.Duration
	for _, x := range r.made() {
		all = append(all, f(x))
	}
	slices.Sort(all)
	return all
}

// sum adds up a count of the runs.
func (r Row) sum(f func(Result) int) (n int) {
	for _, x := range r.made() {
		n += f(x)
	}
	return n
}

// Table collects results by key, in the order in which keys first appear.
type Table struct{ Rows []Row }

// Add adds a run.
func (t *Table) Add(k Key, r Result) {
	i := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Key == k })
	if i < 0 {
		i = len(t.Rows)
		t.Rows = append(t.Rows, Row{Key: k})
	}
	t.Rows[i].Runs = append(t.Rows[i].Runs, r)
}

// Of returns the rows of an engine and event that have a run, ours first, the others
// by the length of their gap.
func (t *Table) Of(engine string, e Event) []Row {
	var rows []Row
	for _, r := range t.Rows {
		if r.Engine == engine && r.Event == e {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		if a.Ours != b.Ours {
			if a.Ours {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Median(gap), b.Median(gap))
	})
	return rows
}
