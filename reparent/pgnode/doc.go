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
//	guard, err := reparent.New("orders", registry, append(others, n.Reparent()), reparent.Config{})
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
//   - A leader that drains refuses nothing: PostgreSQL cannot refuse a transaction
//     of a session that is there without failing it. A planned change costs no
//     errors when routers hold for it, with leadership.Barrier.
//   - A standby shows, to whoever reads it, rows that the leader has not completed,
//     and a leader does after a restart: reads that must not vanish go to the leader.
//   - The gate is pg_hba.conf. Roles in Config.Admit pass it, and so does what runs
//     inside the server: background workers, pg_cron, logical replication.
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
// # State model
//
//	           Follow(t)                       Install(t)
//	following <---------- detached standby ---------------> primary, gate closed
//	    |                  ^    ^     ^   |                      |
//	    |  Promise(t'>t)   |    |     |   | Repair               | Grant(t)
//	    +------------------+    |     |   v                      v
//	                            |   to be rebuilt         primary, gate open
//	                            |                                |
//	                            +---- Promise, StepDown (t'>t) --+
//	                                  or the server restarts
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
