package pgnode

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// PointKind is the kind of a Point, for Catalog.RegisterPoint.
const PointKind = "pg"

// LSN is a place in a write-ahead log, in bytes.
type LSN uint64

// String returns "0/3000148", as PostgreSQL prints it.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN is the inverse of String. It returns a *leadership.TextError for
// anything but the canonical text.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(hi, 16, 32)
	l, err2 := strconv.ParseUint(lo, 16, 32)
	lsn := LSN(h<<32 | l)
	if !ok || err1 != nil || err2 != nil || lsn.String() != s {
		return 0, textError("LSN", s, `want "HIGH/LOW" in upper-case hexadecimal`)
	}
	return lsn, nil
}

// Era is one timeline of a log: where it begins and whose it is. PostgreSQL
// numbers timelines without asking anybody, so that two promotions can make two
// timelines of one number; the term of the leader that made it tells them apart.
type Era struct {
	Timeline uint32
	// Begin is where the timeline leaves the one before it, 0 for the first.
	Begin LSN
	// Term is that of the leadership that made it. It is zero for a timeline
	// that is older than the first leadership, and for one that somebody made
	// by hand.
	Term leadership.Term
}

// Point is a place in the write-ahead log of one cluster, with all that is
// needed to say whether another log is a part of this one: an LSN alone compares
// only within one history of timelines.
type Point struct {
	// System is the cluster's system identifier.
	System uint64
	LSN    LSN
	// Eras are the timelines of the log, oldest first. There is at least one.
	Eras []Era
}

// Kind implements leadership.Point.
func (Point) Kind() string { return PointKind }

// String returns "7363/0/5000148/1:0/0:0/2:0/4B258:7.c1-x": the system
// identifier, the LSN, and timeline, begin and term of each era.
func (p Point) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d,%s", p.System, p.LSN)
	for _, e := range p.Eras {
		b.WriteString("," + e.String())
	}
	return b.String()
}

// String returns "2:0/4B258:7.c1-x".
func (e Era) String() string { return fmt.Sprintf("%d:%s:%s", e.Timeline, e.Begin, e.Term) }

// ParsePoint is the inverse of Point.String. It returns a *leadership.TextError
// for anything but the canonical text of a Point that can exist: eras whose
// numbers rise, that begin nowhere before the one they leave, and whose terms,
// where they are known, rise.
func ParsePoint(s string) (Point, error) {
	bad := func(reason string) (Point, error) { return Point{}, textError("point", s, reason) }
	parts := strings.Split(s, ",")
	if len(parts) < 3 {
		return bad(`want "SYSTEM,LSN,TIMELINE:BEGIN:TERM,..."`)
	}
	system, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil || strconv.FormatUint(system, 10) != parts[0] {
		return bad("the system identifier is not a canonical decimal number")
	}
	p := Point{System: system}
	if p.LSN, err = ParseLSN(parts[1]); err != nil {
		return bad(err.Error())
	}
	for _, part := range parts[2:] {
		e, err := parseEra(part)
		if err != nil {
			return bad(err.Error())
		}
		p.Eras = append(p.Eras, e)
	}
	if err := checkEras(p.Eras); err != nil {
		return bad(err.Error())
	}
	return p, nil
}

// RegisterPoint makes the positions of this kind of node readable for c. Hand
// such a catalog to whatever reads positions from text.
func RegisterPoint(c *leadership.Catalog) error {
	return c.RegisterPoint(PointKind, func(text string) (leadership.Point, error) {
		p, err := ParsePoint(text)
		if err != nil {
			return nil, err
		}
		return p, nil
	})
}

func parseEra(s string) (Era, error) {
	f := strings.Split(s, ":")
	if len(f) != 3 {
		return Era{}, textError("era", s, `want "TIMELINE:BEGIN:TERM"`)
	}
	n, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != f[0] {
		return Era{}, textError("era", s, "the timeline is not a canonical number above 0")
	}
	e := Era{Timeline: uint32(n)}
	if e.Begin, err = ParseLSN(f[1]); err != nil {
		return Era{}, err
	}
	if e.Term, err = leadership.ParseTerm(f[2]); err != nil {
		return Era{}, err
	}
	return e, nil
}

// checkEras returns an error unless es can be the timelines of one log.
func checkEras(es []Era) error {
	var term leadership.Term
	for i, e := range es {
		switch {
		case i == 0 && e.Begin != 0:
			return textError("eras", e.String(), "the first begins at 0/0")
		case i > 0 && (e.Timeline <= es[i-1].Timeline || e.Begin < es[i-1].Begin):
			return textError("eras", e.String(), "numbers rise, and nothing begins before the one it leaves")
		case !e.Term.IsZero() && !term.Less(e.Term):
			return textError("eras", e.String(), "terms rise")
		}
		term = leadership.MaxTerm(term, e.Term)
	}
	return nil
}

// Contains reports whether a log at p has everything that a log at q has.
func (p Point) Contains(q Point) bool {
	if p.System != q.System {
		return false
	}
	theirs := q.Eras
	// A timeline that was begun and holds nothing adds nothing to a log.
	for n := len(theirs); n > 1 && theirs[n-1].Begin >= q.LSN; n = len(theirs) {
		theirs = theirs[:n-1]
	}
	if len(theirs) == 0 || len(theirs) > len(p.Eras) {
		return false
	}
	for i, e := range theirs {
		if p.Eras[i] != e || !known(theirs, i) {
			return false
		}
	}
	end := p.LSN
	if len(theirs) < len(p.Eras) {
		end = min(end, p.Eras[len(theirs)].Begin)
	}
	return q.LSN <= end
}

// known reports whether two logs that both have es[i] have the same one: its
// term says so, or it is older than the first leadership. A timeline after that
// without a term was made by hand, by nobody knows whom.
func known(es []Era, i int) bool {
	if !es[i].Term.IsZero() {
		return true
	}
	for _, e := range es[:i] {
		if !e.Term.IsZero() {
			return false
		}
	}
	return true
}

// Compare implements leadership.Point.
func (p Point) Compare(other leadership.Point) leadership.Order {
	q, ok := other.(Point)
	if !ok {
		return leadership.Diverged
	}
	switch a, b := p.Contains(q), q.Contains(p); {
	case a && b:
		return leadership.Same
	case a:
		return leadership.Ahead
	case b:
		return leadership.Behind
	}
	return leadership.Diverged
}

// Extends implements leadership.Point. The test is PostgreSQL's own: a server is
// an ancestor if and only if its log ends at or before the place where the other's
// history leaves its timeline.
func (p Point) Extends(_ leadership.Term, from leadership.Position) bool {
	q, ok := from.Point.(Point)
	return ok && p.Contains(q)
}

// term is the accepted term of a log: that of its last timeline which has one.
func (p Point) term() leadership.Term {
	var t leadership.Term
	for _, e := range p.Eras {
		t = leadership.MaxTerm(t, e.Term)
	}
	return t
}

// position returns where a log is.
func (p Point) position() leadership.Position { return leadership.Position{Term: p.term(), Point: p} }

func textError(what, text, reason string) error {
	if len(text) > 64 {
		text = text[:64] + "..."
	}
	return &leadership.TextError{What: what, Text: text, Reason: reason}
}
