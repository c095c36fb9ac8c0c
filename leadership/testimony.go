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
	// what the old one said in the same round. Between rounds nothing compares
	// it: a node whose storage was lost comes back under another NodeID, which a
	// change of the ruleset admits, or is barred by a floor or a Bar.
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
	// Waived are rulesets that Ruleset took the place of although this marker
	// could not become complete under them: a person stated that too many of
	// their members are gone (Waiver.Ruleset). They are in force no more for
	// whoever knows Ruleset from the record, or knows the marker to be complete;
	// for anybody else they are.
	Waived []Ruleset `json:"waived,omitempty"`
	// Lost are the nodes whose logs discovery went without, by a person's word
	// (Waiver.Loss). What they completed alone is not in this log: should the
	// attempt be given up and a node of them be back with more, no log can be
	// selected by its term any more, see DivergedError.
	Lost []NodeID `json:"lost,omitempty"`
}

// Equal reports whether two markers are the same in every part.
func (m Marker) Equal(o Marker) bool {
	return m.Leadership() == o.Leadership() && m.Ruleset.Equal(o.Ruleset) &&
		slices.EqualFunc(m.Over, o.Over, Ruleset.Equal) && slices.EqualFunc(m.Waived, o.Waived, Ruleset.Equal) && slices.Equal(m.Lost, o.Lost)
}

// clone returns m with storage of its own.
func (m Marker) clone() Marker {
	m.Ruleset = m.Ruleset.clone()
	m.Over, m.Waived, m.Lost = cloneRulesets(m.Over), cloneRulesets(m.Waived), slices.Clone(m.Lost)
	return m
}

// Leadership returns whose marker it is.
func (m Marker) Leadership() Leadership { return Leadership{Leader: m.Leader, Term: m.Term} }

// Sighting is a marker in a node's log. Decided says that the node knows it to
// be complete: durable under every ruleset that was in force, its own and Over.
// False is always safe. A marker with Waived or Lost is not called decided before its
// leader was granted: its attempt may be given up before the record shows it.
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
	// Ruleset, when given, is the last resort of a cluster in which so many
	// nodes are gone that nobody can complete anything: it takes the place of
	// every ruleset in force that cannot be satisfied without the nodes that
	// are Gone, without being complete under it, which is all that it excuses.
	// Its members are survivors: members in force, and none of Gone. Every
	// member in force that is not Gone must promise and be read, so that the
	// best log that is left is chosen. It is refused where a ruleset in force
	// can be satisfied without the nodes that are Gone, since then the ordinary
	// way is open. Version 0 takes the next one. Nil: nothing but the
	// testimony of the nodes that are Gone is waived.
	//
	// What it takes for the statement to hold is that no node which is Gone
	// ever accepts or completes anything again. Where they live on, or come
	// back with their storage, and a coordinator that has neither read the
	// record nor reached a survivor finds enough of them, there are two leaders.
	Ruleset *Ruleset `json:"ruleset,omitempty"`
}

// Validate returns a *WaiverError when w names nobody, says not why or by
// whom, or has as a member of its Ruleset a node that is Gone.
func (w Waiver) Validate() error {
	switch {
	case len(w.Gone) == 0:
		return &WaiverError{"it names no node as gone"}
	case w.Reason == "":
		return &WaiverError{"it gives no reason"}
	case w.By == "":
		return &WaiverError{"it does not say by whom"}
	}
	if w.Ruleset == nil {
		return nil
	}
	for _, id := range w.Gone {
		if w.Ruleset.Has(id) {
			return &WaiverError{"node " + string(id) + " is gone and a member of the ruleset to go on with"}
		}
	}
	return nil
}
