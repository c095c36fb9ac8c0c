package mariadbnode

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// session is a connection of its own to the server, with bounds that the server
// keeps. It goes back to the pool when the call is over and every statement of it
// was answered; else it is closed, and what it was doing ends with it.
type session struct {
	n      *Node
	conn   *sql.Conn
	start  int64      // of the server, 0 until it is known
	turn   bool       // it may have the turn
	queue  []question // for the next message
	failed bool       // a message was not answered to its end
}

func (s *session) life() *int64 { return &s.start }

// pinned runs f on a connection that is not in the binary log.
func (n *Node) pinned(ctx context.Context, f func(s *session) error) error {
	s, err := n.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := f(s); err != nil {
		return err
	}
	return s.end(ctx)
}

func (n *Node) open(ctx context.Context) (*session, error) {
	if n.closed.Load() {
		return nil, ErrClosed
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	conn, err := n.db.Conn(ctx)
	if err != nil {
		return nil, n.step("connect", err)
	}
	s := &session{n: n, conn: conn}
	var ready bool
	s.onConn(func(c *poolConn) { ready, s.start = c.prepared, c.start })
	if ready {
		return s, nil
	}
	l := n.cfg.Limits
	// The server ends what we can no longer ask it to end: a statement of a
	// coordinator that gave up, and the connection of one that froze.
	s.later("prepare the session", fmt.Sprintf(
		"SET SESSION sql_log_bin=0, max_statement_time=%s, lock_wait_timeout=%d, innodb_lock_wait_timeout=%d, wait_timeout=%d, net_read_timeout=%[4]d, net_write_timeout=%[4]d, autocommit=1, sql_mode='STRICT_ALL_TABLES', time_zone='+00:00'",
		seconds(l.Statement), wholeSeconds(l.Statement), wholeSeconds(l.Statement), wholeSeconds(l.Idle)))
	return s, nil
}

// onConn runs f on the connection of the pool.
func (s *session) onConn(f func(c *poolConn)) {
	_ = s.conn.Raw(func(c any) error {
		if c, ok := c.(*poolConn); ok {
			f(c)
		}
		return nil
	})
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", max(d, time.Millisecond).Seconds()) }

func wholeSeconds(d time.Duration) int { return int(max(1, (d+time.Second-1)/time.Second)) }

// close ends the connection, and with it the turn, unless end has given both back.
func (s *session) close() {
	if s.conn == nil {
		return
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
	s.conn = nil
}

// end does what was left for later, gives the turn back, asks the questions, and
// puts the connection back into the pool. The turn is given back only after
// everything that was done with it has been answered or is done in this very
// message. After an error, and of a session in which anything has failed, the
// connection is closed instead.
func (s *session) end(ctx context.Context, qs ...question) error {
	if s.turn {
		qs = append([]question{do("give the turn back", "DO RELEASE_ALL_LOCKS()")}, qs...)
	}
	err := s.ask(ctx, qs...)
	if err == nil && !s.failed {
		s.onConn(func(c *poolConn) { c.prepared, c.start = true, s.start })
		_ = s.conn.Close()
		s.conn = nil
	}
	s.close()
	return err
}

// poolConn is a connection of the pool, which a session may have prepared. Who only
// reads may use it as well.
type poolConn struct {
	fullConn
	prepared bool
	start    int64 // of its server, 0 when it was not asked
}

type poolConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c poolConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, err := full(conn)
	if err != nil {
		return nil, err
	}
	return &poolConn{fullConn: full}, nil
}

// lockName is the server-side lock that serialises the calls at a node.
func (n *Node) lockName() string { return "tenure:" + n.cfg.Schema }

// notedName is a lock that a call takes once it has noted its term: connections are
// kept, so that the note of one may be that of a call it made before.
func (n *Node) notedName() string { return n.lockName() + ":noted" }

// holder is who has the turn, as the server tells.
type holder struct {
	conn  uint64          // connection that has the lock, 0 for none
	wrote uint64          // connection that has noted its term since it has the lock
	term  leadership.Term // which was noted last
}

// evicts reports whether a call with term t may end the holder of the turn,
// having waited for so long. One of a lower term always: nothing that it asked
// for may land any more. One that has not said its term has not done anything,
// and one of the same term is one whose caller has given up; both get a moment.
func (h holder) evicts(t leadership.Term, waited, stolen time.Duration) bool {
	switch {
	case h.conn == 0:
		return false
	case h.wrote == h.conn && h.term.Less(t):
		return true
	case h.wrote != h.conn || h.term == t:
		return waited >= stolen
	}
	return false
}

// begun is what a call starts from, as read with the turn.
type begun struct {
	*session
	record    record
	live      live
	processes processes
	history   history
}

// begin opens a session that holds the server-side lock, and reads with it what a
// call starts from: until it is closed, nothing else that carries a term is done at
// this server. GET_LOCK is the connection's own: the server gives it up when it is
// told to, which comes after all else, or when the thread of that connection has
// ended, with whatever it was executing. So to have it proves that no statement of an
// earlier holder is still under way.
func (n *Node) begin(ctx context.Context, t leadership.Term, qs ...question) (*begun, error) {
	s, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	b := &begun{session: s}
	all := append(append(s.note(t), n.askRecord(&b.record)), n.askLive(s, &b.live)...)
	all = append(append(all, n.askProcesses(&b.processes)...), n.askMarkers(&b.history))
	if err := s.take(ctx, t, append(all, qs...)...); err != nil {
		s.close()
		return nil, err
	}
	return b, nil
}

// note says whose the turn is, of a session that has it.
func (s *session) note(t leadership.Term) []question {
	return []question{
		{step: "note who has the turn", own: true, q: s.n.sql("UPDATE {}.turn SET conn = CONNECTION_ID(), term = " + quote(t.String()) +
			" WHERE k = 1 AND IS_USED_LOCK(" + quote(s.n.lockName()) + ") = CONNECTION_ID()")},
		// The last holder gives it up a moment after the turn.
		do("note who has the turn", "DO GET_LOCK("+quote(s.n.notedName())+", 1)"),
	}
}

// errNoTurn is what a session that tries to take the turn has the server say when
// somebody else has it, so that nothing else of the message is carried out.
const errNoTurn = 64001

// take takes the turn, and asks the questions with it.
func (s *session) take(ctx context.Context, t leadership.Term, qs ...question) error {
	n := s.n
	var h holder
	s.turn = true
	began := time.Now()
	var evicted holder
	var at time.Time
	qs = append([]question{do("take the turn", fmt.Sprintf(
		"BEGIN NOT ATOMIC IF NOT COALESCE(GET_LOCK(%s, 0), 0) THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %d, MESSAGE_TEXT = 'somebody else has the turn'; END IF; END", quote(n.lockName()), errNoTurn))}, qs...)
	err := n.poll(ctx, func() (bool, error) {
		err := s.ask(ctx, qs...)
		if number(err) != errNoTurn {
			return err == nil, err
		}
		s.failed = false // nothing was done
		now, err := s.holder(ctx)
		if err != nil {
			return false, err
		}
		h = now
		// Again after a while: a connection that had given the turn back just then may
		// have taken it for the same term once more.
		if h.evicts(t, time.Since(began), n.cfg.Limits.Stolen) && (evicted != h || time.Since(at) >= n.cfg.Limits.Stolen) {
			evicted, at = h, time.Now()
			n.cfg.Logger.Info("mariadbnode: ending a call of a lower term", "node", n.cfg.ID, "connection", h.conn, "its term", h.term, "for", t)
			return false, s.evict(ctx, h)
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return &TurnError{Node: n.cfg.ID, Holder: h.conn, Term: h.term, Err: context.Cause(ctx)}
	}
	return err
}

func (s *session) holder(ctx context.Context) (holder, error) {
	const step = "look who has the turn"
	n := s.n
	var h holder
	var conn sql.NullInt64
	var term string
	q := n.row(step, "SELECT IS_USED_LOCK("+quote(n.lockName())+"), COALESCE(IS_USED_LOCK("+quote(n.notedName())+n.sql("), 0), term FROM {}.turn WHERE k = 1"), &conn, &h.wrote, &term)
	q.own = true
	if err := s.ask(ctx, q); err != nil {
		return h, err
	}
	h.conn = uint64(conn.Int64)
	var err error
	if h.term, err = leadership.ParseTerm(term); err != nil {
		return h, n.step(step, err)
	}
	return h, nil
}

// errNoSuchThread says that the connection to be killed is gone.
const errNoSuchThread = 1094

// evict ends the connection that has the turn, unless it has given the turn back
// since: what it does by now may be another call's, of a higher term.
func (s *session) evict(ctx context.Context, h holder) error {
	n := s.n
	return s.gone(s.exec(ctx, "end a connection", fmt.Sprintf(
		"BEGIN NOT ATOMIC DECLARE t VARCHAR(48); SELECT term INTO t FROM %s WHERE k = 1; IF t = %s AND COALESCE(IS_USED_LOCK(%s), 0) = %d AND IS_USED_LOCK(%s) = %d THEN KILL HARD CONNECTION %[6]d; END IF; END",
		n.sql("{}.turn"), quote(h.term.String()), quote(n.notedName()), h.wrote, quote(n.lockName()), h.conn)))
}

// gone takes the answer to a KILL for what is wanted when there is nothing left to
// end.
func (s *session) gone(err error) error {
	if number(err) != errNoSuchThread {
		return err
	}
	s.failed = false // it was answered to its end: the KILL stood last
	return nil
}
