package leadership

import (
	"strconv"
	"strings"
)

// MaxTermNum is the largest Num a Term may carry. The room above it is
// deliberately unused: a coordinator with a wild clock or a corrupted counter
// is refused long before the number could wrap around.
const MaxTermNum = 1<<62 - 1

// maxProposer bounds Proposer so that a Term fits a PostgreSQL
// application_name, an HTTP header and a GTID comment.
const maxProposer = 20

// Term is a proposal number: it names one attempt to change the leader.
//
// Terms are totally ordered, by Num and then by Proposer. Proposer names an
// attempt and not merely a machine, so at most one attempt ever uses a given
// Term. The tie-break is what makes the revocation test sufficient by itself:
// with bare numbers two coordinators could each pass it under "3 of 4" with
// disjoint pairs of nodes, at the same number.
//
// The zero Term means "no term" and is below every other.
type Term struct {
	Num      uint64
	Proposer string
}

// NewTerm returns the term (num, proposer), or a *TermError when num is zero
// or above MaxTermNum, or proposer does not match [a-z0-9-]{1,20}.
func NewTerm(num uint64, proposer string) (Term, error) {
	t := Term{Num: num, Proposer: proposer}
	return t, t.Validate()
}

// NextTerm returns a term of proposer above every term in seen: its Num is 1 +
// the largest of theirs, 1 when there are none. It returns a *TermError when proposer is not
// valid or the numbers are used up.
func NextTerm(proposer string, seen ...Term) (Term, error) {
	var num uint64
	for _, t := range seen {
		num = max(num, t.Num)
	}
	if num >= MaxTermNum {
		return Term{}, &TermError{Text: strconv.FormatUint(num, 10), Reason: "the term numbers are used up: find who proposed it, a term is never this large in normal use"}
	}
	return NewTerm(num+1, proposer)
}

// Validate returns nil for a term that an attempt may use, else a *TermError.
// The zero Term is not valid.
func (t Term) Validate() error {
	switch {
	case t.IsZero():
		return &TermError{Text: "0", Reason: "the zero term names no attempt"}
	case t.Num == 0:
		return &TermError{Text: clip(t.Proposer), Reason: "Num is zero"}
	case t.Num > MaxTermNum:
		return &TermError{Text: strconv.FormatUint(t.Num, 10), Reason: "Num is above MaxTermNum"}
	case !validProposer(t.Proposer):
		return &TermError{Text: clip(t.Proposer), Reason: "Proposer must match [a-z0-9-]{1,20}"}
	}
	return nil
}

func validProposer(s string) bool {
	if len(s) == 0 || len(s) > maxProposer {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// IsZero reports whether t is "no term".
func (t Term) IsZero() bool { return t == Term{} }

// Compare returns -1, 0 or +1 as t is below, equal to or above u.
func (t Term) Compare(u Term) int {
	switch {
	case t.Num < u.Num:
		return -1
	case t.Num > u.Num:
		return +1
	}
	return strings.Compare(t.Proposer, u.Proposer)
}

// Less reports whether t is below u.
func (t Term) Less(u Term) bool { return t.Compare(u) < 0 }

// MaxTerm returns the highest of the given terms, the zero Term for none.
func MaxTerm(terms ...Term) Term {
	var m Term
	for _, t := range terms {
		if m.Less(t) {
			m = t
		}
	}
	return m
}

// String returns the canonical text: "7.c1-x4q" for a term, "0" for none.
func (t Term) String() string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatUint(t.Num, 10) + "." + t.Proposer
}

// ParseTerm is the inverse of String. Anything but the canonical text of a
// valid term or of the zero Term is a *TermError.
func ParseTerm(s string) (Term, error) {
	if s == "0" {
		return Term{}, nil
	}
	num, proposer, ok := strings.Cut(s, ".")
	if !ok {
		return Term{}, &TermError{Text: clip(s), Reason: `want "NUM.PROPOSER"`}
	}
	n, ok := parseNum(num)
	if !ok {
		return Term{}, &TermError{Text: clip(s), Reason: "NUM is not a canonical decimal number"}
	}
	t := Term{Num: n, Proposer: proposer}
	if err := t.Validate(); err != nil {
		return Term{}, err
	}
	return t, nil
}

// parseNum reads a decimal number, in canonical form only: one number has one
// text, so that texts can be compared.
func parseNum(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// MarshalText implements encoding.TextMarshaler with the text of String.
func (t Term) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseTerm.
func (t *Term) UnmarshalText(b []byte) error {
	u, err := ParseTerm(string(b))
	if err != nil {
		return err
	}
	*t = u
	return nil
}

// clip keeps a piece of foreign input short enough for an error message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

// Leadership is a leader under a term: the thing that is revoked and
// established. The zero Leadership means "nobody".
type Leadership struct {
	Leader NodeID `json:"leader,omitempty"`
	Term   Term   `json:"term"`
}

// IsZero reports whether l names nobody.
func (l Leadership) IsZero() bool { return l == Leadership{} }

// String returns "n1@7.c1".
func (l Leadership) String() string {
	if l.IsZero() {
		return "nobody"
	}
	return string(l.Leader) + "@" + l.Term.String()
}
