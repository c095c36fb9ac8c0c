package leadership

import (
	"slices"
	"strconv"
	"strings"
)

// Era says from which index on the entries of a log are of Term.
type Era struct {
	Term  Term
	First uint64
}

// LogPoint is a place in a log whose entries carry terms: the index of the
// last entry and where each term begins. With the eras, "can this log be
// reached by appending" is answered exactly; without them (nil) only for logs
// of one accepted term.
type LogPoint struct {
	Index uint64
	Eras  []Era // oldest first; terms and indices strictly rise
}

// Kind implements Point with "log".
func (LogPoint) Kind() string { return "log" }

// String returns "12", or with eras "12/1.a:1/3.b:9".
func (p LogPoint) String() string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(p.Index, 10))
	for _, e := range p.Eras {
		b.WriteString("/" + e.Term.String() + ":" + strconv.FormatUint(e.First, 10))
	}
	return b.String()
}

// Compare implements Point. Logs of one accepted term all come from one
// leader, so the longer contains the shorter; eras that disagree are proof
// that an invariant was broken, and are Diverged.
func (p LogPoint) Compare(other Point) Order {
	q, ok := other.(LogPoint)
	if !ok || p.Eras != nil && q.Eras != nil && !slices.Equal(p.Eras, q.Eras) {
		return Diverged
	}
	switch {
	case p.Index < q.Index:
		return Behind
	case p.Index > q.Index:
		return Ahead
	}
	return Same
}

// Extends implements Point.
func (p LogPoint) Extends(own Term, from Position) bool {
	f, ok := from.Point.(LogPoint)
	if !ok {
		return false
	}
	if f.Index == 0 {
		return true
	}
	if p.Eras == nil {
		return own == from.Term && f.Index <= p.Index
	}
	for i, e := range p.Eras {
		if e.Term != from.Term {
			continue
		}
		last := p.Index
		if i+1 < len(p.Eras) {
			last = p.Eras[i+1].First - 1
		}
		return e.First <= f.Index && f.Index <= last
	}
	return false
}

// ParseLogPoint is the inverse of LogPoint.String. It returns a *TextError.
func ParseLogPoint(s string) (LogPoint, error) {
	bad := func(reason string) (LogPoint, error) {
		return LogPoint{}, &TextError{What: "log point", Text: clip(s), Reason: reason}
	}
	parts := strings.Split(s, "/")
	index, ok := parseNum(parts[0])
	if !ok {
		return bad("the index is not a canonical decimal number")
	}
	p := LogPoint{Index: index}
	for _, part := range parts[1:] {
		text, at, ok := strings.Cut(part, ":")
		if !ok {
			return bad(`an era is "TERM:INDEX"`)
		}
		e := Era{}
		var err error
		if e.Term, err = ParseTerm(text); err != nil {
			return bad(err.Error())
		}
		if e.First, ok = parseNum(at); !ok {
			return bad("an era's first index is not a canonical decimal number")
		}
		if e.First == 0 || e.First > index {
			return bad("an era begins outside the log")
		}
		if n := len(p.Eras); n > 0 && (e.First <= p.Eras[n-1].First || !p.Eras[n-1].Term.Less(e.Term)) {
			return bad("eras must rise")
		}
		p.Eras = append(p.Eras, e)
	}
	return p, nil
}
