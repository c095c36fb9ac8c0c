package replog

import (
	"encoding/binary"
	"errors"

	"github.com/tenure-go/tenure/leadership"
)

// Kind says what an entry is.
type Kind uint8

const (
	// Request is a client's command.
	Request Kind = iota
	// Mark is the marker of a leadership, as JSON.
	Mark
)

// Entry is one place of the log. Its Data must not be changed.
type Entry struct {
	Index uint64
	Term  leadership.Term
	Kind  Kind
	Data  []byte
}

// errEntry is returned for bytes that are no entry.
var errEntry = errors.New("replog: malformed entry")

// AppendEntry appends the encoding of e to b.
func AppendEntry(b []byte, e Entry) []byte {
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, e.Index)
	b = AppendTerm(b, e.Term)
	return AppendBytes(b, e.Data)
}

// CutEntry decodes the entry that b begins with and returns the rest. Data is
// a part of b. It returns an error for anything that AppendEntry cannot have
// made.
func CutEntry(b []byte) (e Entry, rest []byte, err error) {
	if len(b) == 0 || Kind(b[0]) > Mark {
		return e, b, errEntry
	}
	e.Kind = Kind(b[0])
	if e.Index, b, err = CutUvarint(b[1:]); err != nil {
		return e, b, err
	}
	if e.Term, b, err = CutTerm(b); err != nil {
		return e, b, err
	}
	e.Data, b, err = CutBytes(b)
	if e.Index == 0 || e.Term.IsZero() {
		err = errEntry
	}
	return e, b, err
}

// AppendTerm appends the encoding of t, which may be zero.
func AppendTerm(b []byte, t leadership.Term) []byte {
	b = binary.AppendUvarint(b, t.Num)
	return AppendBytes(b, []byte(t.Proposer))
}

// CutTerm decodes the term that b begins with.
func CutTerm(b []byte) (t leadership.Term, rest []byte, err error) {
	if t.Num, b, err = CutUvarint(b); err != nil {
		return t, b, err
	}
	p, b, err := CutBytes(b)
	if err != nil {
		return t, b, err
	}
	if t.Proposer = string(p); !t.IsZero() {
		err = t.Validate()
	}
	return t, b, err
}

// AppendBytes appends p and its length.
func AppendBytes(b, p []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// CutBytes decodes the bytes that b begins with.
func CutBytes(b []byte) (p, rest []byte, err error) {
	n, b, err := CutUvarint(b)
	if err != nil || n > uint64(len(b)) {
		return nil, b, errEntry
	}
	return b[:n:n], b[n:], nil
}

// CutUvarint decodes the number that b begins with, in its shortest form only.
func CutUvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, b, errEntry
	}
	return v, b[n:], nil
}
