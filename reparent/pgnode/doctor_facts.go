package pgnode

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/reparent"
)

// facts are what the doctor judges: plain values, read from a server.
type facts struct {
	settings  map[string]string
	overrides []override
	super     bool     // the node's role is a superuser
	supers    []string // other roles that are, and may log in
	recovery  bool
	marker    bool
	hba       string // errors in pg_hba.conf
}

// override is a setting of a role, a database, or both.
type override struct{ role, database, name, value string }

func gather(ctx context.Context, s *session) (facts, error) {
	f := facts{settings: map[string]string{}}
	rows, err := s.rows(ctx, "SELECT name, setting FROM pg_settings")
	if err != nil {
		return f, err
	}
	for _, r := range rows {
		f.settings[r[0]] = r[1]
	}
	rows, err = s.rows(ctx, `SELECT coalesce(r.rolname, ''), coalesce(d.datname, ''), unnest(c.setconfig)
		FROM pg_db_role_setting c LEFT JOIN pg_roles r ON r.oid = c.setrole LEFT JOIN pg_database d ON d.oid = c.setdatabase`)
	if err != nil {
		return f, err
	}
	for _, r := range rows {
		name, value, _ := strings.Cut(r[2], "=")
		f.overrides = append(f.overrides, override{r[0], r[1], name, value})
	}
	rows, err = s.rows(ctx, "SELECT rolname, rolname = current_user FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY 1")
	if err != nil {
		return f, err
	}
	for _, r := range rows {
		if r[1] == "t" {
			f.super = true
		} else {
			f.supers = append(f.supers, r[0])
		}
	}
	one, err := s.row(ctx, "SELECT pg_is_in_recovery(), to_regclass('tenure.marker') IS NOT NULL")
	if err != nil {
		return f, err
	}
	f.recovery, f.marker = one[0] == "t", one[1] == "t"
	if one, err = s.row(ctx, "SELECT coalesce(string_agg(line_number || ': ' || error, '; '), '') FROM pg_hba_file_rules WHERE error IS NOT NULL"); err != nil {
		f.hba = err.Error()
	} else {
		f.hba = one[0]
	}
	return f, nil
}

// weak says why a value of synchronous_commit lets a commit complete before a
// standby has it on disk.
func weak(v string) string {
	switch strings.ToLower(v) {
	case "off", "no", "false", "0":
		return "commits complete before anybody has them on disk, the leader included"
	case "local":
		return "commits complete before any standby has them"
	case "remote_write":
		return "commits complete before any standby has them on disk"
	}
	return ""
}

func (n *Node) diagnose(f facts) []reparent.Finding {
	var out []reparent.Finding
	add := func(sev reparent.Severity, subject, risk, remedy string) {
		out = append(out, reparent.Finding{Node: n.cfg.ID, Severity: sev, Subject: subject, Risk: risk, Remedy: remedy})
	}
	set := func(name string) string { return name + "=" + f.settings[name] }
	system := func(name, value string) string { return fmt.Sprintf("ALTER SYSTEM SET %s = %s; reload", name, value) }
	number := func(name string) int { v, _ := strconv.Atoi(f.settings[name]); return v }
	restart := func(name, value string) string { return fmt.Sprintf("ALTER SYSTEM SET %s = %s; restart", name, value) }

	if why := weak(f.settings["synchronous_commit"]); why != "" {
		add(reparent.SeverityLoss, set("synchronous_commit"), why+", and are lost with the leader", system("synchronous_commit", "'on'")+"; Install sets it")
	}
	for _, o := range f.overrides {
		who := "role " + o.role + " in database " + o.database
		scope := "ALTER ROLE " + ident(o.role) + " IN DATABASE " + ident(o.database)
		switch {
		case o.role == "" && o.database == "":
			who, scope = "every role", "ALTER ROLE ALL"
		case o.role == "":
			who, scope = "database "+o.database, "ALTER DATABASE "+ident(o.database)
		case o.database == "":
			who, scope = "role "+o.role, "ALTER ROLE "+ident(o.role)
		}
		if why := weak(o.value); o.name == "synchronous_commit" && why != "" {
			add(reparent.SeverityLoss, o.name+"="+o.value+" for "+who, why+", and are lost with the leader: this wins over what is set for the server", scope+" RESET synchronous_commit")
		}
		if o.name == "statement_timeout" && o.value != "0" {
			add(reparent.SeverityAdvice, o.name+"="+o.value+" for "+who, "it does not bound a commit: it never fires while a commit waits for a standby, and the client waits on", "bound commits in the client, and treat one that was given up as unknown")
		}
	}
	if v := f.settings["synchronous_standby_names"]; strings.Contains(stripQuoted(v), "*") {
		add(reparent.SeverityLoss, set("synchronous_standby_names"), `"*" is satisfied by anything that streams, a pg_receivewal or a diverged old primary included: what is acknowledged can be on no node that may lead`, "let Install set it: ANY k of names that have the term in them")
	} else if v == "" && !f.recovery {
		add(reparent.SeverityLoss, "synchronous_standby_names is empty", "commits complete before any standby has them, and are lost with the leader", "let Install set it: adopt the cluster")
	}
	for _, name := range []string{"fsync", "full_page_writes"} {
		if f.settings[name] != "on" {
			add(reparent.SeverityLoss, set(name), "a crash of the machine loses what was acknowledged, or corrupts the data", system(name, "on"))
		}
	}
	if f.settings["wal_log_hints"] != "on" && f.settings["data_checksums"] != "on" {
		add(reparent.SeverityOutage, "wal_log_hints=off, data_checksums=off", "pg_rewind refuses to work: a node with a diverged tail, as an old leader has after a crash, comes back only by a copy of all data", restart("wal_log_hints", "on"))
	}
	if v := f.settings["wal_level"]; v == "minimal" {
		add(reparent.SeverityOutage, set("wal_level"), "no standby can follow", restart("wal_level", "replica"))
	}
	if f.settings["hot_standby"] != "on" {
		add(reparent.SeverityOutage, set("hot_standby"), "a standby takes no session, so nobody can ask it how far it is, or promote it by SQL", restart("hot_standby", "on"))
	}
	if v, want := number("max_wal_senders"), n.senders(); v < want {
		add(reparent.SeverityOutage, set("max_wal_senders"), fmt.Sprintf("each peer takes one to follow, one to be asked or to copy, and where they are few one that it keeps for a change, and this node one that it keeps and one to look with: %d are too few", v), restart("max_wal_senders", strconv.Itoa(want)))
	}
	if f.settings["wal_keep_size"] == "0" {
		add(reparent.SeverityAdvice, set("wal_keep_size"), "a standby that was away while the leader made two checkpoints finds its log gone, and a rewind its place: both then copy all data", system("wal_keep_size", "'1GB'"))
	}
	if v := f.settings["restore_command"]; v != "" {
		add(reparent.SeverityAdvice, "restore_command is set", "a detached standby goes on taking a log from the archive, so that its position moves; Promise and Install empty it, in postgresql.auto.conf", "keep archives for point-in-time recovery on another server")
	}
	if v := number("recovery_min_apply_delay"); v != 0 {
		add(reparent.SeverityOutage, set("recovery_min_apply_delay"), "the node is read, and can lead, only when everything it received is replayed: a change that needs it waits that long", system("recovery_min_apply_delay", "0"))
	}
	if v := f.settings["recovery_target_timeline"]; v != "latest" {
		add(reparent.SeverityOutage, set("recovery_target_timeline"), "a standby does not follow a leader that was promoted", system("recovery_target_timeline", "'latest'")+" and restart")
	}
	for _, name := range []string{"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"} {
		if f.settings[name] != "" {
			add(reparent.SeverityLoss, set(name), "a restart as a standby stops at the target and then promotes or pauses: what was received behind it is not seen", restart(name, "''"))
		}
	}
	if v := number("wal_retrieve_retry_interval"); v > 1000 {
		add(reparent.SeverityAdvice, fmt.Sprintf("wal_retrieve_retry_interval=%dms", v), "a detached standby that received half a record is read only after it has looked for the rest once more, and a broken stream is tried again as rarely", system("wal_retrieve_retry_interval", "'100ms'"))
	}
	for _, name := range []string{"wal_receiver_timeout", "wal_sender_timeout"} {
		if v := number(name); v == 0 || v > 30000 {
			add(reparent.SeverityAdvice, fmt.Sprintf("%s=%dms", name, v), "a peer that has frozen, or a network that swallows, is noticed only then; an orderly stop waits for it until Limits.Stop", system(name, "'10s'"))
		}
	}
	if f.settings["restart_after_crash"] == "on" {
		add(reparent.SeverityAdvice, set("restart_after_crash"), "when one of its processes dies, the leader restarts by itself, as a standby: it shows rows to readers that no standby has", system("restart_after_crash", "off"))
	}
	if v := number("statement_timeout"); v != 0 {
		add(reparent.SeverityAdvice, fmt.Sprintf("statement_timeout=%dms", v), "it does not bound a commit: it never fires while a commit waits for a standby, and the client waits on", "bound commits in the client, and treat one that was given up as unknown")
	}
	if v := f.settings["default_transaction_read_only"]; v == "on" {
		add(reparent.SeverityAdvice, set("default_transaction_read_only"), "it keeps nobody from writing: any session may BEGIN READ WRITE", "do not rely on it")
	}
	if f.super {
		add(reparent.SeverityAdvice, "the node's role is a superuser", "it can do more than it must, and its sessions pass the gate", "use a role with Grants only")
	}
	if len(f.supers) > 0 && !f.super {
		slices.Sort(f.supers)
		add(reparent.SeverityAdvice, "superusers that may log in: "+strings.Join(f.supers, ", "), "the node's role cannot end their sessions, so that one that is open on a candidate costs a restart at its promotion", "do not let applications use them")
	}
	if !f.marker {
		add(reparent.SeverityOutage, "there is no table tenure.marker", "no leadership can be installed", "run Setup on the primary")
	}
	if f.hba != "" {
		add(reparent.SeverityOutage, "pg_hba.conf: "+f.hba, "the server does not load the file, or it cannot be told whether it does, so that the gate neither closes nor opens", "mend the line, or run Grants")
	}
	slices.SortStableFunc(out, func(a, b reparent.Finding) int { return a.Severity.Rank() - b.Severity.Rank() })
	return out
}

// senders is how many sessions that count as walsenders this node and its peers have at
// the server at a time, replication included.
func (n *Node) senders() int {
	peers := len(n.cfg.Peers)
	if peers <= warmPeers {
		return 3*peers + 2
	}
	return 2*peers + 2
}

// stripQuoted removes what is in double quotes.
func stripQuoted(s string) string {
	var b strings.Builder
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}
