// Package mariadbnode makes a MariaDB server, 10.11 or later, a node of package
// reparent: what it promises is kept on the server, what it completes has an
// acknowledgement of another member, and its place in the log is its GTID
// state.
//
//	n1, err := mariadbnode.New(mariadbnode.Config{
//		ID: "n1", DSN: "tenure:" + password + "@tcp(db1:3306)/",
//		Peers:          map[leadership.NodeID]string{"n2": "db2:3306", "n3": "db3:3306"},
//		Replication:    mariadbnode.Replication{User: "repl", Password: replPassword},
//		RestartsFenced: true, // see Assumptions
//	})
//	err = n1.Setup(ctx) // once, on each new member
//	findings, err := n1.Doctor(ctx)
//	guard, err := reparent.New("orders", registry, []reparent.Node{n1.Reparent(), n2.Reparent(), n3.Reparent()}, reparent.Config{
//		Barrier: barrier, // the server checks no terms: routers say when they are quiet
//	})
//	report, err := guard.Run(ctx, reparent.Planned("n2"))
//
// Applications follow the leader with sqlbuffer and the function that SQL
// returns.
//
// # Guarantees
//
//   - A promise is a row in a table that is in no binary log, written before the
//     server is asked for anything else, and on disk before it is reported (G4).
//   - Calls of one node are serialised by a lock at the server, whichever
//     processes they come from. A higher term ends the connection of a lower one
//     and goes on when its thread is gone, with the statement it was executing.
//   - A commit that waits for its acknowledgement is never freed by SQL, which
//     may answer its client OK although no replica has it. A leader that cannot be
//     made read-only within the bound is reported as such, or ended by the
//     Controller (G9).
//   - Fencing stops the IO thread only, and not the SQL thread: what was
//     acknowledged is applied before it is read, on a server that was restarted
//     from the relay log that a plain START SLAVE would throw away.
//   - A leader takes clients only with semi-synchronous replication that cannot
//     fall back, read back from the server.
//   - Statements have bounds that the server keeps. Errors show no password.
//
// # What it does not guarantee
//
//   - Policies by which more than the leader and any one other member must have
//     a commit: MariaDB waits for one acknowledgement, from anyone. CanEnforce
//     refuses them.
//   - Anything against accounts with READ_ONLY ADMIN. A step-down refuses to
//     begin while one is connected, or while an event of one is scheduled; one
//     that connects later can still write.
//   - That a member which a change of ruleset leaves out stops acknowledging at
//     once: it does when it has applied the marker. Make it an Observer first.
//   - Repair of errant transactions. MariaDB cannot take them out of a binary
//     log: ErrantError names them, Config.Rebuild replaces the server's data.
//   - MySQL, whose GTIDs, read-only switches and rules for acknowledgements are
//     other ones, and replication with several sources. Setup refuses both.
//
// # Assumptions
//
// The option file has what the doctor asks for, and what cannot be read over
// SQL, which Config.RestartsFenced states: skip_slave_start=1, read_only=1 and
// rpl_semi_sync_master_enabled=0, so that a server that restarts acknowledges
// nothing and takes no writes. With rpl_semi_sync_slave_enabled=1 and
// init_rpl_role=SLAVE besides, an old leader that crashed takes the commits
// nobody acknowledged out of its log and rejoins by itself. Replicas outside of
// the ruleset have rpl_semi_sync_slave_enabled=0. Two starts of a server are not
// within one second. Each account is used for one purpose: the sessions of
// Config.DSN's are taken for this package's own.
//
// Grants lists what the account needs. gtid_strict_mode must be on: besides all
// else, a replica without it leaves out transactions that carry its own
// server_id, which an old leader has to get back after a crash.
//
// # State model
//
//	           read_only=1                       read_only=1, armed
//	┌─ Promise ─▶ promised ──── Install(t) ─────▶ installed ──── Grant(t) ──┐
//	│  IO thread    │   ▲                          marker in the log        ▼
//	│  stopped      │   │ Promise(t' > t)                              leading
//	│               │   └──────────────────────────────────────────── read_only=0
//	│            Follow(l,t)                                     StepDown(t' > t)
//	│               ▼
//	└────────── following: the log without acknowledgements, unless a member,
//	            until the marker of t is applied
//
// Restart: the record decides; a server that was restarted does not lead.
//
// # Failure handling
//
//	error                      what happened
//	*leadership.StaleTermError nothing; more was promised
//	*TurnError, *PeerError,
//	*NotSetUpError             nothing
//	*PrivilegedError           nothing; or, of a writer that came during a
//	                           StepDown, the promise is written
//	*BlockedError              the promise is written; the server goes on
//	*KilledError               the promise is written, the process ended
//	*ReplicationError          the server was pointed at the leader and stopped
//	*RelayLogError             what can be read was applied; no position is told
//	*SkippedError              the log has a hole: rebuild the server
//	*StepError                 unknown; ask again
//
// A call whose context ends may still be carried out by the server, for as long
// as its bounds say; the next call at the node waits for that, or ends it. One that
// is ended, or crashes, while it changes the source may leave gtid_slave_pos empty,
// which the server does before it fills it: what is applied is told by the binary log
// as well, and the next Follow sets it again.
//
// The rules are those of the manual of MariaDB (Semisynchronous Replication,
// Global Transaction ID, CHANGE MASTER TO, Privileges) and of servers of version
// 10.11.19 that were watched; each has a test on real servers.
package mariadbnode
