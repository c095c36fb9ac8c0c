package leadership

import (
	"slices"
	"time"
)

// witness is what is known of one node in this round.
type witness struct {
	heard       bool // the node has said which incarnation it is
	incarnation string
	past        []string      // incarnations that another one replaced in this round
	kind        TestimonyKind // Statement: not blocked
	held        bool
	position    Position
	belowFloor  bool
	barred      bool // its log was read, and the record bars it
	markers     []Sighting
	lease       time.Duration
	led         Term
}

// strength orders blocks: a stronger one takes the place of a weaker one,
// never the reverse. Only the strongest lets a node take part in the new term.
func strength(k TestimonyKind, held bool) int {
	switch {
	case k.stable() && !held:
		return 4
	case k == Certified:
		return 3
	case k.stable(), k == Isolated:
		return 2
	case k == LeaseExpired:
		return 1
	}
	return 0
}

// outside reports whether testimony of this kind is made about a node and not
// by it: who cuts a node's power or waits out its lease need not know its
// incarnation, and has not heard from it.
func (k TestimonyKind) outside() bool { return k == Isolated || k == LeaseExpired }

func (r *Round) count(m Member, t Testimony) error {
	if err := r.identify(m, t); err != nil {
		return err
	}
	w := &r.seen[m]
	if !t.Kind.outside() {
		r.answered = r.answered.With(m)
		if w.kind == Certified {
			// What answers is not gone, and must be read like any other.
			r.block(m, Statement, false)
			r.loss, r.own = r.loss.Without(m), r.own.Without(m)
			r.settle()
		}
	}
	if strength(t.Kind, t.Held) > strength(w.kind, w.held) {
		r.block(m, t.Kind, t.Held || t.Kind == Isolated)
	}
	w.lease = max(w.lease, t.LeaseLeft)
	w.led = MaxTerm(w.led, t.Led)
	if len(t.Markers) > 0 {
		// A node that blocks fast and reads slowly may show its markers with
		// the one or with the other.
		w.markers = slices.Clone(t.Markers)
	}
	if t.BelowFloor {
		w.belowFloor = true
		r.read, r.own = r.read.Without(m), r.own.Without(m)
	}
	if t.Read == nil {
		return nil
	}
	own := r.blocked.Minus(r.leased).Has(m)
	if !own && r.Revoked() != nil {
		return &ReadBeforeBlockError{Node: t.Node}
	}
	w.belowFloor = t.BelowFloor
	r.tell(m, *t.Read)
	if t.BelowFloor {
		return nil
	}
	r.read, r.own = r.read.With(m), r.own.Without(m)
	if own {
		r.own = r.own.With(m)
	}
	return nil
}

// tell notes where a node's log ends, evidence or not: mechanisms must know that
// to have it follow. A late answer tells them, too.
func (r *Round) tell(m Member, at Position) {
	r.seen[m].position, r.told = at, r.told.With(m)
	if r.proposal != nil {
		r.proposal.hear(r.cohort.Node(m).ID, at)
	}
}

// block notes how a node is blocked; Statement takes the block away.
func (r *Round) block(m Member, k TestimonyKind, held bool) {
	r.seen[m].kind, r.seen[m].held = k, held
	r.blocked, r.leased = r.blocked.Without(m), r.leased.Without(m)
	if k.blocks() {
		r.blocked = r.blocked.With(m)
	}
	if k == LeaseExpired {
		r.leased = r.leased.With(m)
	}
}

// identify voids all that an earlier incarnation of the node said: another
// storage, or a restart that undid a held block. A late message of the
// incarnation that was replaced must not bring its block back, and when one
// arrives it is no longer certain which of the two came last.
func (r *Round) identify(m Member, t Testimony) error {
	w := &r.seen[m]
	switch {
	case t.Kind.outside() && t.Incarnation == "":
		return nil
	case slices.Contains(w.past, t.Incarnation):
		err := &IncarnationError{Node: t.Node, Want: w.incarnation, Got: t.Incarnation}
		r.void(m)
		return err
	case w.heard && w.incarnation != t.Incarnation:
		r.void(m)
	}
	w.heard, w.incarnation = true, t.Incarnation
	return nil
}

// void forgets what a node's current incarnation said. A person's word that
// the node is gone stands until the node itself speaks.
func (r *Round) void(m Member) {
	w := &r.seen[m]
	past := w.past
	if w.heard {
		past = append(past, w.incarnation)
	}
	kind := Statement
	if w.kind == Certified {
		kind = Certified
	}
	*w = witness{past: past}
	r.block(m, kind, false)
	r.read, r.own, r.told = r.read.Without(m), r.own.Without(m), r.told.Without(m)
	r.settle()
}

// settle drops the reads that counted only because revocation held, once it
// does not: a ruleset that came in force, or a block that was voided, shows
// that it did not hold when they were taken, and a request may have been
// completed since.
func (r *Round) settle() {
	if r.read == r.own {
		return
	}
	if _, _, ok := r.uncovered(r.blocked, r.leased); ok {
		r.read &= r.own
	}
}

// Waive enters a person's statement that nodes are gone as certified
// testimony. A node that is in no ruleset in force counts as gone from when a
// marker shows that it is a member: who is gone from a change of the ruleset that
// was left unfinished has to be said before any log was read. It returns a
// *WaiverError, *NodeIDError, ErrNotMinted, or a *WaiverError for a node that has
// itself testified in this round: what answers is not gone. A node that answers
// later stops counting as gone. For a Waiver.Ruleset the errors of Ruleset.Compile
// are added, and a *WaiverError for one that has others than members in force, is a
// second one, or comes after a proposal was made.
func (r *Round) Waive(w Waiver) error {
	if !r.minted() {
		return ErrNotMinted
	}
	if err := w.Validate(); err != nil {
		return err
	}
	var gone Set
	for _, id := range w.Gone {
		if err := id.Validate(); err != nil {
			return err
		}
		m, member := r.cohort.Member(id)
		if member {
			gone = gone.With(m)
		}
		if member && r.answered.Has(m) || r.joined(id) {
			return &WaiverError{"node " + string(id) + " has answered: it is not gone"}
		}
	}
	if w.Ruleset != nil {
		if r.proposal != nil {
			return &WaiverError{"a candidate was proposed under the ruleset in force already: name one to go on with in a new attempt"}
		}
		if err := r.outlive(w, gone); err != nil {
			return err
		}
	}
	r.waivers = append(r.waivers, w)
	for m := range gone.All() {
		r.certify(m)
	}
	return nil
}

// certify counts a node as gone if a waiver says that it is.
func (r *Round) certify(m Member) {
	for _, w := range r.waivers {
		if !slices.Contains(w.Gone, r.cohort.Node(m).ID) {
			continue
		}
		r.block(m, Certified, false)
		if w.Loss {
			r.loss = r.loss.With(m)
		}
		if w.Ruleset != nil {
			r.survivors.gone = r.survivors.gone.With(m)
		}
	}
}
