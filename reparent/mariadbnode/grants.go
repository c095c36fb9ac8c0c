package mariadbnode

import "strings"

// Grants returns the statements that give an account what a Node needs, and no
// more. account is as in 'tenure'@'10.0.0.%'. Run them without the binary log
// (SET SESSION sql_log_bin=0), on every server.
//
//	privilege                  for
//	READ_ONLY ADMIN            read_only; the record and the marker on a read-only server
//	BINLOG ADMIN               sql_log_bin=0, so that the record is in no binary log
//	REPLICATION SLAVE ADMIN    STOP, START, CHANGE MASTER; the replica's semi-synchronous switch
//	REPLICATION MASTER ADMIN   the leader's semi-synchronous switches
//	SLAVE MONITOR              SHOW SLAVE STATUS, SHOW RELAYLOG EVENTS
//	BINLOG MONITOR             which databases are left out of the binary log
//	CONNECTION ADMIN           KILL of the IO thread
//	RELOAD                     RESET SLAVE ALL
//	PROCESS                    who waits, who writes
//	EVENT                      which events run
//	SELECT on mysql.global_priv, mysql.roles_mapping
//	                           which accounts write in spite of read_only
//	the schema                 the record and the markers
//
// The schema is Config.Schema, "" for its default.
func Grants(account, schema string) []string {
	if schema == "" {
		schema = "tenure"
	}
	return []string{
		"GRANT " + strings.Join(globalGrants(), ", ") + " ON *.* TO " + account,
		"GRANT SELECT ON mysql.global_priv TO " + account,
		"GRANT SELECT ON mysql.roles_mapping TO " + account,
		"GRANT SELECT, INSERT, UPDATE, CREATE ON `" + schema + "`.* TO " + account,
	}
}

// AppGrants returns the statement that gives an application's account what SQL
// needs besides what the application does.
func AppGrants(account, schema string) []string {
	if schema == "" {
		schema = "tenure"
	}
	return []string{"GRANT SELECT ON `" + schema + "`.node TO " + account}
}
