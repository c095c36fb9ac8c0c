package acceptor

import "github.com/tenure-go/tenure/leadership"

// What the acceptor knows of the log without having read it is a lower bound,
// and a reading below it is a ReadFunc that forgot something or a log that lost
// something. The bound is of memory: after a restart it begins with
// Options.LogTerm.

// holding is a lower bound of what is in a log.
type holding struct {
	known  leadership.Term // it ends at this term or above
	filled bool            // it is not empty
}

// check returns a *ShortReadingError when a log that holds h cannot be at pos.
func (h holding) check(pos leadership.Position) error {
	if pos.Term.Less(h.known) || h.filled && pos.IsZero() {
		return &ShortReadingError{Known: h.known, Got: pos}
	}
	return nil
}

// known returns a term that the log ends at or above.
func (v *view) known() leadership.Term {
	known := v.logged
	if v.gate != nil && v.gate.marked.Load() {
		known = leadership.MaxTerm(known, v.Source.Term)
	}
	if v.open != nil && known.Less(v.open.Term) {
		return leadership.Term{} // that leader may be replacing the log's tail
	}
	return known
}

// mark notes that the marker of g's leadership is in the log.
func (a *Acceptor) mark(g *gate) {
	g.marked.Store(true)
	a.filled.Store(true)
}

// holds notes the term that the log ended at when the acceptor was opened.
func (a *Acceptor) holds(t leadership.Term) {
	if t.IsZero() {
		return
	}
	a.filled.Store(true)
	v := *a.view.Load()
	v.logged = t
	a.show(&v)
}
