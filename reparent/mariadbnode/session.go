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
// keeps: it is never put back into the pool.
type session struct {
	n    *Node
	conn *sql.Conn
	id   uint64
}

// pinned runs f on a connection that is not in the binary log.
func (n *Node) pinned(ctx context.Context, f func(s *session) error) error {
	s, err := n.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return f(s)
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
	l := n.cfg.Limits
	// The server ends what we can no longer ask it to end: a statement of a
	// coordinator that gave up, and the connection of one that froze.
	err = s.exec(ctx, "prepare the session", fmt.Sprintf(
		"SET SESSION sql_log_bin=0, max_statement_time=%s, lock_wait_timeout=%d, innodb_lock_wait_timeout=%d, wait_timeout=%d, net_read_timeout=%[4]d, net_write_timeout=%[4]d, autocommit=1, sql_mode='STRICT_ALL_TABLES', time_zone='+00:00'",
		seconds(l.Statement), wholeSeconds(l.Statement), wholeSeconds(l.Statement), wholeSeconds(l.Idle)))
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", max(d, time.Millisecond).Seconds()) }

func wholeSeconds(d time.Duration) int { return int(max(1, (d+time.Second-1)/time.Second)) }

// close ends the connection, and with it the turn.
func (s *session) close() {
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

func (s *session) exec(ctx context.Context, step, q string, args ...any) error {
	_, err := s.conn.ExecContext(ctx, q, args...)
	return s.n.step(step, err)
}

// lockName is the server-side lock that serialises the calls at a node.
func (n *Node) lockName() string { return "tenure:" + n.cfg.Schema }

// holder is who has the turn, as the server tells.
type holder struct {
	conn  uint64          // connection that has the lock, 0 for none
	wrote uint64          // connection that wrote its term last
	term  leadership.Term // which it wrote
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

// turn opens a session that holds the server-side lock: until it is closed,
// nothing else that carries a term is done at this server. GET_LOCK is the
// connection's own: the server gives it up only when the thread of that
// connection has ended, with whatever it was executing. So to have it proves
// that no statement of an earlier holder is still under way.
func (n *Node) turn(ctx context.Context, t leadership.Term) (*session, error) {
	s, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.take(ctx, t); err != nil {
		s.close()
		return nil, err
	}
	if err := s.note(ctx, t); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// note says whose the turn is.
func (s *session) note(ctx context.Context, t leadership.Term) error {
	return s.exec(ctx, "note who has the turn", s.n.sql("UPDATE {}.turn SET conn = ?, term = ? WHERE k = 1"), s.id, t.String())
}

func (s *session) take(ctx context.Context, t leadership.Term) error {
	n := s.n
	var h holder
	began := time.Now()
	evicted := uint64(0)
	err := n.poll(ctx, func() (bool, error) {
		var got sql.NullInt64
		if err := s.conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0), CONNECTION_ID()", n.lockName()).Scan(&got, &s.id); err != nil {
			return false, n.step("take the turn", err)
		}
		if got.Int64 == 1 {
			return true, nil
		}
		now, err := n.holder(ctx, s.conn)
		if err != nil {
			return false, err
		}
		h = now
		if h.evicts(t, time.Since(began), n.cfg.Limits.Stolen) && evicted != h.conn {
			evicted = h.conn
			n.cfg.Logger.Info("mariadbnode: ending a call of a lower term", "node", n.cfg.ID, "connection", h.conn, "its term", h.term, "for", t)
			return false, s.kill(ctx, h.conn)
		}
		return false, nil
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return &TurnError{Node: n.cfg.ID, Holder: h.conn, Term: h.term, Err: context.Cause(ctx)}
	}
	return err
}

func (n *Node) holder(ctx context.Context, q querier) (holder, error) {
	var h holder
	var conn sql.NullInt64
	var term string
	err := q.QueryRowContext(ctx, n.sql("SELECT IS_USED_LOCK(?), conn, term FROM {}.turn WHERE k = 1"), n.lockName()).Scan(&conn, &h.wrote, &term)
	if num := number(err); num == errNoSuchTable || num == errBadDB {
		return h, &NotSetUpError{Node: n.cfg.ID, Schema: n.cfg.Schema, Err: n.hide(err)}
	}
	if err != nil {
		return h, n.step("look who has the turn", err)
	}
	h.conn = uint64(conn.Int64)
	if h.term, err = leadership.ParseTerm(term); err != nil {
		return h, n.step("look who has the turn", err)
	}
	return h, nil
}

// errNoSuchThread says that the connection to be killed is gone.
const errNoSuchThread = 1094

func (s *session) kill(ctx context.Context, conn uint64) error {
	err := s.exec(ctx, "end a connection", fmt.Sprintf("KILL HARD CONNECTION %d", conn))
	if number(err) == errNoSuchThread {
		return nil
	}
	return err
}
