package mariadbnode

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// setting is a system variable with where its value came from.
type setting struct{ value, origin string }

// runtime reports whether the value was set by a statement, so that what the
// option file says is not known.
func (s setting) runtime() bool { return s.origin == "SQL" }

// facts are what the doctor judges.
type facts struct {
	node       leadership.NodeID
	version    string
	fenced     bool // Config.RestartsFenced
	vars       map[string]setting
	slave      slave
	privileged []string
	events     []string
	unlogged   string   // databases that are left out of the binary log
	plain      []string // tables without transactions
	missing    []string // privileges that the account lacks
	record     error    // why the record cannot be read
	leads      bool
	clients    int // acknowledging replicas
	members    int // members of the newest marker's ruleset, 0 when unknown
	degraded   string
	unread     map[string]error // what could not be read
}

// Doctor reads the live configuration and reports, per finding, what can be
// lost and what mends it; none for a server that is as it should be. What the
// server does not show over SQL (skip_slave_start, init_rpl_role) it cannot
// judge: that is what Config.RestartsFenced states. It changes nothing.
//
// It returns an error only when the server cannot be asked at all; a part that
// cannot be read is a finding of severity unknown.
func (n *Node) Doctor(ctx context.Context) ([]reparent.Finding, error) {
	if n.closed.Load() {
		return nil, ErrClosed
	}
	f := facts{node: n.cfg.ID, fenced: n.cfg.RestartsFenced, unread: map[string]error{}}
	var err error
	if f.vars, err = n.settings(ctx); err != nil {
		return nil, err
	}
	if err := n.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&f.version); err != nil {
		return nil, n.step("read the version", err)
	}
	note := func(what string, err error) {
		if err != nil {
			f.unread[what] = n.hide(err)
		}
	}
	note("the replication status", n.pool().ask(ctx, n.askSlave(&f.slave)))
	r, err := n.load(ctx, n.pool())
	if f.record = err; err == nil {
		l, err := n.look(ctx, n.pool())
		note("the state", err)
		var h history
		note("the markers", n.pool().ask(ctx, n.askMarkers(&h)))
		f.leads, f.degraded = !r.led(l.readOnly, l.start).IsZero(), degraded(r, l, position(l.state, h))
		f.members = len(h.last().Ruleset.Members)
	}
	var c census
	var p processes
	note("mysql.global_priv", n.pool().ask(ctx, append(n.askAccounts(&c), n.askProcesses(&p)...)...))
	f.privileged = open(c.writers(p.own), c.accounts)
	f.unlogged, err = n.unlogged(ctx)
	note("SHOW MASTER STATUS", err)
	note("information_schema.EVENTS", n.pool().ask(ctx, n.askEvents(&c)))
	f.events = c.privilegedEvents(p.own)
	f.plain, err = n.strings(ctx, selectPlain, n.cfg.Schema)
	note("information_schema.TABLES", err)
	f.missing, err = n.missing(ctx)
	note("information_schema.USER_PRIVILEGES", err)
	err = n.db.QueryRowContext(ctx, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'RPL_SEMI_SYNC_MASTER_CLIENTS'").Scan(&f.clients)
	note("Rpl_semi_sync_master_clients", err)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return f.judge(), nil
}

// unlogged returns the options that leave databases out of the binary log, which
// no variable of 10.11 shows.
func (n *Node) unlogged(ctx context.Context) (string, error) {
	rows, err := n.db.QueryContext(ctx, "SHOW MASTER STATUS")
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	all, err := columns(rows)
	out := ""
	for _, r := range all {
		for _, name := range []string{"Binlog_Do_DB", "Binlog_Ignore_DB"} {
			if r[name] != "" {
				out = strings.TrimSpace(out + " " + strings.ToLower(name) + "=" + r[name])
			}
		}
	}
	return out, err
}

func (n *Node) settings(ctx context.Context) (map[string]setting, error) {
	rows, err := n.db.QueryContext(ctx, "SELECT VARIABLE_NAME, COALESCE(GLOBAL_VALUE, SESSION_VALUE, ''), COALESCE(GLOBAL_VALUE_ORIGIN, '') FROM information_schema.SYSTEM_VARIABLES")
	if err != nil {
		return nil, n.step("read the settings", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]setting{}
	for rows.Next() {
		var name string
		var s setting
		if err := rows.Scan(&name, &s.value, &s.origin); err != nil {
			return nil, n.step("read the settings", err)
		}
		out[name] = s
	}
	return out, n.step("read the settings", rows.Err())
}

// selectPlain lists tables whose changes are not undone with a transaction.
const selectPlain = `SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE IN ('MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE')
 AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', ?) LIMIT 20`

func (n *Node) strings(ctx context.Context, q string, args ...any) ([]string, error) {
	rows, err := n.db.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s.String)
	}
	return out, rows.Err()
}

// globalGrants are the global privileges that Grants lists.
func globalGrants() []string {
	return []string{
		"READ_ONLY ADMIN", "BINLOG ADMIN", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN",
		"SLAVE MONITOR", "BINLOG MONITOR", "CONNECTION ADMIN", "RELOAD", "PROCESS", "EVENT",
	}
}

// missing returns the privileges that the account lacks.
func (n *Node) missing(ctx context.Context) ([]string, error) {
	have, err := n.strings(ctx, "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range globalGrants() {
		if !contains(have, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

func contains(have []string, p string) bool {
	for _, h := range have {
		// Older servers name some with an underscore, others without.
		if strings.ReplaceAll(h, "_", " ") == strings.ReplaceAll(p, "_", " ") {
			return true
		}
	}
	return false
}

func (f *facts) noRecord() (reparent.Finding, bool) {
	var none *NotSetUpError
	switch {
	case f.record == nil:
		return reparent.Finding{}, false
	case errors.As(f.record, &none):
		return f.find(reparent.SeverityOutage, "no record of this node", "it can promise nothing, so it takes part in no change", "run Setup once"), true
	}
	return f.find(reparent.SeverityLoss, "the node's record: "+f.record.Error(), "what it promised cannot be trusted: a copy of another server's data, or damage", "find out which server this is before it takes part again"), true
}

func (f *facts) find(s reparent.Severity, subject, risk, remedy string) reparent.Finding {
	return reparent.Finding{Node: f.node, Severity: s, Subject: subject, Risk: risk, Remedy: remedy}
}

func (f *facts) show(name string) string {
	return fmt.Sprintf("%s=%s", strings.ToLower(name), f.vars[name].value)
}
