package pgnode

import (
	"slices"
	"strings"
)

// Setup returns the statements that prepare a cluster for a node's role: the table
// of markers, one row for each leadership. A superuser runs them once, on the
// primary, in the database that Config.Conn names, before the cluster is adopted.
// Clients may read the table; see Check.
func Setup(role string) []string {
	return []string{
		`CREATE SCHEMA IF NOT EXISTS tenure AUTHORIZATION ` + ident(role),
		`CREATE TABLE IF NOT EXISTS tenure.marker (
	seq bigint PRIMARY KEY,
	term text NOT NULL UNIQUE,
	leader text NOT NULL,
	eras text NOT NULL,
	marker text NOT NULL,
	decided boolean NOT NULL DEFAULT false)`,
		`ALTER TABLE tenure.marker OWNER TO ` + ident(role),
		`GRANT USAGE ON SCHEMA tenure TO PUBLIC`,
		`GRANT SELECT ON tenure.marker TO PUBLIC`,
	}
}

// Grants returns all that a node's role needs, as statements for a superuser, run
// once on the primary in the database that Config.Conn names. The role exists and
// may log in:
//
//	CREATE ROLE tenure LOGIN REPLICATION PASSWORD '...'
//
// It needs PostgreSQL 15, in which the right to ALTER SYSTEM is granted by
// parameter. It may end the sessions of every role that is no superuser; those of
// a superuser it ends by a restart of the server.
func Grants(role string) []string {
	r := ident(role)
	out := []string{
		`ALTER ROLE ` + r + ` REPLICATION`,
		`GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO ` + r,
		`GRANT SELECT ON pg_hba_file_rules TO ` + r,
	}
	for _, f := range []string{
		"pg_promote(boolean, integer)", "pg_reload_conf()", "pg_wal_replay_resume()", "pg_switch_wal()", "pg_hba_file_rules()",
		// What pg_rewind reads the source with.
		"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)",
		"pg_read_binary_file(text)", "pg_read_binary_file(text, bigint, bigint, boolean)",
	} {
		out = append(out, `GRANT EXECUTE ON FUNCTION pg_catalog.`+f+` TO `+r)
	}
	settings := append(sortedKeys(detached()), "synchronous_commit")
	slices.Sort(settings)
	return append(out, `GRANT ALTER SYSTEM ON PARAMETER `+strings.Join(settings, ", ")+` TO `+r)
}
