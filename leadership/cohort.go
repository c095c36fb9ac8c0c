package leadership

import "slices"

// NodeID names a node. It matches [A-Za-z0-9][A-Za-z0-9._-]{0,62}, which fits
// host names, file names and HTTP headers alike.
type NodeID string

// Validate returns a *NodeIDError unless id has the form of a NodeID.
func (id NodeID) Validate() error {
	if len(id) == 0 || len(id) > 63 {
		return &NodeIDError{ID: NodeID(clip(string(id)))}
	}
	for i := range len(id) {
		c := id[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return &NodeIDError{ID: id}
		}
	}
	return nil
}

// Node is one node of a cohort with the static attributes that policies may
// look at. Durability is a matter of these alone, never of time or health.
type Node struct {
	ID NodeID `json:"id"`
	// Zone is the failure domain, for Zones.
	Zone string `json:"zone,omitempty"`
	// Weight is for Weighted; 0 counts as 1, a negative weight is refused.
	Weight int `json:"weight,omitempty"`
	// Ineligible nodes store and acknowledge but may never lead.
	Ineligible bool `json:"ineligible,omitempty"`
}

// Cohort is the bit space of a set of nodes: it gives each an index. It is
// immutable and safe for concurrent use. The nil and the zero Cohort are empty.
type Cohort struct {
	nodes []Node
	index map[NodeID]Member
}

// NewCohort returns the cohort of the given nodes, indexed in that order. It
// returns ErrEmptyCohort, *CohortSizeError above MaxMembers,
// *DuplicateNodeError, *NodeIDError or *WeightError.
func NewCohort(nodes ...Node) (*Cohort, error) {
	if len(nodes) == 0 {
		return nil, ErrEmptyCohort
	}
	return (&Cohort{}).With(nodes...)
}

// With returns a cohort in which the given nodes follow those of c; the
// indices of c stay as they are. Errors as NewCohort.
func (c *Cohort) With(nodes ...Node) (*Cohort, error) {
	if c == nil {
		c = &Cohort{}
	}
	if n := len(c.nodes) + len(nodes); n > MaxMembers {
		return nil, &CohortSizeError{Size: n}
	}
	most := len(c.nodes) + len(nodes)
	d := &Cohort{nodes: append(make([]Node, 0, most), c.nodes...), index: make(map[NodeID]Member, most)}
	for i, n := range c.nodes {
		d.index[n.ID] = Member(i)
	}
	for _, n := range nodes {
		if err := n.check(); err != nil {
			return nil, err
		}
		if _, dup := d.index[n.ID]; dup {
			return nil, &DuplicateNodeError{Node: n.ID}
		}
		d.index[n.ID] = Member(len(d.nodes))
		d.nodes = append(d.nodes, n)
	}
	return d, nil
}

// check returns the error of a node that no cohort takes.
func (n Node) check() error {
	if err := n.ID.Validate(); err != nil {
		return err
	}
	if n.Weight < 0 {
		return &WeightError{Node: n.ID, Weight: n.Weight}
	}
	return nil
}

// checkNodes returns the error of NewCohort without making a cohort.
func checkNodes(nodes []Node) error {
	switch n := len(nodes); {
	case n == 0:
		return ErrEmptyCohort
	case n > MaxMembers:
		return &CohortSizeError{Size: n}
	}
	for i, n := range nodes {
		if err := n.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(nodes[:i], func(o Node) bool { return o.ID == n.ID }) {
			return &DuplicateNodeError{Node: n.ID}
		}
	}
	return nil
}

// cover returns a cohort that has every node of nodes, and the attributes
// that nodes gives them: c itself when it does. Indices of c are kept: a
// ruleset that moves a node to another zone is compiled with its own attributes
// in the shared bit space.
func (c *Cohort) cover(nodes []Node) (*Cohort, error) {
	var fresh []Node
	same := true
	for _, n := range nodes {
		m, ok := c.index[n.ID]
		if !ok {
			fresh = append(slices.Grow(fresh, len(nodes)), n)
		}
		same = same && ok && c.nodes[m] == n
	}
	if same {
		return c, nil
	}
	d, err := c.With(fresh...)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		d.nodes[d.index[n.ID]] = n
	}
	return d, nil
}

// Len returns how many members the bit space has.
func (c *Cohort) Len() int {
	if c == nil {
		return 0
	}
	return len(c.nodes)
}

// Member returns the index of the node, false when it is not in the cohort.
func (c *Cohort) Member(id NodeID) (Member, bool) {
	if c == nil {
		return 0, false
	}
	m, ok := c.index[id]
	return m, ok
}

// Node returns the node of an index, the zero Node when there is none.
func (c *Cohort) Node(m Member) Node {
	if int(m) >= c.Len() {
		return Node{}
	}
	return c.nodes[m]
}

// All returns the set of all members.
func (c *Cohort) All() Set {
	if c.Len() == MaxMembers {
		return ^Set(0)
	}
	return 1<<c.Len() - 1
}

// Set returns the set of the named nodes, or an *UnknownNodeError.
func (c *Cohort) Set(ids ...NodeID) (Set, error) {
	var s Set
	for _, id := range ids {
		m, ok := c.Member(id)
		if !ok {
			return 0, &UnknownNodeError{Node: id}
		}
		s = s.With(m)
	}
	return s, nil
}

// Names returns the nodes of s in index order.
func (c *Cohort) Names(s Set) []NodeID {
	ids := make([]NodeID, 0, s.Len())
	for m := range s.All() {
		ids = append(ids, c.Node(m).ID)
	}
	return ids
}
