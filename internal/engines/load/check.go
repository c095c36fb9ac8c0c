package load

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
)

// Rows are the ids that one node has.
type Rows struct {
	Node string
	IDs  []int64
}

// Verdict is what the rows say about a History. Its problems are in Problems;
// the rest is what happened.
type Verdict struct {
	Attempts, Acked, NotExecuted, Unknown, Other int
	// Present is how many of unknown or other outcome the leader has.
	Present int
	// Gap is the longest time in which no writer at all got an acknowledgement,
	// from the first to the last one. WriterGap is the longest for one writer.
	Gap, WriterGap time.Duration
	P50, P99, Max  time.Duration  // of what was acknowledged
	Classes        map[string]int // of what was not
	First          string         // the first error
	Problems       []Problem
}

// Problem is one promise that was broken, at one node.
type Problem struct {
	Node string
	// What is one of the constants.
	What string
	IDs  []int64
}

// What can be wrong.
const (
	AckedAndMissing      = "acknowledged and missing"
	NotExecutedAndThere  = "not executed and there"
	MoreThanOnce         = "there more than once"
	NeverTried           = "there and never tried"
	NotOnTheLeader       = "there and not on the leader"
	OnTheLeaderAndAbsent = "on the leader and missing"
)

func (p Problem) String() string {
	shown := fmt.Sprint(p.IDs[:min(len(p.IDs), 5)])
	if len(p.IDs) > 5 {
		shown += " and more"
	}
	return fmt.Sprintf("%s: %d ids %s: %s", p.Node, len(p.IDs), p.What, shown)
}

// Check compares what the writers were told with the rows of the leader, and the
// rows of every other node, which has caught up, with the leader's.
func (h History) Check(leader Rows, others ...Rows) Verdict {
	v := h.summary()
	outcomes := map[int64]Outcome{}
	for _, a := range h.Attempts {
		outcomes[a.ID] = a.Outcome
	}
	has := v.checkNode(leader, outcomes)
	for id, n := range has {
		if o := outcomes[id]; n > 0 && (o == Unknown || o == Other) {
			v.Present++
		}
	}
	for _, r := range others {
		have := v.checkNode(r, outcomes)
		v.bad(r.Node, NotOnTheLeader, without(have, has))
		v.bad(r.Node, OnTheLeaderAndAbsent, without(has, have))
	}
	return v
}

// without returns the ids of a that b has not.
func without(a, b map[int64]int) (ids []int64) {
	for id := range a {
		if b[id] == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func (v *Verdict) bad(node, what string, ids []int64) {
	if len(ids) > 0 {
		slices.Sort(ids)
		v.Problems = append(v.Problems, Problem{Node: node, What: what, IDs: ids})
	}
}

func (v *Verdict) checkNode(r Rows, outcomes map[int64]Outcome) map[int64]int {
	has := map[int64]int{}
	for _, id := range r.IDs {
		has[id]++
	}
	var missing, ghosts, twice, foreign []int64
	for id, o := range outcomes {
		switch {
		case o == Acked && has[id] == 0:
			missing = append(missing, id)
		case o == NotExecuted && has[id] > 0:
			ghosts = append(ghosts, id)
		}
	}
	for id, n := range has {
		if n > 1 {
			twice = append(twice, id)
		}
		if _, ok := outcomes[id]; !ok {
			foreign = append(foreign, id)
		}
	}
	v.bad(r.Node, AckedAndMissing, missing)
	v.bad(r.Node, NotExecutedAndThere, ghosts)
	v.bad(r.Node, MoreThanOnce, twice)
	v.bad(r.Node, NeverTried, foreign)
	return has
}

// summary is the part of a Verdict that needs no rows.
func (h History) summary() Verdict {
	v := Verdict{Attempts: len(h.Attempts), Classes: map[string]int{}}
	var took []time.Duration
	var acks []time.Time
	var last *Attempt // the last one that was acknowledged
	for i, a := range h.Attempts {
		switch a.Outcome {
		case Acked:
			v.Acked++
			took = append(took, a.End.Sub(a.Start))
			acks = append(acks, a.End)
			if last != nil && last.Worker == a.Worker && last.Writer == a.Writer {
				v.WriterGap = max(v.WriterGap, a.End.Sub(last.End))
			}
			last = &h.Attempts[i]
			continue
		case NotExecuted:
			v.NotExecuted++
		case Unknown:
			v.Unknown++
		default:
			v.Other++
		}
		v.Classes[a.Class]++
		if v.First == "" {
			v.First = a.Class + ": " + a.Err
		}
	}
	slices.SortFunc(acks, time.Time.Compare)
	for i := 1; i < len(acks); i++ {
		v.Gap = max(v.Gap, acks[i].Sub(acks[i-1]))
	}
	slices.Sort(took)
	v.P50, v.P99, v.Max = measure.Percentile(took, 50), measure.Percentile(took, 99), measure.Percentile(took, 100)
	return v
}

// Err returns an error that names the problems, nil when there are none and at
// least one attempt was acknowledged: a load that wrote nothing checks nothing.
func (v Verdict) Err() error {
	if v.Acked == 0 {
		return errors.New("load: no attempt was acknowledged, so nothing was checked; first error: " + v.First)
	}
	var errs []error
	for _, p := range v.Problems {
		errs = append(errs, errors.New("load: "+p.String()))
	}
	return errors.Join(errs...)
}

// Flawless returns an error when Err does, or when any attempt was not
// acknowledged, as no planned change may cause.
func (v Verdict) Flawless() error {
	if bad := v.NotExecuted + v.Unknown + v.Other; bad > 0 {
		return errors.Join(v.Err(), fmt.Errorf("load: %d of %d attempts failed, the first with %s", bad, v.Attempts, v.First))
	}
	return v.Err()
}

// String is one line, and one for each problem.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d attempts: %d acked, %d not executed, %d unknown and %d other (%d of them are there); longest gap %s, of one writer %s; p50 %s p99 %s max %s",
		v.Attempts, v.Acked, v.NotExecuted, v.Unknown, v.Other, v.Present, measure.Short(v.Gap), measure.Short(v.WriterGap),
		measure.Short(v.P50), measure.Short(v.P99), measure.Short(v.Max))
	for _, c := range slices.Sorted(maps.Keys(v.Classes)) {
		fmt.Fprintf(&b, "; %d %s", v.Classes[c], c)
	}
	for _, p := range v.Problems {
		b.WriteString("\n" + p.String())
	}
	return b.String()
}
