// Package handover is the nodes' side of a planned change that the leader leads
// itself (reparent.Change.LeaderLed): the leader steps down and hands what the
// candidate needs to it directly, so that clients wait for one message instead
// of for the coordinator's.
//
//	func (n *Node) HandOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
//		// check that n leads and b.Validate; refuse clients; make the promise durable
//		stepDown, err := n.stepDown(ctx, b.Term)
//		release, err := b.Release(stepDown)
//		// at the same time: release and the end of the log to b.To,
//		// release.Ask() to b.Others(), each of whom promises and tells b.To
//		return n.tell(ctx, b.To, release, tail)
//	}
//
// and at the candidate, for each message: Incoming.Take or Hear, then Propose,
// install, Accept, Installed, grant. Package examples/kv has all of it.
//
// # Guarantees
//
//	G1, G3  the candidate runs the tests that a coordinator runs, over all
//	        potential leaders: no marker without a leadership.Revocation, no
//	        grant without a leadership.Installed, each of its own round
//	G2      it proposes only with the leader's release in its round and a log
//	        that holds the selected one
//	G5      the coordinator replays the account with its own round: nobody
//	        believes a bare "done". Any of the three may die; what a hand-over
//	        leaves behind is what a change leaves behind
//	G9      an error of HandOver proves "not begun" or proves nothing
//
// # What it does not guarantee
//
// That the change is quicker: where durable sets are large, the candidate waits
// for the promises of others as a coordinator would, though only half as long.
// It needs engines whose candidate can take the end of the leader's log.
//
// # Assumptions
//
// The cluster is in mode Full. In Shortcut mode nobody may be granted whom the
// record does not show, and Validate refuses. Nodes reach each other, and keep
// the contracts of packages revoke and establish. A node is not Byzantine: what
// it says of itself is true.
//
// # State model
//
//	coordinator        leader                candidate             others
//	baton ───────────▶ refuses clients
//	                   promises, durably
//	                   │ Release, tail ────▶ takes the tail
//	                   │ Ask ─────────────────────────────────────▶ promise
//	                                         promises      ◀─────── testimony
//	                                         Propose: is it proven?
//	                                         marker; takes requests
//	                                         │ entries ───────────▶ accept
//	                                         Installed ◀────────── acceptance
//	                                         grants itself
//	replays   ◀─────── account ◀──────────── Account
//	activates, grants (again), routes
//
// A Release exists only from a durable step-down, an Ask only from a Release, a
// Proposal only from a Revocation, a grant only from an Installed.
//
// # Failure handling
//
// A leader that proves that it did not begin leads on. In every other case the
// coordinator undoes the change under a new term, and whoever is half established
// is superseded by that as any leader is. Without a coordinator the two may
// finish by themselves, or stay where they are until somebody runs Resume.
package handover
