package mariadbnode

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/tenure-go/tenure/leadership"
)

// event is one of a relay log.
type event struct {
	file string
	pos  uint64
	kind string
	info string
}

// gtid returns the GTID of an event that begins a transaction, and whether one
// event more completes it (a statement that commits by itself).
func (e event) gtid() (g GTID, standalone, ok bool) {
	if e.kind != "Gtid" {
		return GTID{}, false, false
	}
	// "GTID 0-1-2" stands alone, "BEGIN GTID 0-1-2 cid=5" and
	// "XA START X'78',X'',1 GTID 0-1-2" do not.
	i := strings.LastIndex(e.info, "GTID ")
	if i < 0 {
		return GTID{}, false, false
	}
	text, _, _ := strings.Cut(e.info[i+len("GTID "):], " ")
	g, ok = parseGTID(text)
	return g, i == 0, ok
}

// statement reports whether the event is a statement. With log_bin_compress, a
// long one is a Query_compressed.
func (e event) statement() bool { return strings.HasPrefix(e.kind, "Query") }

// ends reports whether the event is the end of a transaction.
func (e event) ends() bool {
	return e.kind == "Xid" || e.kind == "XA_prepare" || e.statement() && (e.info == "COMMIT" || e.info == "ROLLBACK")
}

// salvage is what of a relay log has not been applied.
type salvage struct {
	file string
	pos  uint64
	upTo State // last GTID of each domain
}

// plan finds what of a relay log is not applied yet: where its first
// transaction begins that is not applied, and up to where it is complete. A
// transaction that is cut off at the end was never acknowledged. The zero
// salvage says that there is nothing.
func plan(events []event, done applied) salvage {
	var out salvage
	var cur GTID
	var at event
	open, standalone := false, false
	end := func() {
		open = false
		if done.has(cur) {
			return
		}
		if out.file == "" {
			out.file, out.pos = at.file, at.pos
		}
		out.upTo = out.upTo.Merge(State{cur}).Positions()
	}
	for _, e := range events {
		if g, alone, ok := e.gtid(); ok {
			cur, at, open, standalone = g, e, true, alone
			continue
		}
		if open && (e.ends() || standalone && e.statement()) {
			end()
		}
	}
	return out
}

// relayPage is how many events of a relay log are read at once, maxRelay how
// many in all.
const (
	relayPage = 5000
	maxRelay  = 10_000_000
)

// errCommand is ER_ERROR_WHEN_EXECUTING_COMMAND, noLog what it says of a log that
// is not there. It says something else of one that cannot be read, as when the
// server was killed while it wrote an event: what else that one holds is not
// known.
const (
	errCommand = 1220
	noLog      = "Could not find target log"
)

func missing(err error) bool {
	var me *mysql.MySQLError
	return errors.As(err, &me) && me.Number == errCommand && strings.Contains(me.Message, noLog)
}

// RelayLogError says that a relay log cannot be read to its end. What can be read
// is applied; since the server acknowledged perhaps more, its position is not
// known. When mariadb-binlog shows that only the last event cannot be read, cut off
// when the server was killed and so never acknowledged, RESET SLAVE makes the
// server forget it. Otherwise rebuild the server.
type RelayLogError struct {
	Node leadership.NodeID
	File string
	Err  error
}

func (e *RelayLogError) Error() string {
	return fmt.Sprintf("mariadbnode: %s: relay log %s cannot be read to its end, and may hold what was acknowledged; what can be read is applied. If mariadb-binlog shows that only its last event is cut off, RESET SLAVE: %v", e.Node, e.File, e.Err)
}

// Unwrap returns what the server said.
func (e *RelayLogError) Unwrap() error { return e.Err }

// events reads the relay log from the beginning of the file that is being
// applied: the position in it need not be that of the oldest transaction that is
// not applied when several are at once.
func (s *session) events(ctx context.Context, st slave) ([]event, error) {
	var out []event
	file, pos := st.relayFile, uint64(4)
	for len(out) < maxRelay {
		page, next, err := s.page(ctx, file, pos)
		switch {
		case missing(err) && file != st.relayFile:
			return out, nil
		case number(err) == errCommand && !missing(err):
			return take(out, page), &RelayLogError{Node: s.n.cfg.ID, File: file, Err: err}
		case err != nil:
			return nil, err
		}
		out = take(out, page)
		if len(page) == relayPage {
			pos = next
			continue
		}
		if file, err = nextFile(file); err != nil {
			return nil, s.n.step("find the next relay log", err)
		}
		pos = 4
	}
	return nil, s.n.step("read the relay log", errors.New("it holds more than 10 million events that are not applied"))
}

// take keeps what plan looks at.
func take(out, page []event) []event {
	for _, e := range page {
		if _, _, ok := e.gtid(); ok || e.ends() || e.statement() {
			out = append(out, e)
		}
	}
	return out
}

func (s *session) page(ctx context.Context, file string, pos uint64) (page []event, next uint64, err error) {
	q := each(s.n, &page, "read the relay log", fmt.Sprintf("SHOW RELAYLOG EVENTS IN %s FROM %d LIMIT %d", quote(file), pos, relayPage), func(scan func(...any) error) (e event, err error) {
		var server, end uint64
		err = scan(&e.file, &e.pos, &e.kind, &server, &end, &e.info)
		next = e.pos
		return e, err
	})
	if err := s.ask(ctx, q); err != nil {
		return page, 0, err
	}
	if len(page) == relayPage {
		page = page[:relayPage-1] // the last is the first of the next page
		return append(page, event{}), next, nil
	}
	return page, next, nil
}

// nextFile returns "relay.000003" for "relay.000002".
func nextFile(name string) (string, error) {
	i := strings.LastIndexByte(name, '.')
	num, err := strconv.Atoi(name[i+1:])
	if i < 0 || err != nil {
		return "", fmt.Errorf("relay log %q has no number", name)
	}
	return fmt.Sprintf("%s.%0*d", name[:i], len(name)-i-1, num+1), nil
}

// quote makes a string literal.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// applied waits until everything that this server received is applied. It takes
// the turn only where the relay log has to be rescued.
func (n *Node) applied(ctx context.Context, t leadership.Term) error {
	return n.poll(ctx, func() (bool, error) {
		l, err := n.look(ctx, n.pool())
		switch {
		case err != nil:
			return false, err
		case l.settled():
			return true, nil
		case l.slave.sqlRuns() && l.slave.knows():
			return false, nil
		}
		s, err := n.begin(ctx, t)
		if err != nil {
			return false, err
		}
		defer s.close()
		if err := s.record.stands(t); err != nil {
			return false, err
		}
		return true, s.settle(ctx)
	})
}

// settle brings a server to where everything that it received is applied. The
// caller has the turn, and the IO thread is stopped.
//
// With MASTER_USE_GTID set, a start of the SQL thread while the IO thread is
// stopped purges the relay log. So it is switched off first, and the relay log
// named.
func (s *session) settle(ctx context.Context) error {
	l, err := s.n.look(ctx, s)
	if err != nil || l.settled() {
		return err
	}
	if l.slave.knows() && (l.slave.sqlRuns() || l.slave.ioRuns()) {
		if !l.slave.sqlRuns() {
			// Nothing is purged while one of the two runs.
			if err := s.exec(ctx, "start the SQL thread", "START SLAVE SQL_THREAD"); err != nil {
				return err
			}
		}
		return s.waitReached(ctx, l.slave.ioPos)
	}
	events, unread := s.events(ctx, l.slave)
	if part := new(*RelayLogError); unread != nil && !errors.As(unread, part) {
		return unread
	}
	// What can be read of a relay log is applied even when not all of it can: an
	// SQL thread that comes upon the rest stops, and its workers with it, so that it
	// takes several starts.
	for {
		todo := plan(events, l.committed())
		if todo.file == "" {
			return unread
		}
		err := s.rescue(ctx, l.slave, todo)
		if err == nil || unread == nil || ctx.Err() != nil {
			return errors.Join(unread, err)
		}
		before := l.slavePos
		if l, err = s.n.look(ctx, s); err != nil {
			return err
		}
		if len(l.slavePos.lacks(before)) == 0 && len(before.lacks(l.slavePos)) == 0 {
			return unread
		}
	}
}

// rescue applies a part of the relay log.
func (s *session) rescue(ctx context.Context, st slave, todo salvage) error {
	if st.sqlRuns() { // an earlier rescue goes on
		return s.waitReached(ctx, todo.upTo)
	}
	s.n.cfg.Logger.Warn("mariadbnode: applying what a server had acknowledged and not applied", "node", s.n.cfg.ID, "from", todo.file, "at", todo.pos, "up to", todo.upTo)
	if err := s.exec(ctx, "name the relay log", fmt.Sprintf("CHANGE MASTER TO RELAY_LOG_FILE=%s, RELAY_LOG_POS=%d, MASTER_USE_GTID=no", quote(todo.file), todo.pos)); err != nil {
		return err
	}
	if err := s.exec(ctx, "start the SQL thread", "START SLAVE SQL_THREAD"); err != nil {
		return err
	}
	return s.waitReached(ctx, todo.upTo)
}

// waitReached waits for an SQL thread that runs.
func (s *session) waitReached(ctx context.Context, want State) error {
	return s.n.poll(ctx, func() (bool, error) {
		l, err := s.n.look(ctx, s)
		if err != nil || l.reached(want) {
			return err == nil, err
		}
		return false, s.n.stopped(l.slave)
	})
}

// stopped returns a *ReplicationError when the SQL thread does not run.
func (n *Node) stopped(s slave) error {
	if s.sqlRuns() {
		return nil
	}
	return &ReplicationError{Node: n.cfg.ID, Thread: "SQL", Errno: s.sqlErrno, Text: s.sqlError}
}
