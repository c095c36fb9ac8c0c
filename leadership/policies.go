package leadership

import (
	"fmt"
	"strconv"
)

// Majority is durable on more than half of the members.
func Majority() Policy { return majority{} }

type majority struct{}

func (majority) Spec() string { return "majority" }

func (majority) Compile(_ *Cohort, members Set) (Rule, error) {
	return atLeastRule(members.Len()/2 + 1), nil
}

// AtLeast is durable on k members, the leader's own node included. k below 1
// is refused when compiled.
func AtLeast(k int) Policy { return atLeast(k) }

type atLeast int

func (k atLeast) Spec() string { return fmt.Sprintf("at-least(%d)", int(k)) }

func (k atLeast) Compile(*Cohort, Set) (Rule, error) {
	if k < 1 {
		return nil, &PolicyError{Spec: k.Spec(), Reason: "the number of copies is at least 1"}
	}
	return atLeastRule(k), nil
}

// All is durable on every member: one lost node stops the leader, and any one
// node that is reached revokes it.
func All() Policy { return all{} }

type all struct{}

func (all) Spec() string { return "all" }

func (all) Compile(_ *Cohort, members Set) (Rule, error) { return atLeastRule(members.Len()), nil }

// Any is durable on the leader alone: asynchronous replication, said honestly.
// Only reaching every potential leader revokes it, and a leader that is lost
// takes acknowledged requests with it.
func Any() Policy { return anyone{} }

type anyone struct{}

func (anyone) Spec() string { return "any" }

func (anyone) Compile(*Cohort, Set) (Rule, error) { return atLeastRule(1), nil }

type atLeastRule int

func (k atLeastRule) Durable(l Member, have Set) bool { return have.Has(l) && have.Len() >= int(k) }

func (k atLeastRule) find(leaders, have Set) (Member, bool) {
	if s := leaders & have; s != 0 && have.Len() >= int(k) {
		return s.first(), true
	}
	return 0, false
}

// Zones is durable on members in k different zones, the leader's own among
// them. Members without a Zone are refused when compiled. Revocation is still
// judged by nodes: having reached one node of every zone proves nothing while
// the others span k zones.
func Zones(k int) Policy { return zones(k) }

type zones int

func (k zones) Spec() string { return fmt.Sprintf("zones(%d)", int(k)) }

func (k zones) Compile(c *Cohort, members Set) (Rule, error) {
	if k < 1 {
		return nil, &PolicyError{Spec: k.Spec(), Reason: "the number of zones is at least 1"}
	}
	r := zoneRule{k: int(k)}
	index := map[string]int{}
	for m := range members.All() {
		z := c.Node(m).Zone
		if z == "" {
			return nil, &PolicyError{Spec: k.Spec(), Reason: "node " + string(c.Node(m).ID) + " has no zone"}
		}
		i, ok := index[z]
		if !ok {
			i = len(r.zones)
			index[z] = i
			r.zones = append(r.zones, 0)
		}
		r.zones[i] = r.zones[i].With(m)
	}
	return r, nil
}

type zoneRule struct {
	k     int
	zones []Set
}

func (r zoneRule) Durable(l Member, have Set) bool { return have.Has(l) && r.span(have) }

func (r zoneRule) find(leaders, have Set) (Member, bool) {
	if s := leaders & have; s != 0 && r.span(have) {
		return s.first(), true
	}
	return 0, false
}

func (r zoneRule) span(have Set) bool {
	n := 0
	for _, z := range r.zones {
		if have&z != 0 {
			n++
		}
	}
	return n >= r.k
}

// Weighted is durable on members whose weights sum to at least w, the leader's
// own node included; w = 0 asks for more than half of the total.
func Weighted(w int) Policy { return weighted(w) }

type weighted int

func (w weighted) Spec() string {
	if w == 0 {
		return "weighted"
	}
	return "weighted(" + strconv.Itoa(int(w)) + ")"
}

func (w weighted) Compile(c *Cohort, members Set) (Rule, error) {
	if w < 0 {
		return nil, &PolicyError{Spec: w.Spec(), Reason: "the weight is not negative"}
	}
	r := &weightRule{}
	total := 0
	for m := range members.All() {
		n := c.Node(m).Weight
		if n == 0 {
			n = 1
		}
		if n > maxWeight {
			return nil, &PolicyError{Spec: w.Spec(), Reason: fmt.Sprintf("node %s has weight %d, at most %d", c.Node(m).ID, n, maxWeight)}
		}
		r.weight[m] = int32(n)
		total += n
	}
	r.need = int32(min(int(w), maxWeight*MaxMembers+1))
	if w == 0 {
		r.need = int32(total/2 + 1)
	}
	return r, nil
}

// maxWeight keeps the sum of 64 weights far from overflow on 32 bits.
const maxWeight = 1 << 20

type weightRule struct {
	weight [MaxMembers]int32
	need   int32
}

func (r *weightRule) Durable(l Member, have Set) bool { return have.Has(l) && r.enough(have) }

func (r *weightRule) find(leaders, have Set) (Member, bool) {
	if s := leaders & have; s != 0 && r.enough(have) {
		return s.first(), true
	}
	return 0, false
}

func (r *weightRule) enough(have Set) bool {
	sum := int32(0)
	for have != 0 {
		m := have.first()
		have = have.Without(m)
		if sum += r.weight[m]; sum >= r.need {
			return true
		}
	}
	return false
}

// Joint is durable when durable under both p and q. It is the rule of a change
// of policy: while it lasts, neither the old nor the new policy alone decides.
func Joint(p, q Policy) Policy { return joint{p, q} }

type joint struct{ p, q Policy }

func (j joint) Spec() string {
	if j.p == nil || j.q == nil {
		return "joint()"
	}
	return "joint(" + j.p.Spec() + "," + j.q.Spec() + ")"
}

func (j joint) Compile(c *Cohort, members Set) (Rule, error) {
	if j.p == nil || j.q == nil {
		return nil, ErrNoPolicy
	}
	p, err := j.p.Compile(c, members)
	if err != nil {
		return nil, err
	}
	q, err := j.q.Compile(c, members)
	if err != nil {
		return nil, err
	}
	if pf, ok := p.(finder); ok {
		if qf, ok := q.(finder); ok {
			return jointFinder{jointRule{p, q}, pf, qf}, nil
		}
	}
	return jointRule{p, q}, nil
}

type jointRule struct{ p, q Rule }

func (j jointRule) Durable(l Member, have Set) bool {
	return j.p.Durable(l, have) && j.q.Durable(l, have)
}

// jointFinder is a joint of two rules that ask of the leader only that it is
// in the set: both find the same one.
type jointFinder struct {
	jointRule
	pf, qf finder
}

func (j jointFinder) find(leaders, have Set) (Member, bool) {
	if _, ok := j.pf.find(leaders, have); !ok {
		return 0, false
	}
	return j.qf.find(leaders, have)
}
