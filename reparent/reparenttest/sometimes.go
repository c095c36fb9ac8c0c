package reparenttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
)

// tally counts the interesting states that runs reached: a property that never
// saw a crash between promise and grant proves nothing about one.
type tally struct {
	mu      sync.Mutex
	n       map[string]int
	runs    int
	steps   int
	changes int // asked of a guard
	grants  int // leaderships
	faults  map[stepsim.Action]int
	mixes   map[[2]mechanism]int
}

// sometimes are the states that at least one of a few hundred runs under all
// faults must have reached.
var sometimes = []string{
	"acknowledged",
	"read",
	"refused",
	"unknown",
	"crash between promise and grant",
	"coordinator killed",
	"outcome superseded",
	"undo",
	"ruleset changed",
	"grown",
	"shrunk",
	"an observer followed",
	"without the registry",
	"waited for routers, claimed true",
	"waited for routers, claimed false",
	"a message of a term that was promised away",
	"a torn write",
	"a write failed",
	"a log lost its tail",
	"the candidate was not the most advanced",
	"catch-up needed",
	"two nodes believed that they led",
	"a client asked a leader that was replaced",
	"completed late, by a leader that was replaced",
}

// seldom are those that at least one of many thousand must have reached.
var seldom = []string{
	"an isolation or a release came too late",
}

// many is how many that is.
const many = 20_000

func (t *tally) add(w *world) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n, t.mixes, t.faults = map[string]int{}, map[[2]mechanism]int{}, map[stepsim.Action]int{}
	}
	for k, v := range w.mixes {
		t.mixes[k] += v
	}
	for a, n := range w.sim.Happened() {
		t.faults[a] += n
	}
	t.runs++
	t.steps += w.sim.Steps()
	t.changes += len(w.reports)
	for k, v := range w.counts {
		t.n[k] += v
	}
	t.grants += len(w.grants)
}

// never returns the states that no run reached.
func (t *tally) never() (out []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := sometimes
	if t.runs >= many {
		all = slices.Concat(sometimes, seldom)
	}
	for _, s := range all {
		if t.n[s] == 0 {
			out = append(out, s)
		}
	}
	return out
}

// String is for logs, in order.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs, %d steps, %d changes of leader, %d leaderships", t.runs, t.steps, t.changes, t.grants)
	sum := 0
	for _, n := range t.faults {
		sum += n
	}
	fmt.Fprintf(&b, ", %d faults:", sum)
	for _, a := range slices.Sorted(maps.Keys(t.faults)) {
		fmt.Fprintf(&b, " %d %s,", t.faults[a], a)
	}
	b.WriteString(" reached:")
	for _, k := range slices.Sorted(maps.Keys(t.n)) {
		fmt.Fprintf(&b, "\n%9d  %s", t.n[k], k)
	}
	return b.String()
}

// sawCrash counts what a node was in the middle of when it died.
func (w *world) sawCrash(k *look) {
	if !k.known || k.f.Promised.IsZero() {
		return
	}
	for _, g := range w.grants {
		if g.Term == k.f.Promised {
			return
		}
	}
	w.count("crash between promise and grant")
}

// asked counts requests of clients to a leader that was replaced and does not
// know it.
func (w *world) asked(id leadership.NodeID) {
	k := w.look(id)
	if k == nil || !k.leads() {
		return
	}
	for _, g := range w.grants {
		if k.f.Leads.Less(g.Term) {
			w.count("a client asked a leader that was replaced")
			return
		}
	}
}

// arrives counts messages that come when their term is over.
func (w *world) arrives(id leadership.NodeID, t leadership.Term) {
	if k := w.look(id); k != nil && !t.IsZero() && t.Less(k.f.Promised) {
		w.count("a message of a term that was promised away")
	}
}

// behind counts candidates that have to fetch something.
func (w *world) behind(id leadership.NodeID, at leadership.Position) {
	if k := w.look(id); k != nil && k.known && !positionOf(k.f.Log).Extends(at) {
		w.count("catch-up needed")
	}
}
