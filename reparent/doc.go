// Package reparent changes the leader of a cluster, planned or not, in the one
// order that is safe: revoke, then establish, then activate, grant and route.
//
//	g, err := reparent.New("orders", registry, nodes, reparent.Config{})
//	plan, err := g.Plan(ctx, reparent.Planned("n2"))    // touches nothing
//	report, err := g.Run(ctx, reparent.Planned("n2"))
//	report, err = g.Run(ctx, reparent.Emergency())      // the leader is gone
//	report, err = g.Run(ctx, reparent.Resume())         // a coordinator is gone
//	swept, err := g.Sweep(ctx)                          // bring back stragglers
//	fmt.Println(report)
//
// # Guarantees
//
//	G3  no establishment begins before its revocation is proven: in the guard
//	    the proof is a value that cannot be made otherwise, and an Establisher
//	    takes nothing else; a node takes a term, and keeps to its order and log
//	G5  a coordinator that is paused, killed or resumed anywhere does no harm;
//	    another one finishes or restores with Resume or Emergency
//	G6  any mechanism may follow any other, in any order of rounds
//	G7  with a Config.Barrier, a leader that serves is stepped down when no
//	    router has a request in flight, or Report.Quiet names who was late
//	    and claims nothing; without one, leaders have to refuse by themselves
//	    what they do not execute
//	G8  every call ends with its context, plus the stated budgets to finish
//	    or undo (see Guard.Run); nothing keeps running after it
//	G10 bad input is a typed error before anything is touched
//
// A planned change that the leader leads itself (Change.LeaderLed) keeps all of
// these: the candidate runs the tests that a guard runs, and what it did counts
// only as far as the guard's own round proves it from what the nodes said. It
// saves the time in which nobody takes requests: one message from the leader to
// the candidate where the two are enough for the proof, two where others have to
// promise, in place of the guard's round trips. Package handover has the protocol.
//
// In a planned change whose leader and successor offer Node.Retire and
// Node.TakeOver, in mode Full, each of the two does its part in one call of the
// coordinator: the leader drains and steps down, the successor proves, installs its
// marker and grants itself. Between the last request that the one takes and the
// first that the other takes there are two messages of the coordinator, not four
// round trips. Where the two are not enough for the proof, of five members say, as
// many others as make it up are asked to promise while the leader has requests in
// flight, and none that it needs for those: of five members one, of seven two. Until
// they follow again the leader can do without fewer. A change that fails after such
// a promise was asked for is undone, even where the leader proves that it did not
// begin; when the coordinator dies, they follow nobody until a Resume or a Refresh.
//
// A planned change that fails leaves somebody leading under a new term, or says
// precisely why not. Of several coordinators the highest term wins; the others
// end Superseded and touch nothing more.
//
// # What it does not guarantee
//
// It does not notice that a leader is gone: that is the caller's failure
// detector. It does not bring back data that only lost nodes had; a Waiver lets
// a person say so and go on, and with a Ruleset of survivors also where too few are
// left for the ruleset in force. What a person says is taken for true: where nodes
// that were declared gone live on, or come back with their storage, there may be
// two leaders, and what the wrong one acknowledged is lost. Progress needs a set of nodes that suffices; the
// error of a change that lacks one names the smallest sets that would do.
//
// # Assumptions
//
// Nodes keep the contracts of packages revoke and establish. The registry is
// linearizable; in Full mode it may be down during an emergency. Clocks are used
// for bounds and reports only, except where a node says that it gave a lease.
// What Report.Quiet claims assumes that routers keep the rules of
// leadership.Barrier, and count HoldFor at the coordinator's rate.
//
// # State model
//
//	             planned, refresh, ruleset, adopt
//	check - load - survey - plan - begin - prepare - hold - quiet --+
//	             emergency, resume, undo, bootstrap                 |   record: intent
//	check - load - survey - plan - begin ---------------------------+   nodes:  nothing yet
//	                                                                v
//	                    revoke     drain, step down, promises; until proven
//	                    propose    one candidate, one log, one marker per term
//	                    install    catch up, marker, followers; until durable
//	                 or, in place of the last two,
//	                    hand over  successor proves, proposes, installs, grants itself;
//	                               its account is replayed here, until durable
//	                 or, where Change.LeaderLed,
//	                    hand over  leader ---- release ----> candidate
//	                               steps down, asks the      proves, proposes,
//	                               others to promise to it   installs, grants itself;
//	                               its account is replayed here, until durable
//	                    ---- from here on whatever becomes of the caller, no veto
//	                    activate   record: active, and who was declared gone
//	                    lease      waits for older leases that nodes say they gave
//	                    grant      node: leads
//	                    ---- from here on nothing is undone
//	                    route      record: routed, intent cleared
//	                    settle     late answers
//
// # Failure handling
//
// A failure before any node was asked to promise, a hook's veto of revoke included,
// clears the intent: NotStarted. What was announced stays in the record as a higher
// Fence, routers may have held until then, and a candidate that was brought level
// is. A router that is late is such a failure, unless the change says GoOnIfLate. A
// failure between revoke and grant, a durable marker or not, is undone under a new
// term, the old leader preferred: Restored, or Incomplete with the reason. After
// the grant nothing is undone: where the record cannot be written then, the change
// is Unsaved, and the leader serves.
// Of a hand-over the leader may prove that it did not begin it: NotStarted. When
// it does not answer, the candidate is asked; when that tells nothing either, the
// change is undone, which supersedes what the two may have finished by themselves.
// So it is with a successor that is told to take over: asked again when its answer
// is lost, undone when that does not help.
//
// There is no journal: the record and the nodes are the only state.
//
// A node can keep everybody from leading by what it says: its log is the most
// advanced and no peer can fetch it, or shows a ruleset that nobody else ever saw.
// Where the others pass every test without its log it is disregarded, and the
// report has a note of it. So are, in the undo of a change whose candidate could not
// be established, that candidate and whom it reached, or whose log it could not
// fetch: nodes that a coordinator reaches need not reach each other. The guard
// remembers that for its next Emergency or Resume, until somebody leads, so that
// those who reach each other are found after a few of them; another guard finds out
// by itself. With a waiver nothing of that is done.
package reparent
