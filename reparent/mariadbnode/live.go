package mariadbnode

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// live is what the server says of itself at one moment.
type live struct {
	start    int64 // Unix seconds
	now      time.Time
	readOnly bool
	armed    bool  // its commits would wait for acknowledgements
	state    State // all that it has logged
	slavePos State
	slave    slave
}

// slave is the state of replication at this server; the zero slave is that of a
// server with no source.
type slave struct {
	configured bool
	host       string
	port       string
	io, sql    string // Yes, No, Connecting, Preparing
	usingGTID  string
	ioPos      State
	relayFile  string
	ioErrno    int
	ioError    string
	sqlErrno   int
	sqlError   string
	filters    string
	lag        string
}

// ioRuns reports whether the IO thread may take something from a source, or is
// about to.
func (s slave) ioRuns() bool { return s.configured && s.io != "No" }

func (s slave) sqlRuns() bool { return s.configured && s.sql == "Yes" }

// knows reports whether the server itself knows what it has received. After a
// start, and while a relay log is rescued, it does not: what an SQL thread that
// has read everything handed to its workers need not be applied.
func (s slave) knows() bool { return len(s.ioPos) > 0 && s.usingGTID != "No" }

// applied is what a server is known to have applied: it is told by gtid_slave_pos and
// by the binary log, and each may say less. A server that led has its own
// transactions in the log only; one that was filled from a backup has a position
// before it has a log. And whoever sets gtid_slave_pos, or has CHANGE MASTER do it,
// empties it first: ended in between, by KILL or by a crash, that leaves it empty.
type applied struct {
	pos State // gtid_slave_pos
	all State // with what is in the binary log
}

func (l live) applied() applied { return applied{pos: l.slavePos, all: l.state} }

// has reports whether the transaction is applied. In the log it counts by its server:
// what somebody wrote here may have a higher number than what is not applied yet.
func (a applied) has(g GTID) bool {
	n, ok := a.all.last(g.Domain, g.Server)
	return g.Seq <= a.pos.top(g.Domain) || ok && g.Seq <= n
}

// reached reports whether everything up to want is applied.
func (a applied) reached(want State) bool {
	return !slices.ContainsFunc(want, func(g GTID) bool { return !a.has(g) })
}

// demoted reports whether gtid_slave_pos tells all that the server has, so that it can
// be a slave as it is.
func (a applied) demoted() bool {
	return !slices.ContainsFunc(a.all, func(g GTID) bool { return a.pos.top(g.Domain) < g.Seq })
}

// committed is what is known to be applied and committed. A transaction is in the binary
// log before it is committed, and several are at once: while an SQL thread runs, a marker
// that was logged need not be found yet, and what comes after it would be taken for its
// predecessor's. So gtid_slave_pos alone tells then, which is set by the commit.
//
// It may lack what an SQL thread that rescues a relay log need not apply, and has the
// last of what that has to: nothing else is asked of it meanwhile. Any other SQL thread is
// started when gtid_slave_pos is whole.
func (l live) committed() applied {
	if l.slave.sqlRuns() {
		return applied{pos: l.slavePos}
	}
	return l.applied()
}

func (l live) reached(want State) bool { return l.committed().reached(want) }

// settled reports whether all that was received is known to be applied.
func (l live) settled() bool {
	s := l.slave
	return !s.configured || s.relayFile == "" || s.knows() && l.reached(s.ioPos)
}

// selectNow is the server's clock in seconds since 1970. UNIX_TIMESTAMP(NOW(6))
// goes through local time, in which an hour comes twice a year.
const selectNow = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000"

const (
	selectLive = "SELECT @@global.read_only, @@global.rpl_semi_sync_master_enabled, @@global.gtid_binlog_state, @@global.gtid_slave_pos, " + selectNow
	// selectStart has the server put together all of its counters.
	selectStart = "SELECT UNIX_TIMESTAMP() - VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'"
)

// look reads the state of the server. What it says together was not true
// together unless the node is quiet.
func (n *Node) look(ctx context.Context, on asker) (live, error) {
	var l live
	err := on.ask(ctx, n.askLive(on, &l)...)
	return l, err
}

// askLive asks for the state of the server. When that started is asked once on each
// connection: no connection outlives its server.
func (n *Node) askLive(on asker, l *live) []question {
	const step = "read the server's state"
	life := on.life()
	qs := []question{{step: step, q: selectLive, rows: func(rows *sql.Rows) error {
		var state, pos string
		var now float64
		if err := n.row(step, "", &l.readOnly, &l.armed, &state, &pos, &now).rows(rows); err != nil || rows.Err() != nil {
			return err
		}
		l.start = *life
		l.now = time.UnixMicro(int64(now * 1e6))
		var err error
		if l.state, err = ParseState(state); err != nil {
			return n.step("read gtid_binlog_state", err)
		}
		if l.slavePos, err = ParseState(pos); err != nil {
			return n.step("read gtid_slave_pos", err)
		}
		// A server that was filled from a backup has a position before it has a
		// binary log.
		l.state = l.state.Merge(l.slavePos)
		return nil
	}}, n.askSlave(&l.slave)}
	if *life != 0 {
		return qs
	}
	return append([]question{{step: step, q: selectStart, rows: func(rows *sql.Rows) error {
		var start float64
		err := n.row(step, "", &start).rows(rows)
		*life = int64(start)
		return err
	}}}, qs...)
}

// askSlave asks for SHOW ALL SLAVES STATUS.
func (n *Node) askSlave(into *slave) question {
	const step = "read the replication status"
	return question{step: step, q: "SHOW ALL SLAVES STATUS", rows: func(rows *sql.Rows) error {
		all, err := columns(rows)
		if err != nil {
			return n.step(step, err)
		}
		*into, err = n.replication(all)
		return err
	}}
}

// replication reads the rows of SHOW ALL SLAVES STATUS.
func (n *Node) replication(all []map[string]string) (slave, error) {
	var s slave
	var err error
	for _, r := range all {
		if r["Connection_name"] != "" {
			return s, &UnsupportedError{Node: n.cfg.ID, Reason: "it has a named replication connection, " + strconv.Quote(r["Connection_name"]) + ": with several sources an acknowledgement cannot be told apart"}
		}
		s = slave{
			configured: true, host: r["Master_Host"], port: r["Master_Port"],
			io: r["Slave_IO_Running"], sql: r["Slave_SQL_Running"], usingGTID: r["Using_Gtid"],
			relayFile: r["Relay_Log_File"], ioError: r["Last_IO_Error"], sqlError: r["Last_SQL_Error"], lag: r["Seconds_Behind_Master"],
		}
		if s.ioPos, err = ParseState(r["Gtid_IO_Pos"]); err != nil {
			return s, n.step("read Gtid_IO_Pos", err)
		}
		s.ioErrno, _ = strconv.Atoi(r["Last_IO_Errno"])
		s.sqlErrno, _ = strconv.Atoi(r["Last_SQL_Errno"])
		for name, v := range r {
			if (strings.HasPrefix(name, "Replicate_Do_") || strings.HasPrefix(name, "Replicate_Ignore_") || strings.HasPrefix(name, "Replicate_Wild_")) && v != "" {
				s.filters += name + "=" + v + " "
			}
		}
	}
	return s, nil
}

// columns reads all rows by the names of their columns.
func columns(rows *sql.Rows) ([]map[string]string, error) {
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []map[string]string
	for rows.Next() {
		vals := make([]sql.NullString, len(names))
		ptrs := make([]any, len(names))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			return nil, err
		}
		m := map[string]string{}
		for i, name := range names {
			m[name] = vals[i].String
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// incarnation names the storage and the start of the server: a fence holds in
// memory, so a restart is another life.
func incarnation(storage string, start int64) string {
	return storage + "@" + strconv.FormatInt(start, 10)
}

// mark is a row of the marker table.
type mark struct {
	leadership.Marker
	server  uint32
	before  State
	decided bool
}

// history is the newest markers of a log, oldest first, and whether there are older
// ones.
type history struct {
	marks []mark
	older bool
}

// last returns the newest marker; the zero mark is that of none.
func (h history) last() mark {
	if len(h.marks) == 0 {
		return mark{}
	}
	return h.marks[len(h.marks)-1]
}

// of returns the marker of a term.
func (h history) of(t leadership.Term) (mark, bool) {
	i := slices.IndexFunc(h.marks, func(m mark) bool { return m.Term == t })
	if i < 0 {
		return mark{}, false
	}
	return h.marks[i], true
}

// askMarkers asks for the markers.
func (n *Node) askMarkers(h *history) question {
	const step = "read the markers"
	var all []mark
	q := each(n, &all, step, n.sql("SELECT num, proposer, doc, server, before_state, decided FROM {}.marker ORDER BY num DESC, proposer DESC LIMIT "+strconv.Itoa(maxEras+1)), readMark)
	rows := q.rows
	q.rows = func(r *sql.Rows) error {
		if err := rows(r); err != nil {
			return err
		}
		*h = history{marks: all, older: len(all) > maxEras}
		if h.older {
			h.marks = all[:maxEras]
		}
		slices.Reverse(h.marks)
		return nil
	}
	return q
}

// askMarker asks for the marker of a term.
func (n *Node) askMarker(t leadership.Term, into *[]mark) question {
	return each(n, into, "look for the marker", n.sql("SELECT num, proposer, doc, server, before_state, decided FROM {}.marker")+
		" WHERE num = "+strconv.FormatUint(t.Num, 10)+" AND proposer = "+quote(t.Proposer), readMark)
}

func readMark(scan func(...any) error) (m mark, err error) {
	var t leadership.Term
	var doc, before string
	if err := scan(&t.Num, &t.Proposer, &doc, &m.server, &before, &m.decided); err != nil {
		return m, err
	}
	if err := json.Unmarshal([]byte(doc), &m.Marker); err != nil {
		return m, err
	}
	if m.Term != t {
		return m, &leadership.TextError{What: "marker", Text: clip(doc), Reason: "it is of another term than its row"}
	}
	m.before, err = ParseState(before)
	return m, err
}

// position makes the position of a log from its state and its markers.
func position(st State, h history) leadership.Position {
	if len(st) == 0 && len(h.marks) == 0 {
		return leadership.Position{}
	}
	p := Point{State: st, Older: h.older}
	var t leadership.Term
	for _, m := range h.marks {
		p.Eras = append(p.Eras, Era{Term: m.Term, Server: m.server, Before: m.before})
		t = m.Term
	}
	return leadership.Position{Term: t, Point: p}
}

// sightings returns the rulesets that the log shows, the last two markers of it.
func sightings(h history) []leadership.Sighting {
	var out []leadership.Sighting
	for _, m := range h.marks[max(0, len(h.marks)-2):] {
		out = append(out, leadership.Sighting{Marker: m.Marker, Decided: m.decided})
	}
	return out
}
