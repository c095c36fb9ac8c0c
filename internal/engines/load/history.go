package load

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
)

// Attempt is one attempt of one writer to insert an id.
type Attempt struct {
	ID             int64
	Worker, Writer int
	Start          time.Time
	End            time.Time // zero when the worker was killed before it knew
	Outcome        Outcome
	Class, Err     string // of what was not acked
}

// History is attempts, in order of workers, within them of writers, within
// them of time.
type History struct {
	Attempts []Attempt
	// Failures are what ended a worker's part in the barrier or the registry.
	Failures []string
}

func (l line) at() time.Time { return time.Unix(0, l.Wall) }

// add takes in the lines of one worker.
func (h *History) add(lines []line) {
	open := map[int64]int{}
	for _, l := range lines {
		switch l.What {
		case whatFailed:
			h.Failures = append(h.Failures, l.Err)
		case whatStart:
			open[l.ID] = len(h.Attempts)
			worker, writer := parts(l.ID)
			h.Attempts = append(h.Attempts, Attempt{ID: l.ID, Worker: worker, Writer: writer, Start: l.at(), Outcome: Unknown, Class: "killed"})
		default:
			if i, ok := open[l.ID]; ok {
				a := &h.Attempts[i]
				a.End, a.Outcome, a.Class, a.Err = l.at(), Outcome(l.What), l.Class, l.Err
			}
		}
	}
}

func (h *History) sort() {
	slices.SortStableFunc(h.Attempts, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Writer, b.Writer), a.Start.Compare(b.Start))
	})
}

func (f *follower) acksSince(since time.Time) (n int) {
	begun := map[int64]bool{}
	for _, l := range f.lines {
		switch {
		case l.What == whatStart && l.at().After(since):
			begun[l.ID] = true
		case l.What == string(Acked) && begun[l.ID]:
			n++
		}
	}
	return n
}

func (f *follower) lastError() string {
	for _, l := range slices.Backward(f.lines) {
		if l.Err != "" {
			return l.Err
		}
	}
	return "none"
}

// Acked returns the ids that were acknowledged.
func (h History) Acked() (ids []int64) {
	for _, a := range h.Attempts {
		if a.Outcome == Acked {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// Ops returns the attempts as package measure wants them, with times from epoch
// on, and ended for what was not ended. What says neither that it was
// executed nor that it was not is of unknown outcome.
func (h History) Ops(epoch, ended time.Time) (ops []measure.Op) {
	clients := map[[2]int]int{}
	for _, a := range h.Attempts {
		key := [2]int{a.Worker, a.Writer}
		if _, ok := clients[key]; !ok {
			clients[key] = len(clients)
		}
		if a.End.IsZero() {
			a.End = ended
		}
		o := measure.Op{Client: clients[key], Call: a.Start.Sub(epoch), Ret: a.End.Sub(epoch)}
		if a.Outcome != Acked {
			o.Outcome, o.Err = measure.Unknown, errors.New(a.Class+": "+a.Err)
		}
		if a.Outcome == NotExecuted {
			o.Outcome = measure.Refused
		}
		ops = append(ops, o)
	}
	return ops
}
