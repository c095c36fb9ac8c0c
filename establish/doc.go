// Package establish makes a leadership: it brings the candidate to the selected
// log, installs the marker, lets followers accept from it, and grants.
//
// An establishment begins with a *leadership.Proposal, which only a proven
// revocation can make, and a grant takes a *leadership.Installed, which only a
// durable marker can make. So in a coordinator the order "revoke, install durably,
// grant" is kept by types; leadership.Record.Activate says when the record comes
// before the grant. Candidate and Follower, at the nodes, take a
// term and no proof: there the order of terms and the marker in the node's log keep
// it, and that a call was made from a proof is trusted.
//
//	est, err := establish.NewProposal(candidates, followers, establish.Options{})
//	err = est.Install(ctx, proposal, func(a leadership.Acceptance) { _ = proposal.Add(a) })
//	installed, err := proposal.Installed() // durable, or what is missing
//	err = est.Grant(ctx, installed)
//
// # Guarantees
//
// The candidate catches up before it installs. Install and Follow run side by
// side, because an engine's marker may be unable to complete before somebody
// follows. Choose picks only a node that the round suffices for and whose log can
// be brought to the selected one; logs of the highest term that diverged never get
// that far, the round stops with a *leadership.DivergedError. An establisher is
// never changed once made, so one serves any number of attempts.
//
// # What it does not guarantee
//
// That Install returned nil proves nothing, and that it returned an error does
// not mean that the marker is not durable: only Proposal.Installed says.
//
// # Assumptions
//
// Nodes keep the contracts of Candidate and Follower, and the one that package
// revoke states for every call with a term: durable before it returns (a grant
// is not), serialised at the node, idempotent, refused below the node's promise,
// and possibly carried out still when its context has ended.
//
// # State model
//
//	Proposal -> CatchUp -> Install (candidate) --+--> marker durable -> Installed -> Grant
//	                       Follow (each member) --+
//
// # Failure handling
//
// A donor that dies is replaced by the next one. A candidate or follower that fails
// is asked again within the context, when Options.Retry says so; the establishment
// needs a durable set of followers, not all. So many promises of a newer attempt
// that the marker cannot become durable any more end an Install at once; a refusal
// that names no higher promise ends nothing (*leadership.ContradictionError).
package establish
