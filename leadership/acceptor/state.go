package acceptor

import (
	"context"
	"unicode/utf8"

	"github.com/tenure-go/tenure/leadership"
)

// Minted, given for the incarnation, has Create name the storage at random and
// Open take the name that the record has; Status tells it. It is for a record that
// lies on the storage of the log, where the one is not lost without the other.
const Minted = "(minted)"

// maxIncarnation bounds State.Incarnation, in bytes.
const maxIncarnation = 256

// State is the one durable record of a node. Its JSON form is stable.
type State struct {
	Node leadership.NodeID `json:"node"`
	// Incarnation names the storage that the record lives on.
	Incarnation string `json:"incarnation"`
	// Promised is the highest term that the node promised. It only rises.
	Promised leadership.Term `json:"promised"`
	// Source is whom the node accepts from and under which term, the node
	// itself when a marker of its own was to be installed, zero when a
	// promise was made since.
	Source leadership.Leadership `json:"source"`
	// Floor is the position that the node had before a repair discarded
	// entries; zero when there is none to come back to.
	Floor leadership.Position `json:"floor"`
}

// Validate returns a typed error unless s can be a node's record.
func (s State) Validate() error {
	if err := checkIdentity(s.Node, s.Incarnation); err != nil {
		return err
	}
	if !s.Promised.IsZero() {
		if err := s.Promised.Validate(); err != nil {
			return err
		}
	}
	if !s.Source.IsZero() {
		if err := checkLeadership("Source", s.Source); err != nil {
			return err
		}
		if s.Source.Term != s.Promised {
			return &ArgumentError{"State", "Source is not of the promised term"}
		}
	}
	return checkFloor(s.Floor)
}

// BelowFloor reports whether a log at pos is not known to be back at the floor:
// what a node says of itself by that name in a testimony and in a status. A floor
// may still be there, because nobody came to clear it, when the log is past it.
func (s State) BelowFloor(pos leadership.Position) bool {
	if s.Floor.IsZero() {
		return false
	}
	o := pos.Rank(s.Floor)
	return o != leadership.Same && o != leadership.Ahead
}

// checkFloor refuses a position whose text does not lead back to it: a record
// with it could not be loaded again.
func checkFloor(p leadership.Position) error {
	if p.IsZero() {
		return nil
	}
	text := p.String()
	q, err := (*leadership.Catalog)(nil).ParsePosition(text)
	switch {
	case err != nil:
		return err
	case q.String() != text || !utf8.ValidString(text):
		return &ArgumentError{"floor", "its text is not canonical"}
	}
	return nil
}

// equal reports whether two records say the same. Points need not be
// comparable, so the floors are compared by their text.
func (s State) equal(o State) bool {
	return s.Node == o.Node && s.Incarnation == o.Incarnation && s.Promised == o.Promised &&
		s.Source == o.Source && s.Floor.String() == o.Floor.String()
}

// Store keeps one State. An Acceptor makes one call at a time; one store
// belongs to one Acceptor.
type Store interface {
	// Load returns the record, false when none was ever saved. A record that
	// is there and cannot be trusted is an error, never false.
	Load(ctx context.Context) (State, bool, error)
	// Save replaces the record atomically and returns when that is durable,
	// fsync included. After an error the store holds the old record or the
	// new one.
	Save(ctx context.Context, s State) error
}

func checkIdentity(id leadership.NodeID, incarnation string) error {
	if err := id.Validate(); err != nil {
		return err
	}
	switch {
	case incarnation == "":
		return &ArgumentError{"incarnation", "it is empty; for one of the record's own give Minted"}
	case incarnation == Minted:
		return &ArgumentError{"incarnation", "it is the word for one that is not known"}
	case len(incarnation) > maxIncarnation:
		return &ArgumentError{"incarnation", "it is longer than 256 bytes"}
	case !utf8.ValidString(incarnation):
		return &ArgumentError{"incarnation", "it is not UTF-8"}
	}
	return nil
}

func checkLeadership(name string, l leadership.Leadership) error {
	if l.IsZero() {
		return &ArgumentError{name, "it names nobody"}
	}
	if err := l.Leader.Validate(); err != nil {
		return err
	}
	return l.Term.Validate()
}
