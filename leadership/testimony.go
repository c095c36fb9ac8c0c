package leadership

import (
	"slices"
	"time"
)

// TestimonyKind says how a node came to be blocked.
type TestimonyKind uint8

const (
	// Statement blocks nothing: it carries a read that was taken later than
	// the block, by a node that blocks fast and reads slowly.
	Statement TestimonyKind = iota
	// Promised: the node durably refuses every term below Term.
	Promised
	// Demoted: a leader stepped down; a promise made after a drain.
	Demoted
	// LeaseExpired: the node's lease as leader ran out and cannot be renewed
	// below Term. It completes nothing; as a follower it still supports
	// others, so it counts for its own leadership only.
	LeaseExpired
	// Isolated: power, network or storage of the node was cut. It lasts
	// only while somebody holds it.
	Isolated
	// Certified: a person stated that the node is gone. Only a Waiver makes
	// it.
	Certified
	// Refused: the node has promised Term, which is above the asked one. It
	// blocks nothing for this attempt and ends it.
	Refused
)

var kindNames = [...]string{"statement", "promised", "demoted", "lease-expired", "isolated", "certified", "refused"}

// String returns the kind's name in lower case.
func (k TestimonyKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (k TestimonyKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *TestimonyKind) UnmarshalText(b []byte) error {
	for i, n := range kindNames {
		if n == string(b) {
			*k = TestimonyKind(i)
			return nil
		}
	}
	return &TextError{What: "testimony kind", Text: clip(string(b)), Reason: "unknown"}
}

// blocks reports whether a testimony of this kind takes support away.
func (k TestimonyKind) blocks() bool { return k >= Promised && k <= Certified }

// stable reports whether only loss of storage can undo it, and the node can
// take part in the new term.
func (k TestimonyKind) stable() bool { return k == Promised || k == Demoted }

// Testimony is what a mechanism found out about one node. Mechanisms only
// deliver testimony; a Round decides what it proves.
type Testimony struct {
	Node NodeID `json:"node"`
	// Incarnation names the node's storage (and, for an engine whose fence
	// does not survive a restart, its start). A changed incarnation voids
	// what the old one said.
	Incarnation string `json:"incarnation,omitempty"`
	// Term is the term that the node is blocked below.
	Term Term          `json:"term"`
	Kind TestimonyKind `json:"kind"`
	// Held blocks last only while somebody keeps them in force. Isolated is
	// always held.
	Held bool `json:"held,omitempty"`
	// Read is the node's position, taken after its block took effect, or
	// begun after Round.Revoked had returned nil; nil when it was not read. A
	// pointer to the zero Position says: empty log.
	Read *Position `json:"read,omitempty"`
	// Markers are the rulesets that the node's log shows, at least the last
	// two, oldest first.
	Markers []Sighting `json:"markers,omitempty"`
	// BelowFloor says that the node dropped entries for a repair and has not
	// got them back: it counts as blocked, never as read or candidate.
	BelowFloor bool `json:"belowFloor,omitempty"`
	// LeaseLeft is what is left, on the node's own clock, until every lease
	// that it has given to a lower term is over on the holder's. A lease of
	// length L is over so long after the grant as revoke.LeaseWait(L, rho)
	// says, not after L: the holder's clock may be the slow one. A leadership
	// of Term must not be granted earlier.
	LeaseLeft time.Duration `json:"leaseLeft,omitempty"`
	// Led is the term that the node held a grant of when it was asked, zero
	// when it did not lead.
	Led Term `json:"led"`
	// Mechanism says who obtained it, for reports.
	Mechanism string `json:"mechanism,omitempty"`
}

// accepted returns the highest term that the testimony shows in the node's log.
func (t Testimony) accepted() Term {
	var at Term
	if t.Read != nil {
		at = t.Read.Term
	}
	for _, s := range t.Markers {
		at = MaxTerm(at, s.Marker.Term)
	}
	return at
}

// Marker is the first entry of a leadership in its log. An entry of an earlier
// term counts as durable only when a marker after it does, so the marker is
// what makes the inherited log the leader's own.
type Marker struct {
	Term   Term   `json:"term"`
	Leader NodeID `json:"leader"`
	// Ruleset is in force from this entry on.
	Ruleset Ruleset `json:"ruleset"`
	// Over are the rulesets that stay in force beside Ruleset until this
	// marker is complete under all of them.
	Over []Ruleset `json:"over,omitempty"`
}

// clone returns m with storage of its own.
func (m Marker) clone() Marker {
	m.Ruleset = m.Ruleset.clone()
	m.Over = slices.Clone(m.Over)
	for i := range m.Over {
		m.Over[i] = m.Over[i].clone()
	}
	return m
}

// Leadership returns whose marker it is.
func (m Marker) Leadership() Leadership { return Leadership{Leader: m.Leader, Term: m.Term} }

// Sighting is a marker in a node's log. Decided says that the node knows it to
// be complete: durable under every ruleset that was in force, its own and Over.
// False is always safe.
type Sighting struct {
	Marker  Marker `json:"marker"`
	Decided bool   `json:"decided,omitempty"`
}

// Acceptance is a node's statement that the marker of (Leader, Term) and all
// that precedes it is durable in its log.
type Acceptance struct {
	Node        NodeID `json:"node"`
	Incarnation string `json:"incarnation,omitempty"`
	Term        Term   `json:"term"`
	Leader      NodeID `json:"leader"`
	// Position is where the log ended then. Nothing is decided by it.
	Position Position `json:"position"`
}

// Waiver is a person's statement of fact about nodes that will never come
// back. It is recorded and shown in every report; it is never made from a
// time-out. Both tests still run; only Loss lets a change go on although
// completed requests may have existed on the Gone nodes alone.
type Waiver struct {
	Gone   []NodeID `json:"gone"`
	Loss   bool     `json:"loss,omitempty"`
	Reason string   `json:"reason"`
	By     string   `json:"by"`
}

// Validate returns a *WaiverError when w names nobody, or says not why or by
// whom.
func (w Waiver) Validate() error {
	switch {
	case len(w.Gone) == 0:
		return &WaiverError{"it names no node as gone"}
	case w.Reason == "":
		return &WaiverError{"it gives no reason"}
	case w.By == "":
		return &WaiverError{"it does not say by whom"}
	}
	return nil
}
