// Package lameduck takes a role away from a running process without losing the
// requests in it: a gate admits work, counts it, and can be drained in stages,
// undone, and opened again for the next leadership.
//
//	gate, err := lameduck.New(lameduck.Options{Name: "writes", Term: term})
//
//	// In every request:
//	tok, err := gate.Enter(lameduck.Single)
//	if err != nil {
//		return err // a *leadership.Refusal: proof of non-execution
//	}
//	defer tok.Exit()
//
//	// When n2 is to lead, under the term next:
//	report, err := gate.Drain(ctx, lameduck.Plan{Units: time.Second, All: 2 * time.Second,
//		Cancel: time.Second, Until: next, Leader: "n2", Expire: 5 * time.Second})
//
// # Guarantees
//
//   - An entry is counted before the gate closes, or refused: deciding and
//     counting are one atomic step on one word.
//   - When Drain returns nil nothing admitted runs, streams aside, and nothing
//     is admitted until Serve or the plan's expiry.
//   - A continuation of an admitted unit is not refused before its unit is
//     ended, so COMMIT passes while the drain waits; it derives from the unit's
//     token, so new work cannot pose as one.
//   - An idle unit never delays the end of a drain, a stream never delays
//     anything.
//   - A Refusal and a RestartUnitError prove non-execution (G9); a unit cut while
//     one of its requests ran is reported as of unknown outcome, and the cause
//     with which a drain cancels contexts proves nothing.
//   - Streams are told once the gate is announced, over Plan.Spread if there is
//     one, and all by the time the drain cancels, ends or is held.
//   - Drain wakes on the last Exit and ends with its context. It joins what it
//     starts, the calls of Options.EndUnit; one that hangs is abandoned and
//     named in the report. A bad plan is refused before anything is touched.
//   - After Seal only Serve with a higher term opens the gate.
//
// # What it does not guarantee
//
// A gate is volatile and local. It does not stop a request that ignores its
// context (Drain then ends Forced and names it), and it is no proof that a
// leadership was revoked: the node's promise is. Readiness is a hint to
// balancers; the refusal is what keeps late requests safe.
//
// # Assumptions
//
// Every token is exited once, when its work is over; a unit is exited right
// after its commit or rollback. Expiry uses the process's monotonic clock.
// Options.EndUnit returns when its context ends: one that does not keeps its
// goroutine, and nothing else, for as long as it hangs.
//
// # State model
//
//	         Announce      no units left,
//	         is over       or Units is over
//	Serving --> Announced --> DrainUnits --> DrainAll --> Cancelled --> Forced
//	                                            |    All      |    Cancel is over,
//	                                  no request|    is over, |    and one still runs
//	                                  runs      |    and one  |no request
//	                                            v    runs     |runs
//	                                         Drained <--------+
//
//	back to Serving, from Announced to Cancelled: Resume, Serve, ctx ended
//	back to Serving, from Drained and Forced:     Serve(higher term), Expire unless sealed
//
// Announced and DrainUnits are passed over when their caps are zero; Announced is
// the only one that always takes its time. A gate's standing is the furthest of its
// own and its ancestors' phases.
//
// # Failure handling
//
// A coordinator that dies while it drains ends the context of Drain, and the
// gate serves again (unless Plan.Hold). One that dies afterwards is covered by
// Plan.Expire: the first entry, or question, after it opens the gate, at the
// same term, unless the node has promised and called Seal. Until 20 ms before,
// entries are refused without a look at the clock; a runtime timer sets one
// flag then, and should it be later than that, so is the opening. Contexts that
// were cancelled and units that were ended are not revived by an undo.
//
// # HTTP
//
// Handler and Middleware admit requests; HTTPServer ends a net/http server with
// its gate: it announces while it accepts, drains, and then lets each connection
// end by its own reader. OnSignal ties it to SIGTERM. RefusalOf turns a response
// into the proof.
//
// A request leaves the gate when its handler returns. net/http may write the end
// of the answer only then, so Drain can return before the last answer has left:
// HTTPServer waits for that, and so does http.Server.Shutdown, which is to be
// called after Drain by whoever runs a server himself; http.Server.Close, or the
// end of the process, may cut it off.
//
// # Cost
//
// An entry and its exit are two atomic operations on one word. Gate.Enter counts
// in a word that all callers share until they have raced for it, and then in
// one of 16, each on a cache line of its own, chosen by where the caller's stack
// is: goroutines that run side by side mostly do not meet. That is the right
// choice for a server that starts a goroutine per request. Workers on a hot
// path hold a Cell: a word that nobody else writes to. It is cheapest as long as
// the worker has one request in it at a time.
//
// A refusal, an entry and a continuation allocate nothing. Token.Context
// allocates once, and is registered with its parent only when somebody waits
// for it. EnterInfo allocates the Info and reads the clock. Run the benchmarks
// for the ratios on your machine.
package lameduck
