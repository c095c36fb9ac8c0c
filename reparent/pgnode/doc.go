// Package pgnode makes a PostgreSQL server, version 15 or later, a node whose
// leadership package reparent changes.
//
//	cfg := pgnode.Config{
//		ID: "n1", Addr: "db1:5432", Data: "/var/lib/postgresql/15/main", Dir: "/var/lib/tenure",
//		Conn:       "host=/run/postgresql user=tenure dbname=postgres",
//		Peers:      map[leadership.NodeID]pgnode.Peer{"n2": {Conn: "host=db2 user=tenure dbname=postgres"}},
//		Controller: pgnode.PgCtl{Data: "/var/lib/postgresql/15/main"},
//	}
//	err := pgnode.Init(ctx, cfg) // once in the life of the node
//	n, err := pgnode.New(cfg)
//	guard, err := reparent.New("orders", registry, append(others, n.Reparent()), reparent.Config{
//		Barrier: barrier, // the server checks no terms: routers say when they are quiet
//		Limits:  reparent.Limits{Linger: 5 * time.Second}, // an old leader is restarted behind the change
//	})
//
// A Node needs the server's files and the means to stop and start it: run one
// beside each server, or give it a Controller and Files that reach the machine.
// What it must not forget is in Config.Dir, outside the data directory.
//
// # Guarantees
//
//   - A promise is on disk before it is reported, and what it does to the server
//     outlives a restart of the server by whomever: a follower stays detached, and
//     a leader comes back as a standby (G4).
//   - A standby acknowledges for the leader and the term that it follows and for
//     no other: its name as an acknowledger has the term in it (G1).
//   - A server that is promoted takes no client before it is granted: the rules in
//     pg_hba.conf keep them out, what it waits for was read back in a new session
//     before that, and a commit was seen to wait (G3).
//   - Nothing that an operation of a lower term left at the server lands after a
//     promise: its sessions are ended first, and a server that was told to promote
//     is stopped (G1).
//   - A node whose log is no part of its leader's is not attached, not for a
//     moment: it would acknowledge what it never received (G2).
//   - A position counts once all that was received is replayed, also after a
//     restart (G2).
//   - No session is cancelled, and synchronous_standby_names is never emptied to
//     get on: both tell clients that a commit is done which no standby has (G9).
//   - A repair that was broken off leaves a node that knows it.
//
// # What it does not guarantee
//
//   - A follower's gate is closed as a leader's is that was not granted: a standby
//     takes nobody but the roles of Config.Admit, and is none to read from by others.
//   - A leader that drains refuses nothing: PostgreSQL cannot refuse a transaction
//     of a session that is there without failing it. A planned change costs no
//     errors when routers hold for it, with leadership.Barrier.
//   - A standby shows, to whoever reads it, rows that the leader has not completed,
//     and a leader does after a restart: reads that must not vanish go to the leader.
//   - The gate is pg_hba.conf. Roles in Config.Admit pass it, and so does what runs
//     inside the server: background workers, pg_cron, logical replication. A server
//     has no view of a client that is connected and has sent nothing yet: it may get a
//     session by the rules from before the gate was closed, at a leader that stepped
//     down and is not stopped yet. Its Follow ends such a session within some 20 ms.
//     Until then it reads what was true before the step-down, and what it writes is
//     not acknowledged, unless it has set synchronous_commit to do without.
//   - A worker of an extension that ends and is started again is taken to when it is
//     there while the leader steps down, and not when it is between two lives.
//   - A session that sets synchronous_commit to off, local or remote_write
//     completes what no standby has on disk. Doctor finds roles and databases that
//     do by default; nothing can find a session that will.
//   - Tablespaces are not copied by a repair that has to copy.
//
// # Assumptions
//
// fsync and full_page_writes are on. What is restarted by a service manager is
// restarted from the same data directory. Nobody promotes a server by hand; a
// timeline that no leadership made is treated as diverged. pg_rewind needs
// data checksums or wal_log_hints; without them a repair copies.
//
// # A step-down without a stop
//
// PostgreSQL has no statement that makes a standby of a primary. To stop the server is
// proof enough that it completes nothing any more, and takes most of the time in which
// nobody leads. So StepDown proves it of the server that runs, and the server is
// stopped when the next leader serves: by the Follow of its node, or by whatever wants
// its log before. In this order:
//
//  1. The promise is on disk: no step of an older term does anything from here on, and
//     the sessions in which one might are ended.
//  2. It is the leader that was granted, in the same life of its server, and its
//     commits wait for the standbys of its term and for no others.
//  3. On disk: standby.signal, a closed gate, no source, and nobody to wait for: the
//     name of a standby that cannot be, so that no commit is ever answered for.
//     Whoever starts the server from here on, after whatever, has a standby that
//     receives from nobody and takes no client. A server that starts itself anew when
//     one of its processes dies does so as well.
//  4. The server reads it, and says so. Commits go on waiting as before, since what they
//     ask is whether there is anybody to wait for.
//  5. Every session of a client is ended, replication and prepared statements and all,
//     and whoever was being let in is waited for. A commit on its way is cut off from
//     its client, which learns no result. Meanwhile a session that begins says that
//     the next one has it as under 4, too.
//  6. Every process that sends the log has taken in that it answers for nobody: by what
//     each wrote of itself into shared memory. From here on a session that was missed
//     may write and is not answered, though standbys are attached and have all of it.
//  7. No process is there that writes by itself what counts: background workers of
//     extensions are taken to, and subscriptions, also those without a worker now. What a
//     checkpoint or a vacuum writes is no data of anybody's. A prepared transaction is
//     in the log that the next leader has, and its decision takes a session.
//  8. The log is flushed, and where it ends is the position of the testimony: all that
//     was ever answered for is before it. Standbys that are attached have it on disk
//     before the step-down returns, so that one of them can lead at once.
//
// Where one of these cannot be shown, within half a second where it is others who take
// their time, the server is stopped after all: for a superuser's session, which the
// node's role may not end; a client that stays in the middle of its authentication; a
// worker; a policy for which the leader alone is enough.
//
// What the server then writes of its own is no part of the next leader's log. A
// follower that was not fenced yet may receive some of it, and is repaired then.
// Stopped at once, and not in order, it writes no more; mostly it has written nothing
// and follows as it is, else its node repairs it from the leader that it is to follow.
// It is restarted when clients do not wait for anything any more, so that a change
// should linger for some seconds (reparent.Limits): a node whose call is broken off is
// left detached, for a sweep to bring back, and stands in for nobody until then.
// A crash in between leaves this:
//
//   - the node or the coordinator, before 4: the leader leads on under its term, or, if
//     it is started again, is a fenced standby. It has not testified. Its Status does not
//     say that it leads once its gate is closed on disk, so that watchers go on from there.
//   - the node or the coordinator, later: a fenced primary. The next change promises a
//     higher term, which stops it. So does an undo, which may establish it again, from
//     all that is in its log.
//   - the server: a fenced standby, at any place. What it testified holds.
//   - the candidate, or whoever promotes it: nothing that it did completes anything
//     before its grant. It waits for nobody that there is until its commits are seen to
//     wait, and for the standbys of its term after that.
//
// # What is done before clients wait, and beside what
//
// A change that holds clients is as long for them as what has to be shown while nobody
// leads. What need not be shown then is done before: Prepare opens the session that the
// operations of the change use at each server, and those in which nodes ask each other, and
// looks at the servers in them once, so that nothing is connected to, authenticated and read
// for the first time later. In clusters of more than three nodes they ask each other without
// such a session, since all of them would take the walsenders that standbys need. CatchUp has
// the leader make a checkpoint, if its last one is long ago, and begin a new segment, if the
// one it writes holds more than 4 MB. A session that was left proves nothing: each operation
// asks again what it rests on.
//
// What is put on disk for later, and that nothing rests on yet, is written beside the next
// step: that a standby is fenced, while its log is read to the end; that it may have been
// told to promote, while its sessions are ended. Nothing of it is relied on before it is
// there: a note that was lost is a step that is made again. Promises, sources and grants
// are never among it: a leader says that it leads after a commit got through.
//
// A standby that waits for its stream tries again after wal_retrieve_retry_interval, five
// seconds by default. While its Follow waits it is told to try at once, as a reload does.
//
// # State model
//
//	           Follow(t)                       Install(t)
//	following <---------- detached standby ---------------> primary, gate closed
//	    |                  ^    ^     ^   |                      |
//	    |  Promise(t'>t)   |    |     |   | Repair               | Grant(t)
//	    +------------------+    |     |   v                      v
//	                            |   to be rebuilt         primary, gate open
//	                            |                            |      |
//	                            +-- Promise, StepDown (t'>t) +      | StepDown(t'>t)
//	                            |   or the server restarts          v
//	                            |                            primary that completes
//	                            +--------------------------- nothing, gate closed
//	                                Follow, Read, Promise
//
// # Failure handling
//
// A *leadership.StaleTermError by itself and a *ConfigError touched nothing. A
// *ServerError leaves it open how far a step came, also when a StaleTermError in it
// says what ended the step; every step may be repeated, at the same term or by a
// later one. A server that restarts between its marker and its grant needs a new
// term. A *NotAncestorError and a *RebuildError ask for a repair.
//
// # Privileges
//
// Setup and Grants return the statements for the node's own role, which is no
// superuser. Clients need a role of their own, and SELECT on tenure.marker for
// Check.
//
// The rules are PostgreSQL's own, as its manual states them for version 15:
// synchronous replication (27.2.8), pg_rewind and its grants, ALTER SYSTEM, and
// the notes of syncrep.c on what a cancelled wait means.
package pgnode
