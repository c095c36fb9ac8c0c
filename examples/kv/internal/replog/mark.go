package replog

import (
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// Mark returns the entry of the kind Mark with the given term, and whether it
// is durable.
func (l *Log) Mark(t leadership.Term) (e Entry, durable, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, index := range slices.Backward(l.marks) {
		if e := l.entries[index-1]; e.Term == t {
			return e, index <= l.durable, true
		}
	}
	return Entry{}, false, false
}

// Merge makes the log hold entries after prev, whose place in the log must
// match: what is there already is left alone, and a tail is taken out only from
// the first entry that differs. It reports whether it wrote, and calls replace
// before a tail is taken out; an error of replace ends it, nothing written.
// It returns false for matches when the log does not hold prev.
func (w *Writer) Merge(prev At, entries []Entry, replace func(At) error) (matches bool, err error) {
	l := w.l
	l.mu.Lock()
	matches = l.at(prev.Index) == prev
	keep := prev.Index
	for matches && len(entries) > 0 && l.at(keep+1) == (At{entries[0].Index, entries[0].Term}) {
		keep, entries = keep+1, entries[1:]
	}
	last := l.at(uint64(len(l.entries)))
	l.mu.Unlock()
	if !matches || len(entries) == 0 {
		return matches, nil
	}
	if keep < last.Index {
		if err := replace(last); err != nil {
			return true, err
		}
	}
	return true, w.Write(keep, entries)
}
