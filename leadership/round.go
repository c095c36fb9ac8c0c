package leadership

import (
	"cmp"
	"slices"
	"time"
)

// RoundConfig is what a Round starts from.
type RoundConfig struct {
	// Term of the attempt. Required.
	Term Term
	// Rulesets known to have been in force, at least one. A stale one is
	// enough: a later one became durable under it, so every set of nodes
	// that suffices under it sees the later one. With a Waiver that has Loss
	// it must be the newest: the nodes that are gone may have been all that
	// knew of a later one.
	Rulesets []Ruleset
	// Catalog reads the policies; nil for the built-in ones.
	Catalog *Catalog
	// Known restricts the tests to one potential leader. It is sound only
	// with a registry in Shortcut mode, where no leadership can complete
	// anything before it is recorded as active; Rulesets are then those of
	// the record it was read from, and stay in force. Nil: every eligible
	// member of every ruleset in force is a potential leader.
	Known *Leadership
	// Barred says why a testimony counts for nothing, "" when it does, as
	// Record.IsBarred. Nil bars nobody.
	Barred func(t Testimony) string
}

// Round collects testimony for one attempt and decides, by one predicate, what
// it proves: whether every older leadership is revoked, and whether every
// request that one of them may have completed was discovered. Mechanisms never
// decide that themselves, which is why they can be mixed.
//
// A Round is not safe for concurrent use; its owner feeds it one testimony at
// a time.
type Round struct {
	term    Term
	catalog *Catalog
	known   *Leadership
	pinned  bool // a leader was known when the round began
	barred  func(Testimony) string

	cohort  *Cohort // the bit space; grows with the rulesets
	rules   []*Rules
	initial []Ruleset // those the round was started with
	decided uint64    // the highest ruleset version known to be complete

	seen       []witness // by Member of cohort
	blocked    Set
	leased     Set // of blocked: blocked as leaders only, by an expired lease
	read       Set
	own        Set // of read: read after that node's own block
	told       Set // whose position is known, evidence or not
	answered   Set // has itself said something in this round
	waivers    []Waiver
	loss       Set // Gone with Loss: discovery does not ask for them
	superseded Term
	// joiners are nodes outside every ruleset in force that promised the term,
	// with their positions once read. They count for nothing until a marker shows
	// that they are members; a proposal whose ruleset has them as members tells
	// mechanisms where they are.
	joiners []joiner

	lifted    []Ruleset // that a marker in force waived
	survivors *survivors
	proposal  *Proposal
}

// NewRound returns an empty round. It returns a *TermError, or the errors of
// Ruleset.Compile.
func NewRound(c RoundConfig) (*Round, error) {
	if err := c.Term.Validate(); err != nil {
		return nil, err
	}
	if len(c.Rulesets) == 0 {
		return nil, ErrEmptyCohort
	}
	r := &Round{term: c.Term, catalog: c.Catalog, known: c.Known, pinned: c.Known != nil, barred: c.Barred, cohort: &Cohort{}}
	for _, rs := range c.Rulesets {
		if err := r.force(rs); err != nil {
			return nil, err
		}
	}
	for _, rules := range r.rules {
		r.initial = append(r.initial, rules.Ruleset)
	}
	if c.Known != nil {
		if _, ok := r.cohort.Member(c.Known.Leader); !ok {
			return nil, &UnknownNodeError{Node: c.Known.Leader}
		}
	}
	return r, nil
}

// Term returns the term of the attempt.
func (r *Round) Term() Term {
	if !r.minted() {
		return Term{}
	}
	return r.term
}

// Rulesets returns the rulesets in force as far as they are known.
func (r *Round) Rulesets() []Ruleset {
	if !r.minted() {
		return nil
	}
	out := make([]Ruleset, len(r.rules))
	for i, rules := range r.rules {
		out[i] = rules.Ruleset.clone()
	}
	return out
}

// Add takes a testimony into account. Testimonies of nodes outside every
// ruleset in force are kept, for their markers, but count for nothing.
//
//	*SupersededError       the node has promised, or its log shows, a higher term: this attempt is over
//	*StaleTermError        the testimony is of an older attempt; it was ignored
//	*UnknownNodeError      the node is in no ruleset; only its markers were used
//	*ReadBeforeBlockError  the read was ignored, a block in it was counted
//	*BarredError           the record bars what its log says; the read was ignored, a block in it was counted
//	*TextError             the position has a term and no Point; the read was ignored, a block in it was counted
//	*IncarnationError      the incarnation was replaced earlier in this round; which of the two is the
//	                       node cannot be told, so neither counts any more in this round
//	*PolicyError           a marker shows a ruleset that cannot be compiled; the testimony was ignored
//	ErrNotMinted           the round was not made by NewRound
//
// Testimonies of one node must be added in the order in which they were given.
// After any of them the round is consistent and goes on, except that a
// superseded one proves nothing any more.
func (r *Round) Add(t Testimony) error {
	if !r.minted() {
		return ErrNotMinted
	}
	// An accepted entry or a grant binds a node to its term as a promise does.
	newest := MaxTerm(t.Term, t.Led, t.accepted())
	switch {
	case t.Kind == Refused, r.term.Less(newest):
		r.superseded = MaxTerm(r.superseded, newest)
		if !r.term.Less(r.superseded) { // a refusal that names no higher term
			return &StaleTermError{Node: t.Node, Asked: r.term, Promised: t.Term}
		}
		return &SupersededError{Term: r.term, By: r.superseded}
	case t.Term.Less(r.term):
		return &StaleTermError{Node: t.Node, Asked: t.Term, Promised: r.term}
	case t.Kind == Certified:
		return &WaiverError{"certified testimony comes from Waive only"}
	}
	var barred error
	var at *Position // where it says that its log ends, which is no evidence
	if r.barred != nil {
		if why := r.barred(t); why != "" {
			// Its promise binds it from now on, whatever its storage went
			// through; what its log says of the past is what is in doubt.
			if t.Read != nil {
				barred = &BarredError{Node: t.Node, Reason: why}
			}
			at = t.Read
			t.Read, t.Markers = nil, nil
		}
	}
	var placeless error
	if t.Read != nil && t.Read.Point == nil && !t.Read.Term.IsZero() {
		// Of two logs of one term it would not be known which is the longer.
		placeless = &TextError{What: "position of " + string(t.Node), Text: t.Read.String(), Reason: "it has a term and no place in the log: it is not read"}
		t.Read = nil
	}
	if r.known != nil && (r.known.Term.Less(t.Led) || t.Led == r.known.Term && t.Node != r.known.Leader) {
		// A grant above the recorded leadership, or of its term at another
		// node, proves that the record we started from was not right. Whoever
		// else leads may be just as unknown.
		r.known = nil
	}
	err := r.sight(t.Markers)
	r.admit()
	r.settle()
	if err != nil {
		return err
	}
	m, ok := r.cohort.Member(t.Node)
	if !ok {
		r.join(t)
		return &UnknownNodeError{Node: t.Node}
	}
	if err := r.count(m, t); err != nil {
		return err
	}
	if at != nil && !r.read.Has(m) {
		r.seen[m].barred = true
		r.tell(m, *at)
	}
	return cmp.Or(barred, placeless)
}

// minted reports whether NewRound made the round. A zero Round has no ruleset
// in force and would pass every test.
func (r *Round) minted() bool { return r != nil && len(r.rules) > 0 }

// standing returns nil unless the round can prove nothing, whatever was added.
func (r *Round) standing() error {
	switch {
	case !r.minted():
		return ErrNotMinted
	case r.superseded.Num != 0 && r.term.Less(r.superseded):
		return &SupersededError{Term: r.term, By: r.superseded}
	}
	return nil
}

// knownLeader returns the one potential leader of a round that was told of it,
// false when every eligible member is one. A known leader that no ruleset in
// force has as a member proves that what was known is old.
func (r *Round) knownLeader() (Member, bool) {
	if r.known == nil {
		return 0, false
	}
	m, ok := r.cohort.Member(r.known.Leader)
	return m, ok && slices.ContainsFunc(r.rules, func(rules *Rules) bool { return rules.members.Has(m) })
}

// uncovered is the one predicate behind both tests: some potential leader
// under some ruleset in force for whom the nodes outside reached are durable.
// The nodes of leased are reached as leaders, and only so: an expired lease
// keeps a node from completing, not from accepting from somebody else.
func (r *Round) uncovered(reached, leased Set) (*Rules, Member, bool) {
	known, one := r.knownLeader()
	reached = reached.Minus(leased)
	for _, rules := range r.rules {
		leaders := rules.leaders
		if one {
			leaders = SetOf(known) & rules.members
		}
		if l, ok := rules.Could(leaders.Minus(leased), rules.members.Minus(reached)); ok {
			return rules, l, true
		}
	}
	return nil, 0, false
}

// Revoked returns nil when it is proven that no leadership below the round's
// term can complete a new request: for every potential leader under every
// ruleset in force, the nodes that are not blocked hold no durable set.
//
// That the nodes which were reached are durable themselves proves nothing:
// with 2 of 4, {n1,n2} is durable and so is {n3,n4}.
//
// Otherwise it returns a *NotRevokedError with the counter-example, or a
// *SupersededError, or ErrNotMinted for a zero Round. It does not allocate when
// it returns nil.
func (r *Round) Revoked() error {
	if err := r.standing(); err != nil {
		return err
	}
	if rules, l, ok := r.uncovered(r.blocked, r.leased); ok {
		return &NotRevokedError{Term: r.term, Counter: rules.counter(l, rules.members.Minus(r.blocked.Minus(r.leased)))}
	}
	return nil
}

// Discovered returns nil when every request that a leadership below the
// round's term may have completed is in some log that was read after that
// node's block, or after revocation held. Otherwise a *NotDiscoveredError, a
// *SupersededError or ErrNotMinted.
func (r *Round) Discovered() error {
	if err := r.standing(); err != nil {
		return err
	}
	read := r.read | r.forgone(r.read)
	if rules, l, ok := r.uncovered(read, 0); ok {
		return &NotDiscoveredError{Term: r.term, Counter: rules.counter(l, rules.members.Minus(read))}
	}
	return nil
}

// forgone returns the nodes whose logs discovery does not ask for, by a person's
// word, given which logs were read. What is lost by it is what was on nodes that
// are gone alone: so every other member must have been read, since one of them may
// hold what a gone node and it completed.
func (r *Round) forgone(read Set) Set {
	if r.loss == 0 || r.survivors != nil { // resort asks for as much
		return r.loss
	}
	for _, rules := range r.rules {
		for m := range rules.members.Minus(r.loss | read).All() {
			if w := r.seen[m]; w.kind != Certified && !w.belowFloor && !w.barred {
				return 0
			}
		}
	}
	return r.loss
}

// willing returns the members that stably promised and can take part in the
// new term.
func (r *Round) willing() Set {
	var s Set
	for m := range r.blocked.All() {
		if r.seen[m].kind.stable() && !r.seen[m].held {
			s = s.With(m)
		}
	}
	return s
}

// Ready returns nil when the round is sufficient to establish the node: both
// tests pass, it was reached and read above its floor, it is eligible, and the
// willing nodes hold a durable set for it under every ruleset in force, less
// what a Waiver's Ruleset excuses. Else the error of the test, an
// *UnknownNodeError, *IneligibleError, *BarredError, *NotReadyError, or a
// *WaiverError.
//
// unfit names nodes that promised and still cannot accept: their log cannot be
// brought to the selected one. They count as blocked and read, never as willing:
// an acker that can never follow must not be counted on.
func (r *Round) Ready(to NodeID, unfit ...NodeID) error {
	if err := r.Revoked(); err != nil {
		return err
	}
	if err := r.Discovered(); err != nil {
		return err
	}
	return r.candidacy(to, unfit)
}

// Superseded returns the highest term that a node was seen to have promised
// above the round's, zero when there is none.
func (r *Round) Superseded() Term {
	if !r.minted() {
		return Term{}
	}
	return r.superseded
}

// Waivers returns the waivers that were entered.
func (r *Round) Waivers() []Waiver {
	if !r.minted() {
		return nil
	}
	return slices.Clone(r.waivers)
}

// Blocked returns the nodes that count as blocked.
func (r *Round) Blocked() []NodeID {
	if !r.minted() {
		return nil
	}
	return r.cohort.Names(r.blocked)
}

// Reads returns the positions that count, in the order of the rulesets.
func (r *Round) Reads() []NodePosition {
	if !r.minted() {
		return nil
	}
	out := make([]NodePosition, 0, r.read.Len())
	for m := range r.read.All() {
		out = append(out, NodePosition{Node: r.cohort.Node(m).ID, Position: r.seen[m].position})
	}
	return out
}

// LeaseLeft returns the longest lease that a reached node has given and that
// had not run out when it answered. Every sufficient set holds a grantor of
// every lease, so waiting this out waits out all of them.
func (r *Round) LeaseLeft() time.Duration {
	if !r.minted() {
		return 0
	}
	var d time.Duration
	for m := range r.blocked.All() {
		d = max(d, r.seen[m].lease)
	}
	return d
}
