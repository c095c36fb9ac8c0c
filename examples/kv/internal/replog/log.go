package replog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/tenure-go/tenure/leadership"
)

// Log is a log open for writing. It is safe for concurrent use; one process
// may have a file open at a time (the member's own lock sees to that).
type Log struct {
	salt []byte

	// w serialises writers. It is held across write and fsync: whoever has
	// it finds everything in the log durable, and nothing lands meanwhile.
	w    sync.Mutex
	f    *os.File
	buf  []byte
	fail error // the first failure of a write; guarded by w

	// mu guards what follows. It is never held over IO, so that replication
	// reads entries while the disk syncs them.
	mu      sync.Mutex
	entries []Entry // entries[i].Index == i+1
	eras    []leadership.Era
	marks   []uint64 // indices of the entries of the kind Mark
	durable uint64
	size    int64
	changed chan struct{} // closed when durable or entries change
}

// At is a place of the log.
type At struct {
	Index uint64
	Term  leadership.Term
}

// Open reads the log at path, cuts off a torn last frame and syncs. It returns
// how many bytes it cut off, or a *leadership.CorruptError for a file that a
// crash alone cannot have left.
func Open(path string) (l *Log, torn int64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	l = &Log{changed: make(chan struct{})}
	sound, err := replay(path, b, l)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, 0, err
	}
	torn = int64(len(b)) - sound
	if torn > 0 {
		err = f.Truncate(sound)
	}
	// What was read may be in the page cache only: a process that was killed
	// between write and fsync leaves it there.
	if err = errors.Join(err, f.Sync()); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	l.f, l.size, l.durable = f, sound, uint64(len(l.entries))
	return l, torn, nil
}

// Close closes the file. Later writes return leadership.ErrClosed.
func (l *Log) Close() error {
	l.w.Lock()
	defer l.w.Unlock()
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}

// Writer is the right to write, for the duration of one Update.
type Writer struct{ l *Log }

// Update runs f while no one else writes. What f wrote and did not sync stays
// not durable until the next Write or Sync.
func (l *Log) Update(f func(w *Writer) error) error {
	l.w.Lock()
	defer l.w.Unlock()
	return f(&Writer{l})
}

// Last returns the last entry's place, zero for an empty log.
func (w *Writer) Last() At { return w.l.Last() }

// Write makes the log log[:keep] + entries: in the file, and readable at once,
// but not durable until Sync. Entries must be dense and their terms must not
// fall; what is not is an error before anything is written. After a failure of
// the disk, every later call returns it.
func (w *Writer) Write(keep uint64, entries []Entry) error {
	l := w.l
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	err := l.check(keep, entries)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	l.buf = appendFrame(l.buf[:0], l.salt, keep, entries)
	if len(l.buf) > maxFrame {
		return fmt.Errorf("replog: a frame of %d bytes: at most %d", len(l.buf), maxFrame)
	}
	// A frame may only follow a synced one: a torn frame is always the last.
	if err := w.Sync(); err != nil {
		return err
	}
	if _, err := l.f.Write(l.buf); err != nil {
		l.fail = fmt.Errorf("replog: the log is shut after a failed write: %w", err)
		return l.fail
	}
	l.mu.Lock()
	l.size += int64(len(l.buf))
	l.publish(keep, entries)
	l.notify()
	l.mu.Unlock()
	if cap(l.buf) > 4<<20 {
		l.buf = nil
	}
	return nil
}

// Sync makes everything written durable.
func (w *Writer) Sync() error {
	l := w.l
	if err := l.usable(); err != nil {
		return err
	}
	last := l.Last().Index
	if l.Durable() == last {
		return nil
	}
	if err := l.f.Sync(); err != nil {
		l.fail = fmt.Errorf("replog: the log is shut after a failed fsync: %w", err)
		return l.fail
	}
	l.mu.Lock()
	l.durable = last
	l.notify()
	l.mu.Unlock()
	return nil
}

// usable is called with w held.
func (l *Log) usable() error {
	if l.f == nil {
		return leadership.ErrClosed
	}
	return l.fail
}

// check returns an error unless log[:keep] + entries is a log. It is called
// with mu held, or before the log is shared.
func (l *Log) check(keep uint64, entries []Entry) error {
	if keep > uint64(len(l.entries)) {
		return fmt.Errorf("replog: keep %d of %d entries", keep, len(l.entries))
	}
	prev := l.at(keep)
	for _, e := range entries {
		if e.Index != prev.Index+1 || e.Term.Less(prev.Term) {
			return fmt.Errorf("replog: entry %d of term %s cannot follow entry %d of term %s", e.Index, e.Term, prev.Index, prev.Term)
		}
		prev = At{e.Index, e.Term}
	}
	return nil
}

// publish is called with mu held, or before the log is shared.
func (l *Log) publish(keep uint64, entries []Entry) {
	if keep < uint64(len(l.entries)) {
		l.entries = l.entries[:keep]
		l.durable = min(l.durable, keep)
		l.eras = slices.DeleteFunc(l.eras, func(e leadership.Era) bool { return e.First > keep })
		l.marks = slices.DeleteFunc(l.marks, func(i uint64) bool { return i > keep })
	}
	for _, e := range entries {
		if l.at(uint64(len(l.entries))).Term != e.Term {
			l.eras = append(l.eras, leadership.Era{Term: e.Term, First: e.Index})
		}
		if e.Kind == Mark {
			l.marks = append(l.marks, e.Index)
		}
		l.entries = append(l.entries, e)
	}
}

func (l *Log) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}
