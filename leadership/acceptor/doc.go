// Package acceptor is the node's side of every change of leader: the durable
// rules that each member must obey, embeddable in a store.
//
//	store, err := acceptor.OpenFile(dir)
//	a, err := acceptor.Open(ctx, store, "n1", acceptor.Minted, acceptor.Options{LogTerm: log.term})
//
//	// Taking an entry from the leader l, in whatever goroutine it came:
//	tok, err := a.Admit(l)       // refused below the promise
//	log.append(l.Term, entry)    // write and fsync
//	err = a.Confirm(tok)         // nil: acknowledge it
//
//	// When a coordinator asks for the promise of t:
//	testimony, err := a.Recruit(ctx, t, log.read)
//
// # Guarantees
//
//   - A promise is on disk before any reply that reports it, and only rises, on
//     disk and in memory, across crashes and failed writes (G4).
//   - When Recruit, StepDown, Follow or Install returns nil, no completion below
//     its term is decided at this node any more, and no entry of a lower term
//     is confirmed. The position in a testimony covers every confirmed entry.
//   - A promise clears the grant and the source of lower terms only, so that a
//     late duplicate does not unseat the leader of its own term.
//   - A node whose record is missing, torn, or of another identity or
//     incarnation does not open.
//   - A reading of the log that says less than this Acceptor knows to be in it is
//     not testified.
//   - The data path neither blocks nor allocates.
//
// # What it does not guarantee
//
//   - It keeps no log. The host checks the log's own rules (prefix, terms that
//     never fall) and calls Confirm between fsync and acknowledgement.
//   - An entry that was admitted before a promise may still be written after
//     it, unconfirmed. Confirm says how a log excludes that as well.
//   - It does not know what the log held before Open, but for Options.LogTerm.
//   - It does not make another node of one that lost its disk. What was lost comes
//     back under another NodeID, admitted by a change of the ruleset; another
//     incarnation alone protects nothing.
//   - It does not decide durability, and a Completion does not count
//     acknowledgements. It says that the node may decide, now.
//   - It does not drain. Let requests finish first, then call StepDown.
//   - It gives no leases: LeaseLeft is always 0.
//
// # Assumptions
//
// An fsync that returned is durable. The store belongs to one Acceptor; two on
// one record break every promise. No two attempts use one term; a breach that
// shows at a node is a *TwoLeadersError. Time is not used.
//
// # State model
//
//	            Follow(l,t)                        Install(self,t)
//	 ┌───────────────────────────┐        ┌────────────────────────────┐
//	 │                           │        │                            ▼
//	 │   Follow(l,t')        ┌───┴────────┴───┐   Install(self,t')  ┌───────────┐
//	 ▼  ┌───────────────────▶│    promised    │◀────────┐           │ installed │
//	┌───┴───────┐            │ accepts nobody │  t' > t │           │ accepts   │
//	│ following │──Recruit──▶└────────────────┘◀────────┼──Recruit──│ nobody    │
//	│ accepts l │   t' > t            ▲                 │   t' > t  └───────────┘
//	└───────────┘                     │ Recruit,        │                 │
//	                                  │ StepDown t' > t │        Grant(t) │ marker in log
//	                           ┌──────┴─────────────────┴──┐              │
//	                           │ leading t (volatile)      │◀─────────────┘
//	                           │ accepts self, completes   │
//	                           └───────────────────────────┘
//
// Stage(t) lets an installed node accept from itself ahead of the grant; it
// completes nothing before that, all the same.
//
// A step to a higher term, by whichever call, is always the same five: shut the
// gate, wait for open brackets, save, show the new record, read. Restart: the
// record alone decides; leading becomes installed.
//
// # Failure handling
//
// After a failed Save the record on disk is the old one or the new one. The
// gate stays shut for every term below the new one, the caller gets an
// *UnsettledError, which is a leadership.ErrUnknownOutcome, and whatever is
// called next writes the record again first. The same holds when the context
// ends while brackets are open. Errors that report NotExecuted changed nothing.
//
// The rules are those of an acceptor in Lamport, "Paxos Made Simple", section
// 2.2, and of votedFor and currentTerm in Ongaro and Ousterhout, "In Search of
// an Understandable Consensus Algorithm", figure 2. The write order of the file
// is the usual one for atomic replacement, see rename(2) and fsync(2).
package acceptor
