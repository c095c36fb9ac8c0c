package mariadbnode

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/reparent"
)

// rule is about one setting: ok says whether its value will do.
type rule struct {
	name     string
	severity reparent.Severity
	ok       func(setting) bool
	risk     string
	remedy   string
}

func is(values ...string) func(setting) bool {
	return func(s setting) bool {
		return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, s.value) })
	}
}

// unless is for a setting that this package changes at run time: what the
// option file says is not known then.
func unless(runtime bool, ok func(setting) bool) func(setting) bool {
	return func(s setting) bool { return s.runtime() == runtime || ok(s) }
}

func atLeast(n int) func(setting) bool {
	return func(s setting) bool {
		v, err := strconv.ParseFloat(s.value, 64)
		return err == nil && v >= float64(n)
	}
}

// rules are those of the manual and of servers that were watched; each says what
// happens otherwise.
func (f *facts) rules() []rule {
	const loss, outage, advice = reparent.SeverityLoss, reparent.SeverityOutage, reparent.SeverityAdvice
	rs := []rule{
		{"LOG_BIN", loss, is("ON", "1"), "nothing is replicated, and the server has no position", "log_bin=bin"},
		{"LOG_SLAVE_UPDATES", loss, is("ON", "1"), "what it receives is not in its own log: as a leader it could not give it to the others, and its position is wrong", "log_slave_updates=1"},
		{"GTID_STRICT_MODE", loss, is("ON", "1"), "a transaction that only this server has is hidden behind later ones, and replication goes on with different data", "gtid_strict_mode=1"},
		{"SYNC_BINLOG", loss, is("1"), "a crash of the machine loses commits that clients and replicas were told of (the default of MariaDB is 0)", "sync_binlog=1"},
		{"INNODB_FLUSH_LOG_AT_TRX_COMMIT", loss, is("1", "3"), "a crash of the machine loses commits", "innodb_flush_log_at_trx_commit=1"},
		{"INNODB_DOUBLEWRITE", loss, is("ON", "1", "fast"), "a torn page after a crash loses the table", "innodb_doublewrite=1"},
		{"SYNC_RELAY_LOG", loss, is("1"), "an acknowledgement is sent before the relay log is on disk (default 10000): leader and replica lose power, and what clients were told is gone", "sync_relay_log=1"},
		{"SYNC_MASTER_INFO", loss, is("1"), "after a crash the replica does not know what it has received and acknowledged (default 10000)", "sync_master_info=1"},
		{"RELAY_LOG_RECOVERY", loss, is("OFF", "0"), "a restarted replica throws away what it acknowledged and did not apply", "relay_log_recovery=0"},
		{"READ_ONLY", loss, unless(true, is("ON", "1")), "after a start it takes writes without a grant, and nobody acknowledges them", "read_only=1 in the option file"},
		{"RPL_SEMI_SYNC_MASTER_ENABLED", loss, unless(true, is("OFF", "0")), "roles are granted at run time only: a server that starts as a leader gives its waiting commits to clients of its own", "rpl_semi_sync_master_enabled=0 in the option file"},
		{"RPL_SEMI_SYNC_SLAVE_ENABLED", outage, unless(true, is("ON", "1")), "with init_rpl_role=SLAVE it is what takes commits nobody acknowledged out of a leader's log when it crashes; without it the old leader has errant transactions and must be rebuilt", "rpl_semi_sync_slave_enabled=1 and init_rpl_role=SLAVE in the option file"},
		{"SLAVE_SKIP_ERRORS", loss, is("OFF", ""), "a replica goes on with different data", "remove slave_skip_errors"},
		{"SLAVE_EXEC_MODE", loss, is("STRICT"), "a replica goes on with different data", "slave_exec_mode=STRICT"},
		{"GTID_IGNORE_DUPLICATES", advice, is("OFF", "0"), "a transaction with a number that was used before is skipped silently", "gtid_ignore_duplicates=0"},
		{"SLAVE_SQL_VERIFY_CHECKSUM", loss, is("ON", "1"), "a damaged relay log is applied", "slave_sql_verify_checksum=1"},
		{"BINLOG_FORMAT", loss, is("ROW", "MIXED"), "statements with uncertain results differ between servers", "binlog_format=ROW"},
		{"SLAVE_PARALLEL_THREADS", outage, atLeast(4), "a single applier lags by seconds under load, and a change waits for it", "slave_parallel_threads=4 or more"},
		{"RPL_SEMI_SYNC_SLAVE_KILL_CONN_TIMEOUT", advice, func(s setting) bool { return s.value != "0" }, "STOP SLAVE against a leader that hangs takes 24 s", "rpl_semi_sync_slave_kill_conn_timeout=1"},
	}
	if !f.leads {
		return rs
	}
	return append(rs,
		rule{"RPL_SEMI_SYNC_MASTER_ENABLED", loss, is("ON", "1"), "the leader's commits wait for nobody", "Refresh the leadership"},
		rule{"RPL_SEMI_SYNC_MASTER_TIMEOUT", loss, is(maxTimeout), "a commit that waited so long is reported as done although no replica has it (default 10 s)", "rpl_semi_sync_master_timeout=" + maxTimeout},
		rule{"RPL_SEMI_SYNC_MASTER_WAIT_NO_SLAVE", loss, is("ON", "1"), "with no replica attached commits return at once, while Rpl_semi_sync_master_status says ON", "rpl_semi_sync_master_wait_no_slave=1"},
		rule{"RPL_SEMI_SYNC_MASTER_WAIT_POINT", loss, is("AFTER_SYNC"), "others see, and act on, a row that no replica has (default AFTER_COMMIT)", "rpl_semi_sync_master_wait_point=AFTER_SYNC"},
	)
}

// judge is the doctor's pure part.
func (f *facts) judge() []reparent.Finding {
	var out []reparent.Finding
	add := func(s reparent.Severity, subject, risk, remedy string) {
		out = append(out, f.find(s, subject, risk, remedy))
	}
	const loss, outage, advice, unknown = reparent.SeverityLoss, reparent.SeverityOutage, reparent.SeverityAdvice, reparent.SeverityUnknown

	if !strings.Contains(f.version, "MariaDB") || !newEnough(f.version) {
		add(loss, "version "+f.version, "this package knows MariaDB 10.11 and later; on another server nothing it says is proven", "use MariaDB 10.11 or later")
	}
	for _, r := range f.rules() {
		s, ok := f.vars[r.name]
		switch {
		case !ok:
			add(unknown, strings.ToLower(r.name), "the server does not show it: "+r.risk, r.remedy)
		case !r.ok(s):
			add(r.severity, f.show(r.name), r.risk, r.remedy)
		}
	}
	if !f.fenced {
		add(loss, "Config.RestartsFenced is not stated", "a fenced server that restarts may follow its old leader again and acknowledge its writes, or take writes itself: skip_slave_start and init_rpl_role cannot be read over SQL", "put read_only=1, skip_slave_start=1, rpl_semi_sync_master_enabled=0, rpl_semi_sync_slave_enabled=1 and init_rpl_role=SLAVE into the option file, and state it")
	}
	if id := f.vars["SERVER_ID"].value; id == "1" {
		add(advice, "server_id=1", "it is the default: two servers with one id cannot replicate from each other", "a server_id of its own on each server")
	}
	if len(f.privileged) > 0 {
		add(loss, "READ_ONLY ADMIN: "+strings.Join(f.privileged, ", "), "sessions of these accounts write to a server that was stepped down, and to followers, where each write is an errant transaction", "REVOKE READ_ONLY ADMIN, or lock them (ALTER USER ... ACCOUNT LOCK); administrators SET sql_log_bin=0")
	}
	if len(f.events) > 0 {
		add(loss, "events "+strings.Join(f.events, ", "), "they run with an account that writes in spite of read_only", "give them another definer")
	}
	if f.unlogged != "" {
		add(loss, f.unlogged, "commits to databases that are not in the binary log wait for nobody, and no replica has them", "remove binlog_do_db and binlog_ignore_db")
	}
	if len(f.plain) > 0 {
		add(loss, "tables without transactions: "+strings.Join(f.plain, ", "), "a change is visible before a replica has it and is not undone when the commit fails", "ALTER TABLE ... ENGINE=InnoDB")
	}
	if f.slave.filters != "" {
		add(loss, f.slave.filters, "what is filtered is missing here, the markers perhaps too", "remove replication filters")
	}
	if len(f.missing) > 0 {
		add(outage, "the account lacks "+strings.Join(f.missing, ", "), "a change fails half-way", "see Grants")
	}
	if g, bad := f.noRecord(); bad {
		out = append(out, g)
	}
	switch {
	case f.degraded != "":
		add(outage, f.degraded, "it cannot be counted on", "find out why, then Sweep")
	case f.slave.ioErrno != 0:
		add(outage, fmt.Sprintf("the IO thread has error %d: %s", f.slave.ioErrno, f.slave.ioError), "it does not follow", "Sweep; rebuild it if it has diverged")
	case f.slave.configured && f.slave.ioRuns() && f.slave.usingGTID == "No":
		add(loss, "replication without GTIDs", "its position cannot be compared", "Sweep")
	}
	if f.leads && f.clients == 0 {
		add(outage, "no acknowledging replica", "every commit waits", "Sweep")
	}
	if f.leads && f.members > 0 && f.clients > f.members-1 {
		add(loss, fmt.Sprintf("%d acknowledging replicas, %d members", f.clients, f.members), "an acknowledgement from outside the ruleset completes a commit that no member may have", "rpl_semi_sync_slave_enabled=0 on replicas that are not members")
	}
	for _, what := range slices.Sorted(maps.Keys(f.unread)) {
		add(unknown, what, "it could not be read: "+f.unread[what].Error(), "see Grants")
	}
	slices.SortStableFunc(out, func(a, b reparent.Finding) int { return cmp.Compare(a.Severity.Rank(), b.Severity.Rank()) })
	return out
}

// newEnough reports whether a version is 10.11 or later.
func newEnough(v string) bool {
	major, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return err1 == nil && err2 == nil && (a > 10 || a == 10 && b >= 11)
}
