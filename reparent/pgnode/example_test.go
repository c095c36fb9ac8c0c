package pgnode_test

import (
	"fmt"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// The statements that a superuser runs once, on the primary.
func ExampleSetup() {
	for _, statement := range pgnode.Setup("tenure")[:1] {
		fmt.Println(statement)
	}
	// Output:
	// CREATE SCHEMA IF NOT EXISTS tenure AUTHORIZATION "tenure"
}

// What the node's own role needs, and no more.
func ExampleGrants() {
	for _, statement := range pgnode.Grants("tenure") {
		fmt.Println(statement)
	}
	// Output:
	// ALTER ROLE "tenure" REPLICATION
	// GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO "tenure"
	// GRANT SELECT ON pg_hba_file_rules TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_wal_replay_resume() TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO "tenure"
	// GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO "tenure"
	// GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, restore_command, synchronous_commit, synchronous_standby_names TO "tenure"
}

// The name under which a standby acknowledges has the term in it.
func ExampleAckName() {
	fmt.Println(pgnode.AckName("n1", leadership.Term{Num: 8, Proposer: "guard-x4q"}))
	// Output:
	// n1_t8.guard-x4q
}

// A log that ended behind the place where the other's history left its timeline is
// no part of that one, however the two LSNs compare.
func ExamplePoint_Contains() {
	leader, err := pgnode.ParsePoint("7,0/500,1:0/0:0,2:0/400:8.guard")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"7,0/400,1:0/0:0", "7,0/410,1:0/0:0", "7,0/900,1:0/0:0"} {
		old, err := pgnode.ParsePoint(text)
		fmt.Println(text, leader.Contains(old), err)
	}
	// Output:
	// 7,0/400,1:0/0:0 true <nil>
	// 7,0/410,1:0/0:0 false <nil>
	// 7,0/900,1:0/0:0 false <nil>
}

// A node beside its server.
func ExampleNew() {
	_, err := pgnode.New(pgnode.Config{
		ID: "n1", Addr: "db1:5432", Conn: "host=/run/postgresql user=tenure dbname=postgres",
		Data: "/var/lib/postgresql/15/main", Dir: "/var/lib/postgresql/15/main/tenure",
		Controller: pgnode.PgCtl{Data: "/var/lib/postgresql/15/main"},
	})
	fmt.Println(err)
	// Output:
	// pgnode: config: Dir: it is in the data directory, which pg_rewind overwrites with another node's
}
