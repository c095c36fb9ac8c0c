package reparenttest

import (
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// moment is a row of the picture: something that mattered, and how every node
// stood then.
type moment struct {
	at    time.Duration
	step  int
	says  string
	lanes []string
}

// letters gives terms letters in the order of their appearance.
type letters struct {
	of map[leadership.Term]string
	in []leadership.Term
}

func (l *letters) letter(t leadership.Term) string {
	if t.IsZero() {
		return "-"
	}
	if l.of == nil {
		l.of = map[leadership.Term]string{}
	}
	s, ok := l.of[t]
	if !ok {
		n := len(l.in)
		s = string(rune('A' + n%26))
		if n >= 26 {
			s += fmt.Sprint(n / 26)
		}
		l.of[t] = s
		l.in = append(l.in, t)
	}
	return s
}

// picturise adds a row for an event.
func (w *world) picturise(e Event) {
	switch {
	case !w.show || e.Kind == Accepted:
	case e.Testimony != nil:
		w.moment("%s %s %s", e.Node, e.Kind, w.terms.letter(e.Testimony.Term))
	case e.Kind == Completed:
		w.moment("%s completes entry %d (value %d of %s) under %s", e.Node, e.Index, e.Entry.Value, w.terms.letter(e.Entry.Term), w.terms.letter(e.Leadership.Term))
	default:
		w.moment("%s %s %s", e.Node, e.Kind, w.terms.letter(e.Leadership.Term))
	}
}

// moment adds a row, at a quiescent point.
func (w *world) moment(format string, args ...any) {
	if !w.show {
		return
	}
	says := fmt.Sprintf(format, args...)
	if n := len(w.moments); n > 0 && w.moments[n-1].says == says && w.moments[n-1].step == w.sim.Lines() {
		return // told by the node and seen in its answer
	}
	w.moments = append(w.moments, moment{at: time.Since(w.began), step: w.sim.Lines(), says: says})
}

// settle fills in how the nodes stand, at a quiescent point: a node may hold
// its own lock while it tells of an event.
func (w *world) settle() {
	for i := len(w.moments) - 1; i >= 0 && w.moments[i].lanes == nil; i-- {
		for _, id := range w.ids {
			w.moments[i].lanes = append(w.moments[i].lanes, w.lane(id))
		}
	}
}

// lane is how a node stands: the letter of its promise, "=" when it leads
// that term, "x" when it is down, and how long its log is.
func (w *world) lane(id leadership.NodeID) string {
	k := w.look(id)
	if k == nil || !k.known {
		return "?"
	}
	f := k.f
	s := w.terms.letter(f.Promised)
	switch {
	case !k.up:
		s += "x"
	case !f.Leads.IsZero() && f.Leads == f.Promised:
		s += "="
	}
	return fmt.Sprintf("%s%d", s+" ", len(f.Log))
}

// picture draws who led when, in at most the last lines rows: a lane for each
// node, a letter for each term.
func (w *world) picture(lines int) string {
	if w == nil {
		return ""
	}
	w.settle()
	var b strings.Builder
	b.WriteString("who led when (letter: the term promised, =: leads it, x: down, number: entries in the log)\n\n")
	fmt.Fprintf(&b, "%6s %10s", "step", "time")
	for _, id := range w.ids {
		fmt.Fprintf(&b, "  %-6s", id)
	}
	b.WriteByte('\n')
	rows := w.moments
	if cut := len(rows) - lines; cut > 0 {
		fmt.Fprintf(&b, "%6s (%d earlier events)\n", "...", cut)
		rows = rows[cut:]
	}
	for _, m := range rows {
		fmt.Fprintf(&b, "%6d %8.1fms", m.step, float64(m.at)/1e6)
		for _, l := range m.lanes {
			fmt.Fprintf(&b, "  %-6s", l)
		}
		b.WriteString("  " + m.says + "\n")
	}
	b.WriteByte('\n')
	for _, t := range w.terms.in {
		fmt.Fprintf(&b, "  %s = %s", w.terms.of[t], t)
	}
	b.WriteByte('\n')
	return b.String()
}
