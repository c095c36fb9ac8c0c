// Package handover is the nodes' side of a planned change that the leader leads
// itself (reparent.Change.LeaderLed): the leader steps down and hands what the
// candidate needs to it directly, so that clients wait for one message instead
// of for the coordinator's.
//
//	// at the leader, whose promise is on disk:
//	release, err := baton.Release(stepDown) // to the candidate, with the end of the log
//
//	// at the candidate, message by message:
//	err = in.Take(release)
//	err = in.Hear(promised)                    // its own promise, those of others
//	p, err := in.Propose(baton.Term)           // install p.Marker(), take requests
//	err = in.Accept(acceptance)                // of each node that has the marker
//	installed, err := in.Installed(baton.Term) // grant
//	account, err := in.Account(baton.Term)
//
//	// at the coordinator:
//	checked, err := account.Replay(baton, add, round.Revocation)
//
// A node implements Leader around these; examples/kv has all of it.
//
// A coordinator that leads the change itself has the same from two calls: Retirer
// is a leader that drains and steps down in one, and Successor is a candidate that
// takes over on a Relay, which is the release as the coordinator passes it on, with
// the promises that it got from others meanwhile. The leader needs no connection to
// the candidate for that but the one that its log goes over.
//
//	retired, err := leader.Retire(ctx, handover.Retirement{Term: t, To: "n2", Drain: d})
//	relay, err := baton.Relay(retired, heard)
//	account, err := successor.TakeOver(ctx, relay) // in.TakeRelay(relay), then as above
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
// A candidate that restarts forgets what it proposed. ErrBegun stops it from
// proposing under that term again where its log, or one that was read, shows the
// first proposal. A node that sends entries before they are on its own disk may
// come back without them: it must keep, durably, which terms it began to lead,
// and install no marker of one that it led before it restarted.
//
// No transition of a record lifts a bar. A coordinator that counted a node which
// its own baton had barred might find another proposal than the candidate's, and
// would undo the change.
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
