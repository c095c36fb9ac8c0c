package leadership

import "strings"

// Order is the answer to "which of two positions holds more".
type Order int8

// The possible answers. Diverged means that neither contains the other.
const (
	Behind   Order = -1
	Same     Order = 0
	Ahead    Order = +1
	Diverged Order = 2
)

// String returns "behind", "same", "ahead" or "diverged".
func (o Order) String() string {
	switch o {
	case Behind:
		return "behind"
	case Same:
		return "same"
	case Ahead:
		return "ahead"
	}
	return "diverged"
}

// Point is a place in a log, in an engine's own terms: an index, a GTID set, an
// LSN with its timeline history. Implementations are immutable values.
type Point interface {
	// Kind names the codec, [a-z0-9-]+: see Catalog.RegisterPoint.
	Kind() string
	// String is the text that the codec of Kind parses.
	String() string
	// Compare orders two points of logs whose accepted term is the same.
	// A point of another kind is Diverged.
	Compare(other Point) Order
	// Extends reports whether a log at this point, with own as its accepted
	// term, contains everything that a log at from contains, so that the
	// other can get here by appending. When it cannot tell, it says no.
	Extends(own Term, from Position) bool
}

// Position says what a node's log is worth: the accepted term, that is the
// term of its last entry or marker, and the place in the log. The accepted
// term is not the promised one: a node that promised much and holds nothing is
// worth nothing.
//
// The zero Position is that of an empty log.
type Position struct {
	Term  Term
	Point Point
}

// IsZero reports whether p is the position of an empty log.
func (p Position) IsZero() bool { return p.Term.IsZero() && p.Point == nil }

// Rank is the question of selection: it compares by accepted term, then by
// point. Never by length alone: the long tail of a stale leader beats the
// durable log. Diverged can only come from two logs of one accepted term.
func (p Position) Rank(q Position) Order {
	if c := p.Term.Compare(q.Term); c != 0 {
		return Order(c)
	}
	switch {
	case p.Point == nil && q.Point == nil:
		return Same
	case p.Point == nil:
		return Behind
	case q.Point == nil:
		return Ahead
	}
	return p.Point.Compare(q.Point)
}

// Extends is the question of catching up: it reports whether a node at from
// can get to p by appending only. When not, the node needs a repair first.
func (p Position) Extends(from Position) bool {
	switch {
	case from.IsZero():
		return true
	case p.Point == nil:
		return false
	}
	return p.Point.Extends(p.Term, from)
}

// String returns "7.c1@log:12", or "empty".
func (p Position) String() string {
	if p.IsZero() {
		return "empty"
	}
	if p.Point == nil {
		return p.Term.String() + "@"
	}
	return p.Term.String() + "@" + p.Point.Kind() + ":" + p.Point.String()
}

// MarshalText implements encoding.TextMarshaler with the text of String.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Points of the kind "log"
// become a LogPoint; those of any other kind an opaque point that equals only
// itself and that any disagreement makes Diverged. Catalog.ParsePosition knows
// more kinds.
func (p *Position) UnmarshalText(b []byte) error {
	q, err := (*Catalog)(nil).ParsePosition(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// opaquePoint is a point whose codec is not known here.
type opaquePoint struct{ kind, text string }

func (o opaquePoint) Kind() string   { return o.kind }
func (o opaquePoint) String() string { return o.text }

func (o opaquePoint) Compare(other Point) Order {
	if other != nil && other.Kind() == o.kind && other.String() == o.text {
		return Same
	}
	return Diverged
}

func (o opaquePoint) Extends(own Term, from Position) bool {
	return own == from.Term && o.Compare(from.Point) == Same
}

// NodePosition is the position of a node.
type NodePosition struct {
	Node     NodeID   `json:"node"`
	Position Position `json:"position"`
}

// best returns a position that no other of ps outranks, and every node that is
// at it. When two logs of the highest term diverge and a third does not settle
// it, the choice is undecidable and the error names all of that term.
func best(ps []NodePosition) (Position, []NodeID, error) {
	var top Position
	for _, p := range ps {
		if top.Rank(p.Position) == Behind {
			top = p.Position
		}
	}
	var at []NodeID
	var clash []NodePosition
	for _, p := range ps {
		switch top.Rank(p.Position) {
		case Same:
			at = append(at, p.Node)
		case Diverged:
			clash = append(clash, p)
		}
	}
	if len(clash) > 0 {
		for _, p := range ps {
			if top.Rank(p.Position) == Same {
				clash = append(clash, p)
			}
		}
		return Position{}, nil, &DivergedError{Positions: clash}
	}
	return top, at, nil
}

func cutPosition(s string) (term, kind, point string, ok bool) {
	term, rest, ok := strings.Cut(s, "@")
	if !ok {
		return "", "", "", false
	}
	kind, point, ok = strings.Cut(rest, ":")
	return term, kind, point, ok && kind != ""
}
