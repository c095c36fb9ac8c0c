// Package kv is a replicated key-value store to start from: each member is a
// process with its own directory, its log is synced before anything is
// acknowledged, and its leader is changed by package reparent.
//
//	kvd -id n1 -dir /var/kv/n1 -peers n1=127.0.0.1:7001,n2=127.0.0.1:7002,n3=127.0.0.1:7003 -create
//
// and in the coordinator
//
//	nodes := map[leadership.NodeID]*kv.Remote{
//		"n1": kv.NewRemote("n1", "127.0.0.1:7001", nil), // a Promiser, StepDowner, Candidate, Follower
//		...
//	}
//
// and in a client
//
//	c := &kv.Client{URL: "http://127.0.0.1:7001"}
//	_, err := c.Put(ctx, "key", []byte("value"))
//
// # Guarantees
//
//   - A write that was answered is on a durable set of every ruleset in force,
//     synced, under the leader's own term: no kill -9 of any member, and no
//     change of leader, loses it.
//   - A member applies only what is complete. A read sees every write that was
//     answered before it began.
//   - A 503 with Tenure-Refusal proves that the request was not executed. A 504
//     says that it may be, now or under the next leader.
//   - A leader that hands over answers what it took: its writes in flight
//     complete under its successor (package reparent/handover).
//   - A numbered write (Tenure-Client, Tenure-Seq) that is sent again is
//     applied once.
//   - A member whose storage is not as it was left does not start.
//
// # What it does not guarantee
//
//   - There is no compaction and no snapshot: log, file and memory grow, and
//     above Config.MaxLog writes are refused. A new member gets the whole log.
//   - There is no failure detector. Something else decides that it is time for
//     an emergency.
//   - The member's protocol has no authentication; keep it on loopback, or put
//     it behind mutual TLS.
//   - The numbers of the 65536 clients that wrote last are remembered; a retry
//     of one that was forgotten is applied again.
//   - There is no Repair: a follower whose log conflicts takes out what follows
//     the common prefix when the leader's append says so, in the same write that
//     puts the leader's entries there. That is the whole repair.
//
// # Assumptions
//
// An fsync that returned nil is durable, and a directory is not copied back
// from a backup under the same name: a member that forgot what it promised or
// acknowledged is not that member. No clock is trusted; timeouts only end
// waits.
//
// # State model
//
//	follower --Promise(T)--> promised, follows nobody
//	   ^                         |            |
//	   |                    Follow(T, l)   CatchUp, Install(marker T)
//	   |                         |            v
//	   +---- accepts (l, T) <----+      installed: sends the marker and what
//	   |                                precedes it, refuses clients
//	   |                                      | Grant(T): marker on a durable set
//	   |                                      v
//	   +--- a promise above T <-------- leads: completes, answers
//	                          Drain(T', d), StepDown(T') or a crash
//
//	leads --HandOver(T', to)--> promised ... and at to:
//	   Release(T') --> promised --> installed, takes requests behind its marker
//	                                --marker durable--> leads
//
// The log of a leader is written in batches: what arrives while one fsync runs
// is one write and one fsync after it, and is on its way to the followers while
// the disk works. A follower takes an append as: admit at the acceptor, write
// after the common prefix, fsync, confirm at the acceptor, acknowledge.
//
// # Failure handling
//
// A member that crashed comes back as a follower, and never again leads the
// term that it led: followers may hold entries of that term that it lost with
// its page cache. A torn write at the end of the log is cut off; any other
// damage keeps the member shut. A member whose disk fails stops.
//
// A leader that hears of a higher promise from so many that it could not
// complete anything more ends its leadership and tells its clients: what was
// not written is refused, what was written is unknown.
package kv
