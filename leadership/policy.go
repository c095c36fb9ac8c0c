package leadership

// Policy is a durability policy: a family of durable sets for each leader.
// Implement it for a rule of your own and register it with a Catalog.
type Policy interface {
	// Spec is the text that ParsePolicy understands. It lives in logs and
	// records, so it must say everything that Compile depends on.
	Spec() string
	// Compile binds the policy to members of a cohort. It returns a
	// *PolicyError when the policy makes no sense there.
	Compile(c *Cohort, members Set) (Rule, error)
}

// Rule is a compiled policy.
type Rule interface {
	// Durable reports whether an entry held by exactly the nodes of have is
	// durable under leader. It must be
	//
	//	monotone   durable with more nodes whenever with fewer
	//	pure       a function of its arguments and static attributes
	//	self       never durable without the leader's own node
	//
	// have is a subset of the members and counts the leader's own node as
	// any other: "two copies" is two nodes, not "two besides the leader".
	Durable(leader Member, have Set) bool
}

// finder is what the built-in rules offer besides: the search over all leaders
// at once. Of the leader they ask only that it is in the set, so the answer is
// one look at the set, whatever the number of leaders.
type finder interface {
	find(leaders, have Set) (Member, bool)
}
