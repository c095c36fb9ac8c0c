package leadership

// Enforcer is how a kind of node says which policies its engine can keep when
// it leads. A MariaDB server completes with one acknowledgement from any
// replica, so it can keep "at-least(2)" and little else; a leader that
// completes by less than the policy voids every revocation made by followers.
type Enforcer interface {
	// CanEnforce returns nil when a node of this kind, leading under rs,
	// completes nothing that is not durable by rs.
	CanEnforce(rs Ruleset) error
}
