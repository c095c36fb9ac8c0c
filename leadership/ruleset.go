package leadership

import (
	"slices"
)

// Ruleset says whose storage counts and by which policy. It is plain data, the
// form in which rulesets are stored in records and markers: it carries names,
// never bits. Compile makes it usable.
type Ruleset struct {
	// Version rises with every change of the ruleset; the first is 1.
	Version uint64 `json:"version"`
	Members []Node `json:"members"`
	// Policy is the Spec of the durability policy.
	Policy string `json:"policy"`
}

// NewRuleset returns version 1 of a ruleset of the given nodes. A policy of the
// user's own must be known to the Catalog of whoever compiles it again. Errors as
// Compile.
func NewRuleset(p Policy, members ...Node) (Ruleset, error) {
	if p == nil {
		return Ruleset{}, ErrNoPolicy
	}
	rs := Ruleset{Version: 1, Members: slices.Clone(members), Policy: p.Spec()}
	c, err := NewCohort(members...)
	if err != nil {
		return Ruleset{}, err
	}
	if _, err := compile(rs, c, p); err != nil {
		return Ruleset{}, err
	}
	return rs, nil
}

// IsZero reports whether rs is no ruleset.
func (rs Ruleset) IsZero() bool { return rs.Version == 0 && len(rs.Members) == 0 }

// Equal reports whether two rulesets are the same in every part.
func (rs Ruleset) Equal(o Ruleset) bool {
	return rs.Version == o.Version && rs.Policy == o.Policy && slices.Equal(rs.Members, o.Members)
}

// Has reports whether the node's storage counts.
func (rs Ruleset) Has(id NodeID) bool {
	return slices.ContainsFunc(rs.Members, func(n Node) bool { return n.ID == id })
}

// IDs returns the members' names.
func (rs Ruleset) IDs() []NodeID {
	ids := make([]NodeID, len(rs.Members))
	for i, n := range rs.Members {
		ids[i] = n.ID
	}
	return ids
}

// clone returns rs with storage of its own.
func (rs Ruleset) clone() Ruleset {
	rs.Members = slices.Clone(rs.Members)
	return rs
}

func cloneRulesets(rss []Ruleset) []Ruleset {
	out := slices.Clone(rss)
	for i := range out {
		out[i] = out[i].clone()
	}
	return out
}

// Rules is a compiled Ruleset. It is immutable and safe for concurrent use.
type Rules struct {
	Ruleset Ruleset
	cohort  *Cohort // with the attributes of this ruleset
	members Set
	leaders Set
	rule    Rule
	all     finder // rule, if it searches all leaders at once
}

// Compile compiles rs with the policies that cat knows (nil: the built-in
// ones) in a bit space of its own. It returns ErrEmptyCohort,
// *CohortSizeError, *DuplicateNodeError, *NodeIDError, *WeightError,
// ErrNoPolicy, *PolicyError, or an *IneligibleError when no member may lead.
func (rs Ruleset) Compile(cat *Catalog) (*Rules, error) {
	c, err := NewCohort(rs.Members...)
	if err != nil {
		return nil, err
	}
	return rs.CompileIn(c, cat)
}

// CompileIn is Compile in the bit space of c. The attributes are those of rs. It
// returns an *UnknownNodeError for a member that c does not hold.
func (rs Ruleset) CompileIn(c *Cohort, cat *Catalog) (*Rules, error) {
	if err := checkNodes(rs.Members); err != nil {
		return nil, err
	}
	p, err := cat.ParsePolicy(rs.Policy)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, ErrNoPolicy
	}
	return compile(rs, c, p)
}

func compile(rs Ruleset, c *Cohort, p Policy) (*Rules, error) {
	members, err := c.Set(rs.IDs()...)
	if err != nil {
		return nil, err
	}
	own, err := c.cover(rs.Members)
	if err != nil {
		return nil, err
	}
	rule, err := p.Compile(own, members)
	if err != nil {
		return nil, err
	}
	if rule == nil {
		return nil, &PolicyError{Spec: p.Spec(), Reason: "it compiled to no rule"}
	}
	r := &Rules{Ruleset: rs.clone(), cohort: own, members: members, rule: rule}
	r.all, _ = rule.(finder)
	for m := range members.All() {
		if !own.Node(m).Ineligible {
			r.leaders = r.leaders.With(m)
		}
	}
	if r.leaders == 0 {
		return nil, &IneligibleError{Node: rs.Members[0].ID, Reason: "no member of the ruleset is eligible to lead"}
	}
	return r, r.check(p.Spec())
}

// check refuses what is no durability predicate. With monotony, "not durable
// without the leader's own node" on the full set proves it for every set.
func (r *Rules) check(spec string) error {
	satisfiable := false
	for l := range r.leaders.All() {
		if r.rule.Durable(l, r.members) {
			satisfiable = true
		}
		if r.rule.Durable(l, r.members.Without(l)) {
			return &PolicyError{Spec: spec, Reason: "durable without the leader's own node " + string(r.cohort.Node(l).ID) + ": a leader without storage is not supported"}
		}
	}
	if !satisfiable {
		return &PolicyError{Spec: spec, Reason: "no set of the cohort " + setText(r.Ruleset.IDs()) + " satisfies it for any eligible leader"}
	}
	return nil
}

// Cohort returns the bit space, with the attributes of this ruleset.
func (r *Rules) Cohort() *Cohort { return r.cohort }

// Members returns whose storage counts.
func (r *Rules) Members() Set { return r.members }

// Leaders returns the eligible members: every potential leader.
func (r *Rules) Leaders() Set { return r.leaders }

// Durable reports whether an entry that exactly the nodes of have hold, the
// leader's own node included, is durable under leader. Nodes outside the
// ruleset count for nothing. Leader and coordinator use this same predicate,
// the one to complete requests, the other to prove that none can be.
func (r *Rules) Durable(leader Member, have Set) bool {
	return r.members.Has(leader) && r.rule.Durable(leader, have&r.members)
}

// Could returns a leader among leaders for whom have is durable. It is the
// core of every test: nobody could complete with the nodes that were not
// reached.
func (r *Rules) Could(leaders, have Set) (Member, bool) {
	leaders &= r.members
	have &= r.members
	if r.all != nil {
		return r.all.find(leaders, have)
	}
	for l := range leaders.All() {
		if r.rule.Durable(l, have) {
			return l, true
		}
	}
	return 0, false
}

// counter makes the counter-example smallest, so that it names only nodes
// that matter.
func (r *Rules) counter(l Member, have Set) CounterExample {
	have &= r.members
	for m := range have.All() {
		if r.rule.Durable(l, have.Without(m)) {
			have = have.Without(m)
		}
	}
	return CounterExample{Ruleset: r.Ruleset.Version, Leader: r.cohort.Node(l).ID, Could: r.cohort.Names(have)}
}
