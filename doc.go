// Package tenure is the map of a library that changes the leader of a cluster
// in two steps that are kept apart: revoke the old leadership, then establish
// the new one, each by whichever mechanism fits the case at hand. This package
// holds documentation only.
//
// # The idea
//
// A leadership (l, t), of node l under term t, is a set of conditions:
//
//	A  l holds the grant of t and may complete requests
//	B  a durable set of followers accepts from (l, t)
//	C  clients are routed to l under t
//
// To establish it is to make all three true. To revoke it is to make A or B
// false, stably: nothing but the loss of storage makes it true again. C is for
// the clients' comfort and proves nothing.
//
// A leader that steps down, followers that promise a higher term, a lease that
// runs out and a machine that loses its power are therefore all the same kind
// of thing. Each is testimony of one node, and one predicate decides what the
// testimonies amount to. The older leaderships are revoked when,
//
//	for every potential leader l under every ruleset in force:
//	        not Durable(l, cohort minus blocked)
//
// Asked of the logs that were read, in place of the nodes that are blocked, the
// predicate says whether every request that may have been completed was found.
// The same rule, Durable, asked of the nodes that accepted the marker of the
// new term, says when that leadership is established. That is why mechanisms can
// be mixed within one attempt and changed between attempts.
//
// # The mistake it prevents
//
// Two copies of four. A coordinator reaches two nodes, which is a durable set,
// and takes that for permission:
//
//	coordinator      n0          n1          n2          n3
//	     |        leads term 7    |           |           |
//	     |-- promise term 8 ----->|           |           |
//	     |-- promise term 8 ----------------->|           |
//	     |<- promised ------------|           |           |
//	     |<- promised ------------------------|           |
//	"2 of 4 is durable: enough"   |           |           |
//	     |-- lead term 8 -------->|           |           |
//	     |            |           |-- y = 2 ->|           |
//	     |            |           |<- ok -----|           |
//	     |            |        completes y on {n1, n2}    |
//	     |            |-- x = 1, under term 7 ----------->|
//	     |            |<- ok -----------------------------|
//	     |         completes x on {n0, n3}: two leaders   |
//
// That {n1, n2} is durable is what establishing needs. Revoking needs the other
// half: {n0, n3}, the nodes that were not reached, must not be durable. So the
// answer to two promises is not yes but the counter-example, and what would
// help:
//
//	n0 could still complete with {n0, n3}: reach n0 or n3
//
// # Packages
//
//	leadership           terms, policies, rounds, proofs, the registry's record: pure logic
//	  acceptor           the durable rules of a member, to embed in a store
//	  leadershiptest     conformance kits for whatever you implement yourself
//	  etcdregistry       registry, barrier and lock on etcd, in a module of its own
//	revoke               what takes leadership away: step down, push, lease, isolation
//	establish            what makes it: candidate, log, marker, grant
//	reparent             both, in the one order that is safe, planned or not
//	  handover           the nodes' side of a planned change that the leader leads itself
//	  reparenttest       a simulation that tests leadership: ours, and yours
//	  mariadbnode        a MariaDB server as a node, in a module of its own
//	  pgnode             a PostgreSQL server as a node, in a module of its own
//	lameduck             a gate that drains a role without losing its requests
//	buffer               holds requests while a leader changes, flushes them in order
//	  sqlbuffer          a *sql.DB that follows the leader
//	  httpbuffer         a transport and a reverse proxy that follow the leader
//	  grpcbuffer         the same for gRPC, in a module of its own
//	examples/kv          a replicated store to start from
//	examples/quickstart  every kind of change, under load, and the proof
//	examples/failover    a tool for MariaDB and PostgreSQL clusters
//	examples/httpserver  rolling restarts under load
//	examples/invariants  a mistake, and how the simulation finds it
//	examples/peers       the same work done by others, in one process, measured
//	examples/compare     the same changes made by others, on the same servers, measured
//
// Imports point one way: acceptor, revoke and establish import leadership, and
// reparent imports these two. lameduck and buffer import leadership only, and
// are of use without the rest.
//
// # Guarantees
//
// Each has an id, and the tests that check it carry the id in their names. The
// README says when each holds and what breaks it.
//
//	G1   at most one leadership is capable of completing new requests
//	G2   no completed request is lost, reordered, or completed twice
//	G3   no establishment begins before its revocation is proven
//	G4   a promise is on disk before any reply that reports it, and only rises
//	G5   a coordinator that is paused, killed or resumed anywhere does no harm
//	G6   any mechanism may follow any other, in any order of rounds
//	G7   a planned change costs latency, not errors, within the buffer's bounds
//	G8   every call ends with its context, and nothing keeps running after it
//	G9   NotExecuted is proof; what may have executed is reported as unknown
//	G10  bad input is a typed error before anything is touched
//
// G1 is about new requests. A leader that was revoked while an acknowledgement
// was on its way to it may still complete that request: it was durable before,
// and the new leader has it.
//
// G3 is kept by types in a coordinator, by the order of terms and the marker in its
// log at a node, which sees no proof, and by trust between the two.
//
// # What it is not
//
// It notices no failure: something else says that it is time for a change. It
// replicates no log; the store does that, and obeys the rules of a member. It
// trusts what nodes say: a node that lies, or that forgot its promise and comes
// back under its old name, with a new incarnation or without, is outside of every guarantee. It elects nobody on
// its own, and without a set of nodes that suffices it changes nothing, and
// names the smallest sets that would do.
package tenure
