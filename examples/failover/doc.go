// Command failover changes the leader of a replicated MariaDB or PostgreSQL, planned
// or not, and never loses a write that was acknowledged.
//
//	failover demo mariadb -svg out.svg     three local servers, load, every change
//
//	failover doctor                        what in the servers' settings loses data
//	failover setup all                     once: each node's record of its promises
//	failover adopt -to n1                  once: take over a cluster that replicates
//	failover status                        who leads, who could lead, and why not
//	failover planned -to n2                costs latency, no errors
//	failover emergency                     the leader is gone
//	failover rejoin n1                     it is back
//	failover agent n1                      beside a PostgreSQL server, for the tool elsewhere
//
// All but demo read failover.yaml, or what -config names; testdata/failover.yaml is
// one with every key. "failover help" lists the verbs, "failover VERB -h" the flags
// of one.
//
// # Configuration
//
// One YAML file. A key that does not exist, or does twice, is refused with its line, as
// is a value that makes no sense. A password is {env: NAME} or {file: PATH}; one that
// is written out is refused. Passwords are in no argument of any process, and are
// taken out of everything that is printed.
//
// The record of the cluster is in a file, for tools on one machine, or in etcd. A
// PostgreSQL node works in its server's data directory, so that the tool runs on the
// machine of all its servers, or through agents; a MariaDB node needs no more than a
// connection.
//
// # Agents
//
// agent serves the node of one PostgreSQL server over HTTPS, and runs on the server's
// machine as the user that may stop and start the server. A node with the key agent is
// reached there by every verb, from any machine, which then needs neither the server's
// files nor its passwords. One configuration serves everywhere: the agent of n1 reads
// the section postgres of n1, the tool its URL.
//
// Both sides check each other's certificate, TLS 1.3. Whoever has a certificate of
// agents.tls.ca that is made for clients can command every node, so give that CA to
// nothing else. Without TLS an agent listens at a loopback address only, and asks for
// the token of agents.token. An agent refuses a call for another cluster, node or
// version of the wire, and touches nothing.
//
// What an agent says arrives as the node said it: a refusal stays a proof that nothing
// happened, and a call that broke off is an outcome that is not known. An agent keeps
// nothing of its own. The first SIGTERM lets it finish the calls that it is in, within
// agents.stop; killed, it leaves a change behind as a lost coordinator does, and resume
// settles it once the agent is back. Servers that it started go on without it: under
// systemd give its unit KillMode=process, so that ending the agent does not end them.
//
// A leader whose agent is gone is not taken for dead while its replicas hear it.
//
// # Output
//
// The standard output has the result, as text or with -output json as one JSON
// object (watch: one for each event), and nothing else. Progress goes to the standard
// error as it happens; -quiet leaves it out. A reader of either that goes away does
// not end a change.
//
// # Exit codes
//
//	0    done; of a verb that only looks: all is well
//	1    a verb that only looks could not look; the demo could not be shown to its end
//	2    the command line or the configuration makes no sense; nothing was opened
//	3    not started: no node was asked for anything, who led before leads
//	4    restored: the change failed and was undone, somebody leads under a new term
//	5    superseded: a newer change took over, look at that one's report
//	6    incomplete: it stopped half way; the report says where, resume goes on
//	7    unknown: the last step may or may not have taken effect; resume settles it
//	8    attention: nobody leads, or the doctor found something grave or could not
//	     read something, or the demo lost a write or a planned change cost an error
//	130  interrupted while it only looked
//
// -dry-run, which every verb that changes something has, plans with the code that
// would run, touches neither node nor registry, and exits with 3 where the change
// would not begin. The configuration has to be right for it, and the servers in
// reach.
//
// # Signals
//
// The first SIGINT, SIGTERM or SIGHUP (a terminal that was lost) ends a change in
// order: what was begun is finished or undone within limits.undo each, and the exit
// code says which. A second one ends the process at once, as kill -9 does: then the
// change is left behind, and resume, or any emergency, takes it up.
//
// # The failure detector
//
// watch replaces a dead leader by itself, and is off unless watch.enabled says
// otherwise. Each watcher looks once per interval:
//
//   - It asks the leader, and tells no answer from a refused connection, from an answer
//     without a grant (it was restarted), from an answer that is an error (too many
//     connections: it is alive).
//   - It asks every replica whether it hears from the leader. A connection that is said
//     to be up proves nothing, since a server that hangs keeps its connections: a
//     replica hears while heartbeats or log arrive. dead_after has to be longer than a
//     leader without writes sends nothing: half of wal_receiver_timeout or of
//     wal_sender_timeout for PostgreSQL, the heartbeat period for MariaDB. The doctor
//     says where it is not.
//   - It posts what it saw, in a directory beside the registry's file or in etcd, and
//     reads what the others saw. Posts are aged by their reader's clock.
//
// The leader is dead when more than half of watch.observers have missed it for
// dead_after (refused_after when its server is seen to be down: it refuses connections
// and every replica that answers has lost it, or it says that it does not lead), some
// replica answers, and fewer than half of those that answer hear it. Nothing is ever
// done while most observers see it lead or half of the replicas hear it (except that it
// says itself that it leads nothing), nor while the registry or the others' posts cannot
// be read: an etcd that restarts replaces no leader. Package internal/verdict is that
// rule, without clock and IO.
//
// Anti-flap: an automatic change is followed by none for calm, and after most of them in
// window a person has to look. Planned changes do not count: a leader that dies right
// after one is replaced at once. A change that somebody else began is left alone for
// grace, and resumed after it; no server is asked anything by a watcher meanwhile, until
// it is nearly over. Of several watchers the first by name acts, the next one
// interval and timeout later; should two act, the higher term wins and the other touches
// nothing more. A wrong verdict costs an interruption, never data.
//
// A server that is down is replaced after two looks by default, half a second, and its
// restart is not waited for. It would not help: a leader that restarts comes up as a
// replica, whoever starts it and however quickly, and somebody has to be established.
// One that hangs, or is cut off, may come back and lead on, and gets dead_after.
//
// # What it does not do
//
// It ends no server of its own accord, moves no address, and brings no node back
// without being asked: rejoin does, and only the node that it names is ever repaired.
// A MariaDB node that went astray needs the command mariadb.rebuild of its
// configuration, or a restart of a server that was killed with SIGKILL and comes up as
// a replica (init_rpl_role=SLAVE), which takes out what nobody acknowledged.
package main
