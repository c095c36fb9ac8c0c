// Command invariants shows how to test a mechanism of your own with package
// reparenttest, by way of a mistake that is easily made.
//
//	go run ./examples/invariants
//	go test -v ./examples/invariants
//
// Suppose that your servers can be fenced: told to accept nothing more from the
// present leader. That is a revocation, if enough of them do it, and revoke has
// a mechanism for it, NewFence. What you bring is the fence itself: where a
// server remembers that it was fenced, and up to which term.
//
// # The mistake
//
// fence.go keeps it in a setting of the running server, as "stop replication"
// does in many databases, and writes it to the configuration a moment later. In
// every test that anyone would write by hand this works: the leader is cut off,
// two of three servers are fenced, another one leads, nothing is lost.
//
// A server that restarts in that moment has forgotten. It accepts from the old
// leader, which needs only one follower to go on completing requests, beside the
// new one.
//
// # Finding it
//
// A harness is a kind of node and how its leaders are changed. Here everything
// is the kit's own but for the fence and the revoker, see harness in fence.go:
//
//	h := reparenttest.Store(reparenttest.Traits{Promises: newFence})
//	h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) {
//		return revoke.NewFence(p.Promisers(), revoke.Options{})
//	}
//	reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{})
//
// Run makes some hundred small clusters of such servers, in a simulated network
// and on simulated disks, lets rival coordinators change their leaders, clients
// write, servers die at any moment, messages come late and twice, and checks
// after every single event what must always hold. The broken fence fails in the
// first few dozen.
//
// # Reading the failure
//
// It begins with the invariant and what happened:
//
//	I15: n1 answered that it promised 2.c1-1, and its disk, which had 2.c1-1, now
//	says 1.boot-1: whoever counted it as blocked is wrong
//
// Below that stands what has to hold: a block that was counted stays. Then comes
// the picture, a lane for each server and a letter for each term, in which n1 has
// promised C, dies (x), and would come back with A; and then the steps
// themselves, with as little as possible in them that is not needed for the
// failure. The line with TENURE_SEED and TENURE_PICKS runs this very schedule
// again, in a debugger if you like.
//
// # Mending it
//
// The fixed fence writes before it answers. It passes; what that means, and what
// it does not, is said in the documentation of reparenttest.
package main
