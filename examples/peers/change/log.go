package change

import (
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// entry is one entry of a log in memory: an operation, or the marker of a
// leadership.
type entry struct {
	term   leadership.Term
	op     *op
	marker *leadership.Marker
}

// place is an index, from 1, and the term of the entry there.
type place struct {
	index int
	term  leadership.Term
}

// memLog is the log of a node in memory. Its node guards it. Entries are never
// changed in place, so that a slice of them can be a message.
type memLog struct {
	entries []entry
	eras    []leadership.Era
	marks   []int
}

func (l *memLog) last() place { return l.at(len(l.entries)) }

func (l *memLog) at(index int) place {
	if index == 0 {
		return place{}
	}
	return place{index, l.entries[index-1].term}
}

// position carries where each term begins, so that Extends is exact.
func (l *memLog) position() leadership.Position {
	if len(l.entries) == 0 {
		return leadership.Position{}
	}
	return leadership.Position{
		Term:  l.last().term,
		Point: leadership.LogPoint{Index: uint64(len(l.entries)), Eras: slices.Clone(l.eras)},
	}
}

// write puts entries after the first keep of the log.
func (l *memLog) write(keep int, es []entry) {
	if keep < len(l.entries) {
		l.entries = l.entries[:keep:keep] // what others were sent stays as it is
		l.eras = slices.DeleteFunc(slices.Clone(l.eras), func(e leadership.Era) bool { return e.First > uint64(keep) })
		l.marks = slices.DeleteFunc(slices.Clone(l.marks), func(i int) bool { return i > keep })
	}
	for _, e := range es {
		l.entries = append(l.entries, e)
		index := len(l.entries)
		if index == 1 || l.entries[index-2].term != e.term {
			l.eras = append(l.eras, leadership.Era{Term: e.term, First: uint64(index)})
		}
		if e.marker != nil {
			l.marks = append(l.marks, index)
		}
	}
}

// merge puts entries after prev, taking out what conflicts. It reports false
// when the log does not hold prev, and refuses through conflict, which gets the
// place of the last entry, before it takes anything out.
func (l *memLog) merge(prev place, es []entry, conflict func(place) error) (bool, error) {
	if prev.index > len(l.entries) || l.at(prev.index) != prev {
		return false, nil
	}
	at := prev.index
	for len(es) > 0 && at < len(l.entries) && l.entries[at].term == es[0].term {
		at++
		es = es[1:]
	}
	if len(es) == 0 {
		return true, nil
	}
	if at < len(l.entries) {
		if err := conflict(l.last()); err != nil {
			return false, err
		}
	}
	l.write(at, es)
	return true, nil
}

// mark returns the index of the marker of a term, 0 when it is not there.
func (l *memLog) mark(t leadership.Term) int {
	for _, i := range slices.Backward(l.marks) {
		if l.entries[i-1].term == t {
			return i
		}
	}
	return 0
}

// common returns the last index up to which two logs are the same: entries of
// one index and term are the same, with all before them.
func common(a, b leadership.Position) int {
	p, _ := a.Point.(leadership.LogPoint)
	q, _ := b.Point.(leadership.LogPoint)
	for i, e := range slices.Backward(p.Eras) {
		if j := slices.Index(q.Eras, e); j >= 0 {
			return int(min(eraEnd(p, i), eraEnd(q, j)))
		}
	}
	return 0
}

func eraEnd(p leadership.LogPoint, i int) uint64 {
	if i+1 < len(p.Eras) {
		return p.Eras[i+1].First - 1
	}
	return p.Index
}
