// Package leadership is the vocabulary and the pure logic of a change of leader:
// terms, cohorts, durability policies, positions, the test that decides whether
// an old leadership is revoked, and the chain of proof from there to a granted
// new one.
//
//	rs, err := leadership.NewRuleset(leadership.Majority(), nodes...)
//	round, err := leadership.NewRound(leadership.RoundConfig{Term: t, Rulesets: []leadership.Ruleset{rs}})
//	err = round.Add(testimony)                     // as nodes answer
//	revocation, err := round.Revocation()          // proven, or a counter-example
//	proposal, err := revocation.Propose("n2", nil) // one candidate, one log, one marker
//	err = proposal.Add(acceptance)                 // as nodes accept
//	installed, err := proposal.Installed()         // durable, or what is missing
//	record, err = record.Activate(installed)       // then grant, in Shortcut mode not before; then route
//
// # The idea
//
// A leadership (l, t) is a set of conditions: (A) the node l holds the grant of
// term t and may complete requests; (B) a durable set of followers accepts from
// (l, t); (C) clients are routed to l. Anything that stably makes A or B false
// is a revocation, by whatever mechanism. So mechanisms only deliver Testimony,
// and one predicate decides:
//
//	for every potential leader l, under every ruleset in force:
//	    not Durable(l, members without those that are blocked)
//
// The same predicate, asked of the nodes that accepted the new marker, decides
// that the new leadership is established, and at the leader that a request is
// complete. Two implementations of one policy would drift.
//
// That the nodes which were reached are durable themselves is no proof. With
// "2 of 4":
//
//	reached   {n1, n2}   durable, and yet
//	unreached {n3, n4}   durable too: n3 completes with n4, and n1 is made leader
//
// # Guarantees
//
// The safety logic is functions over plain values: no goroutine, clock, IO or
// map order outside the implementations of Registry and Barrier. A Revocation, a Proposal and an
// Installed can be made only by the step before; their zero values are refused
// by everything that takes one. So inside one coordinator the order "revoke,
// install durably, activate, grant" is kept by types (G3). At a node, where calls
// arrive that carry a term and no proof, it is kept by the order of terms and by the
// marker in the node's log, see package acceptor; between the two it rests on trust
// that who sends a call made it from a proof. Records change only by transitions, which are
// pure; fence, active and routed never fall.
//
// # What it does not guarantee
//
// Testimony is believed. A node that says it promised, and did not do so
// durably, breaks every proof built on it; package acceptor keeps the rules of
// the node side.
//
// A Barrier spares requests an error when a leader that cannot refuse is stepped
// down. Nothing safe depends on it, nor on the clocks that its leases count by.
//
// # Assumptions
//
// Terms are unique to an attempt. A node whose storage was lost, rolled back or
// restored does not come back under its NodeID: a change of the ruleset admits
// another one in its place. Or a floor, or a Bar in the record, keeps its log from
// counting until it has what it had. A new incarnation alone protects nothing: it
// is compared within a round only. No Byzantine nodes. Nothing here depends on time, but
// for Barrier: the rates of the clocks of a router and of whoever waits for it
// differ by less than the margin of RouterLease allows.
//
// # State model
//
//	           Add             Revocation          Propose            Add, Installed        Activate
//	Round ------------> Round -------------> proof --------> Proposal ---------------> Installed -----> Record
//	  |  testimony               both tests          to one                marker durable
//	  |                          pass                candidate             under every ruleset
//	  +--> superseded: a node has promised a higher term; nothing passes any more
//
// A router at a Barrier, for a change of term t:
//
//	Join ------> joined --- load ---> sends --- t is held, last request over ---> Ack(t)
//	  ^                                 |                                           |
//	  +------ Usable has passed --------+<------------ t is over in the record -----+
//
// Record.Intent goes Cleared -> Preparing -> Holding -> Cleared; Record.Decide
// tells a router at each of them to send, hold or probe.
//
// # Failure handling
//
// Errors carry data: who could still complete with whom (NotRevokedError), which
// node's answer is missing (NotDurableError, Round.Missing), who was newer
// (SupersededError). NotExecuted(err) says whether an error proves that nothing
// happened; what may have happened wraps ErrUnknownOutcome.
//
// # Sources
//
// Own-term completion: Ongaro and Ousterhout, "In Search of an Understandable
// Consensus Algorithm", figure 8. Revocation sets that need to meet only
// durability sets: Howard, Malkhi and Spiegelman, "Flexible Paxos". Activation
// after transfer in Shortcut mode: Lamport, Malkhi and Zhou, "Vertical Paxos and
// Primary-Backup Replication". Joint rulesets: the joint consensus of Raft.
package leadership
