// Package buffer holds requests while a leader is being changed and releases
// them, in order, to the leader that follows: a planned change costs latency,
// not errors.
//
//	b, err := buffer.New(buffer.Config{MaxHeld: 5000, MaxAge: 5 * time.Second})
//	orders := b.Lane("orders") // resolve once, keep
//	go func() { ended <- b.Follow(ctx, registry, orders) }()
//
//	err = orders.Do(ctx, buffer.Request{Bytes: 512, Idempotent: false},
//		func(ctx context.Context, to leadership.Leadership, addr string) error {
//			conn, err := dial(ctx, addr)
//			if err != nil {
//				return buffer.NotSent(err) // nothing left: try again
//			}
//			return conn.Send(ctx, to.Term, request) // *leadership.Refusal: held
//		})
//
// Whoever cannot put a request into a function (a driver, an interceptor) takes
// its turn by Lane.Enter and ends it by Turn.Done, with Turn.Retry in between.
//
// # Guarantees
//
//   - A request function runs again only on proof that its last run had no
//     effect, or when its request is idempotent (G9).
//   - Requests that are held start in the order they arrived, across the
//     flush: whoever arrives while it goes on queues behind. One that the
//     leader refuses again goes back to its exact place with its original
//     age, before its slot is given to the next. A Priority moves a request
//     ahead of those that arrived at most so many times Config.Ageing before
//     it, and of no others.
//   - Of the requests of one Request.Key, one at a time is released, in the
//     order they arrived, and no other key waits for it.
//   - A lane may hold its Config.Share whatever other lanes hold, and no lane
//     evicts from another.
//   - A failure reported for an older leadership never starts a hold, and
//     neither does a failed dial.
//   - Every hold ends: by a leader that answers, by the request's context, by
//     MaxAge, or by MaxOutage. While a lane holds, one request at a time is
//     let through as a probe, so that nobody has to un-hold a lane: not a
//     coordinator that died, not a registry that is down (G5, G7).
//   - Every call ends with its context. Callers wait in their own goroutines,
//     and one of them watches the lane's timer; only Join starts goroutines,
//     and they have ended when it returns (G8).
//   - A lane that counts (Config.Counted) tells when no request that was
//     routed below a term is in flight and none can begin: deciding and
//     counting are one atomic step, so that no request slips in between.
//   - With Config.Probe no request of a user is ever sent as a probe (G9).
//   - An error about a held request satisfies leadership.NotExecuted unless
//     an idempotent request was tried and lost; then it wraps
//     leadership.ErrUnknownOutcome, and no error of a later try is a proof (G9).
//   - What the cause of a request's context proves is not taken for a proof about
//     the request, nor a refusal in it for one by the leader (G9).
//
// # What it does not guarantee
//
//   - A request in flight when its leader dies is of unknown outcome, and its
//     caller is told so. Only the leader could know.
//   - No order between requests that are not held, nor between those and the
//     ones that are: a request that was passed, refused and then held has its
//     place from the moment of its refusal, and a flush to a new leader does
//     not wait for answers that an old one may never give.
//   - A request under way is not cut short. While a flush goes on, a request
//     keeps its slot until its function returns; Flush.Max should exceed the
//     number of long units that may be under way.
//   - A server that checks no terms cannot refuse: its error codes prove
//     nothing. In front of one, count (Config.Counted), step the leader down
//     only after Quiesced, and probe by a statement of your own
//     (Config.Probe). Quiesced speaks for this process and for as long as the
//     announced hold: the change must not take longer.
//   - Order by Request.Key is among requests that are held. Once the queue is
//     empty the lane passes all as they come, and a request may then run beside
//     the last one of its key that was held.
//
// # Assumptions
//
// Terms are unique to an attempt and nodes check them, so a probe is always
// safe. Registry versions only rise. Clocks are monotonic; they need not agree
// between machines.
//
// # State model
//
// Versions of the registry's record order observations; terms key requests. An
// undo that puts the same leader back is a new term, and therefore no special
// case. What to do is decided by leadership.Record.Decide, for the record with
// what was learned from responses put in.
//
//	           refusal of a unit, announcement            refusal of all
//	Serving ------------------------------> HoldUnits -----------------> HoldAll
//	   ^                                        |                           |
//	   |            Decide: hold                |                           |
//	   |          +--------------- waiting <----+---------------------------+
//	   |          |                   ^  |
//	   |          v  HoldFor passed   |  | newer leadership routed
//	   |        probe ----------------+  |
//	   |          |   refused: put back  |
//	   |  answered|                      v
//	   +------- flush: Start at once, doubling to Max
//	queue empty   \------------> waiting, when refused again: put back
//
// A refusal tells of the future: Until above the served term, and the lane
// holds for that term; equal to it or zero, and the same leader will take
// requests again after RetryAfter, which the head of the queue finds out. A
// refusal that was on its way while the lane resumed is re-routed at once.
//
// # Failure handling
//
// A flush that meets refusals stops, and what was refused is put back. When
// requests do not reach the leader, or answers take much longer than before, it
// goes on at half its width. An outage longer than MaxOutage ends as
// Config.AtOutage says.
//
//	error                executed?   when
//	*OverflowError       no          no room, or evicted
//	*AgeError            no          held for MaxAge
//	*OutageError         no          no leader answered for MaxOutage
//	*CanceledError       no          context ended while held, or would too soon
//	*ClosedError         no          Close
//	*RequestError        no          nil function or context, negative size, unknown priority, zero Lane
//	*TurnError           as told     Retry of a turn that is over, or without an error or a context
//	any other            as it says  what the request function returned, see Lane.Do
//
// Quiesced returns a *NotHoldingError when a change was given up, or took longer
// than its hold, before the lane was quiet: then requests go to the old leader
// again.
//
// "No" becomes "unknown" for an idempotent request of which a try was lost.
//
// # Cost
//
// Pass is one atomic load, TryEnter a gate, Do on an idle lane a few
// nanoseconds and no allocation. Enter costs several times a gate, because a
// Turn carries its request. A request that is held costs one pooled waiter of
// some 200 bytes and the parking of its goroutine; holding, releasing and
// cancelling are linear in the number held. The benchmarks print the ratios.
//
// # Servers that cannot refuse
//
// A leader that cannot refuse breaks off what is in flight when it is stepped
// down, with an error that proves nothing. Lanes that count (Config.Counted)
// therefore Join a leadership.Barrier, at which the coordinator of a planned
// change waits until nothing is in flight any more.
package buffer
