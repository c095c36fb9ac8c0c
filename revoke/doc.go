// Package revoke takes leadership away.
//
// A revocation is anything that stably makes one of the conditions of a
// leadership false: the leader itself gives up (NewStepDown), nodes stop
// supporting it (NewProposal, NewFence, NewSource), its lease runs out (NewLease),
// or it is cut off (NewIsolate). A mechanism only asks nodes and delivers what they say, as
// leadership.Testimony. Whether that amounts to a proof is decided by one pure
// test, leadership.Round.Revoked, whatever mixture of mechanisms it came from;
// so any of them may follow any other, within an attempt and across attempts.
//
//	step, err := revoke.NewStepDown(leaders) // map[NodeID]StepDowner
//	push, err := revoke.NewProposal(nodes, revoke.Options{})
//	planned, err := revoke.Then(revoke.Stage{Revoker: step, Must: true}, revoke.Stage{Revoker: push})
//	err = planned.Revoke(ctx, revoke.Ask{Term: term, Targets: ids, Leader: "n1", Drain: time.Second},
//		func(t leadership.Testimony) { heard <- t }) // from several goroutines at once
//
// # Guarantees
//
// A mechanism reports only what a node said, once it said it. It calls report
// from goroutines that have all ended when Revoke returns. A node that has
// promised a higher term is reported as Refused, which ends the attempt.
// Mechanisms and combinations of them are never changed once made, so one serves
// any number of attempts, at the same time as well.
//
// # What it does not guarantee
//
// That Revoke returned nil proves nothing: every target answered, which is not
// the question. That it returned an error does not mean that nothing happened:
// a node whose answer was lost may have promised.
//
// # Assumptions
//
// Every call at a node that carries a term t, those of package establish
// included, is
//
//   - durable before it returns, but for a drain and a grant, which end with the
//     node's process;
//   - serialised at the node: nothing that was asked with a term below t lands
//     after Promise(t) has returned;
//   - idempotent at t;
//   - refused with a *leadership.StaleTermError by a node that has promised more,
//     and by no other. Promises only rise, so such a refusal is final. One that
//     names no promise above t says nothing: the node is asked again, and until it
//     answers the outcome is unknown (*leadership.ContradictionError);
//   - possibly carried out still when its context has ended.
//
// Leases are counted on monotonic clocks whose rate error is at most the rho
// given to Lease.
//
// # State model
//
//	            Promise / StepDown
//	supporting ---------------------> promised T   stable: only loss of storage undoes it
//	            Isolate                  ^
//	supporting -----------> isolated ----+         held: lasts while it is kept in force;
//	            Expire                convert      Release refuses until it is a promise
//	leased ----------------> expired               stable: the lease cannot be renewed below T
//
// # Failure handling
//
// One node's failure never hides another's answer. Promises and reads are asked for
// again within the context when Options.Retry says so; all calls are idempotent at a
// term. A step-down, an isolation and the end of a lease are asked for once: run the
// mechanism again, or another one.
package revoke
