package replog

import (
	"slices"

	"github.com/tenure-go/tenure/leadership"
)

// at is called with mu held, or before the log is shared.
func (l *Log) at(index uint64) At {
	if index == 0 || index > uint64(len(l.entries)) {
		return At{}
	}
	return At{index, l.entries[index-1].Term}
}

// Last returns the place of the last entry, durable or not; zero for an empty
// log.
func (l *Log) Last() At {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at(uint64(len(l.entries)))
}

// At returns the place of an index, zero when the log does not reach it.
func (l *Log) At(index uint64) At {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at(index)
}

// Durable returns the index up to which the log is durable.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Size returns the size of the file in bytes.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Changed returns a channel that is closed at the next change of the log.
// Take it, then look, then wait.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Slice returns the entries after index, at most n of them and at most about
// max bytes of data, but always at least one when there is one.
func (l *Log) Slice(after uint64, n, maxBytes int) []Entry {
	_, s := l.Tail(after, n, maxBytes)
	return s
}

// Tail is Slice with the place of index, both as of one moment. The place is
// zero and there are no entries when the log does not reach index.
func (l *Log) Tail(after uint64, n, maxBytes int) (prev At, s []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at(after), l.slice(after, n, maxBytes)
}

// Since returns what a log at pos is missing of this one: the end of what they
// have in common, and the entries after it, bounded as Slice.
func (l *Log) Since(pos leadership.Position, n, maxBytes int) (prev At, s []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	common := Common(l.position(), pos)
	return l.at(common), l.slice(common, n, maxBytes)
}

// slice is called with mu held.
func (l *Log) slice(after uint64, n, maxBytes int) []Entry {
	if after >= uint64(len(l.entries)) {
		return nil
	}
	s := l.entries[after:]
	if len(s) > n {
		s = s[:n]
	}
	bytes := 0
	for i, e := range s {
		if bytes += len(e.Data); bytes > maxBytes && i > 0 {
			s = s[:i]
			break
		}
	}
	// A copy: a conflicting tail is overwritten in place.
	return slices.Clone(s)
}

// Marks returns the last n entries of the kind Mark, oldest first.
func (l *Log) Marks(n int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := l.marks[max(0, len(l.marks)-n):]
	out := make([]Entry, len(ms))
	for i, index := range ms {
		out[i] = l.entries[index-1]
	}
	return out
}

// Position returns the position of the last entry, durable or not.
func (l *Log) Position() leadership.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position()
}

// position is called with mu held.
func (l *Log) position() leadership.Position {
	n := uint64(len(l.entries))
	if n == 0 {
		return leadership.Position{}
	}
	return leadership.Position{
		Term:  l.entries[n-1].Term,
		Point: leadership.LogPoint{Index: n, Eras: slices.Clone(l.eras)},
	}
}

// Settled waits for a write under way, syncs, and returns the position, all of
// which is durable. It returns the failure of a log that is shut.
func (l *Log) Settled() (leadership.Position, error) {
	var p leadership.Position
	err := l.Update(func(w *Writer) error {
		p = l.Position()
		return w.Sync()
	})
	return p, err
}

// Common returns the last index up to which the logs at two positions are the
// same: two logs that hold an entry of the same index and term are the same up
// to it, since all entries of a term come from one leader's one log. Points
// without eras have nothing in common.
func Common(a, b leadership.Position) uint64 {
	p, ok := a.Point.(leadership.LogPoint)
	q, ok2 := b.Point.(leadership.LogPoint)
	if !ok || !ok2 {
		return 0
	}
	for i := len(p.Eras) - 1; i >= 0; i-- {
		j := slices.IndexFunc(q.Eras, func(e leadership.Era) bool { return e == p.Eras[i] })
		if j >= 0 {
			return min(eraEnd(p, i), eraEnd(q, j))
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

// Err returns the failure that shut the log, nil while it takes writes.
func (l *Log) Err() error {
	l.w.Lock()
	defer l.w.Unlock()
	return l.fail
}
