// Package change measures a change of leader in clusters inside one process, with
// a delay injected on every message: Tenure beside hashicorp/raft and etcd-io/raft.
//
// # What is the same for all
//
// One network (wire) carries every message of every library, and of Tenure's
// coordinator too, each with the same one-way delay and in order. State is in
// memory: nothing is synced. Clients are writers in a closed loop, beside the nodes:
// nothing is injected between a client and a node, and they learn at once and for
// free who takes requests. The failure timeout is the same number of round trips.
//
// # What is measured
//
//	       event                          first success at the new leader
//	         |                                   |
//	---------+--.--.--.-.-.|                 |.--+.-.-.--.--
//	          successes     \_______________/
//	                         time without a success
//
// The longest time without a success is what clients see of a change. From the last
// request that the old leader took to the first that the new one took is shorter
// where a leader takes requests before it can complete them. Both are in round
// trips, as is everything else. Of a crash, the time after detection begins when an
// emergency is run, or when the first node becomes a candidate.
//
// # What is not the same
//
// Tenure has a coordinator. It is beside the leader when that leads the change
// itself, beside the successor when that says so, and else on a host of its own,
// one delay from every node. Its registry is in memory beside it and costs nothing;
// one that is a round trip away adds that to a planned change once while there is
// no leader (Activate), and to an emergency twice.
//
// Raft libraries elect among all; here the first successor in the order of names
// runs an emergency, and polls the others for that (Change.Known). A coordinator of
// planned changes polls them, too.
//
// The nodes of Tenure are a small replicated log (node) on the library's acceptor
// and gate, with the rules of examples/kv. They take requests as soon as their
// marker is written and complete them once it is durable, and they were granted;
// if the change fails in between, what was taken is of unknown outcome.
//
// Nothing that a client was told is done may be missing from the log afterwards:
// that is checked after every trial.
package change
