package mariadbnode

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// maxEras is how many changes of leadership a Point remembers.
const maxEras = 32

// Era is a leadership in the history of a log: its term, the server_id of its
// leader, and the state of the log just before its marker.
type Era struct {
	Term   leadership.Term
	Server uint32
	Before State
}

// Point is a place in the binary log of a MariaDB server: its GTID state and
// what the log was before each marker in it. It implements leadership.Point.
//
// The eras are what makes "can this log be reached by appending" exact: a
// server that was truncated when it crashed (init_rpl_role=SLAVE) gives the
// numbers of the transactions it lost to other ones, so that GTIDs alone would
// let a follower that holds the lost one pass for a prefix. They also tell the
// transactions of a leadership, which carry its leader's server_id, from errant
// ones, which somebody wrote at a follower.
type Point struct {
	State State
	// Eras are the newest ones, oldest first; terms strictly rise.
	Eras []Era
	// Older says that there were more.
	Older bool
}

// PointKind is the Kind of a Point.
const PointKind = "mariadb"

// Kind implements leadership.Point.
func (Point) Kind() string { return PointKind }

// String returns "0-1-22,0-2-30/7.c1:1:/9.c2:2:0-1-22": the state, then for each
// term the server_id of its leader and the state before its marker. "/*" stands
// for eras left out.
func (p Point) String() string {
	var b strings.Builder
	b.WriteString(p.State.String())
	if p.Older {
		b.WriteString("/*")
	}
	for _, e := range p.Eras {
		b.WriteString("/" + e.Term.String() + ":" + strconv.FormatUint(uint64(e.Server), 10) + ":" + e.Before.String())
	}
	return b.String()
}

// ParsePoint is the inverse of String. It returns a *leadership.TextError.
func ParsePoint(s string) (Point, error) {
	bad := func(reason string) (Point, error) {
		return Point{}, &leadership.TextError{What: "MariaDB point", Text: clip(s), Reason: reason}
	}
	parts := strings.Split(s, "/")
	st, err := ParseState(parts[0])
	if err != nil {
		return bad(err.Error())
	}
	p := Point{State: st}
	parts = parts[1:]
	if len(parts) > 0 && parts[0] == "*" {
		p.Older, parts = true, parts[1:]
	}
	for _, part := range parts {
		text, rest, _ := strings.Cut(part, ":")
		server, before, ok := strings.Cut(rest, ":")
		id, err := strconv.ParseUint(server, 10, 32)
		if !ok || err != nil {
			return bad(`an era is "TERM:SERVER:STATE"`)
		}
		e := Era{Server: uint32(id)}
		if e.Term, err = leadership.ParseTerm(text); err != nil || e.Term.IsZero() {
			return bad("an era has no term")
		}
		if e.Before, err = ParseState(before); err != nil {
			return bad(err.Error())
		}
		if n := len(p.Eras); n > 0 && !p.Eras[n-1].Term.Less(e.Term) {
			return bad("the terms of eras must rise")
		}
		p.Eras = append(p.Eras, e)
	}
	if len(p.Eras) > maxEras {
		return bad("it has too many eras")
	}
	if p.String() != s {
		return bad("it is not in canonical form")
	}
	return p, nil
}

// RegisterPoint makes c read positions of MariaDB nodes. It returns a
// *leadership.TextError when the kind is taken.
func RegisterPoint(c *leadership.Catalog) error {
	return c.RegisterPoint(PointKind, func(s string) (leadership.Point, error) { return ParsePoint(s) })
}

// asPoint also reads a point whose codec was not registered where it came from.
func asPoint(p leadership.Point) (Point, bool) {
	switch p := p.(type) {
	case nil:
		return Point{}, true
	case Point:
		return p, true
	}
	if p.Kind() != PointKind {
		return Point{}, false
	}
	q, err := ParsePoint(p.String())
	return q, err == nil
}

// Compare implements leadership.Point: two logs of one accepted term differ
// only in how much of that leader's they hold, and their histories agree. What
// somebody else wrote since its marker is no part of the leadership, was never
// completed under it, and is left out; Extends takes it into account. All else is
// Diverged.
func (p Point) Compare(other leadership.Point) leadership.Order {
	q, ok := asPoint(other)
	if !ok || !agree(p.Eras, q.Eras) {
		return leadership.Diverged
	}
	mine, theirs := p.led(), q.led()
	ahead, behind := mine.Contains(theirs), theirs.Contains(mine)
	switch {
	case ahead && behind:
		return leadership.Same
	case ahead:
		return leadership.Ahead
	case behind:
		return leadership.Behind
	}
	return leadership.Diverged
}

// Errant returns the last transaction of each domain and server that was
// written since the newest marker, and not by its leader, nil for none.
func (p Point) Errant() State {
	if len(p.Eras) == 0 {
		return nil
	}
	e := p.Eras[len(p.Eras)-1]
	return slices.DeleteFunc(e.Before.lacks(p.State), func(g GTID) bool { return g.Server == e.Server })
}

// led returns the state without what is errant.
func (p Point) led() State {
	errant := p.Errant()
	if len(errant) == 0 {
		return p.State
	}
	before := p.Eras[len(p.Eras)-1].Before
	var out State
	for _, g := range p.State {
		if _, is := errant.last(g.Domain, g.Server); is {
			n, ok := before.last(g.Domain, g.Server)
			if !ok {
				continue
			}
			g.Seq = n
		}
		out = append(out, g)
	}
	return out
}

// agree reports whether no term has two histories.
func agree(a, b []Era) bool {
	for _, e := range a {
		i := slices.IndexFunc(b, func(o Era) bool { return o.Term == e.Term })
		if i >= 0 && (e.Server != b[i].Server || !slices.Equal(e.Before, b[i].Before)) {
			return false
		}
	}
	return true
}

// Extends implements leadership.Point. A log whose accepted term is that of
// from.Term reaches at most to the next marker in this one: what it holds
// beyond that belongs to nobody. Where the history does not go back far enough
// to tell, it says no.
func (p Point) Extends(own leadership.Term, from leadership.Position) bool {
	q, ok := asPoint(from.Point)
	if !ok || !agree(p.Eras, q.Eras) || own.Less(from.Term) {
		return false
	}
	if !from.Term.IsZero() && !slices.ContainsFunc(p.Eras, func(e Era) bool { return e.Term == from.Term }) {
		return false // its last leader is not in this history, or too far back
	}
	end := p.State
	for i, e := range p.Eras {
		if from.Term.Less(e.Term) {
			if i == 0 && p.Older {
				return false
			}
			end = e.Before
			break
		}
	}
	return end.Contains(q.State)
}
