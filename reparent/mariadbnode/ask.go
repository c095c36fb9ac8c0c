package mariadbnode

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// question is a statement, with how its rows are read. It has its literals in it:
// none may come from anywhere but through quote.
type question struct {
	step string
	q    string
	// rows reads all of the answer, and says what it was about when it fails. Nil:
	// the statement has no rows.
	rows func(*sql.Rows) error
	// own says that it is about a table that Setup makes on the server.
	own bool
}

// do is a statement without rows.
func do(step, q string) question { return question{step: step, q: q} }

// ask sends several statements as one message, and reads the answers in their
// order. The server carries them out one after the other, each with its own
// bound, and none after one that failed: what comes in an answer was read after
// whatever stands before it had been done. Where a change waits for the answers of
// a node, and not the node for anything, it is the number of messages that takes
// time.
//
// A message whose caller has gone away is carried out to its end, unless its
// connection is ended; the turn is the connection's until then.
func (n *Node) ask(ctx context.Context, on querier, qs ...question) error {
	texts := make([]string, len(qs))
	for i, x := range qs {
		texts[i] = x.q
	}
	rows, err := on.QueryContext(ctx, strings.Join(texts, "; "))
	if err != nil {
		return n.unanswered(qs, err)
	}
	defer func() { _ = rows.Close() }()
	for first := true; ; first = false {
		at := 0
		for at < len(qs) && qs[at].rows == nil {
			at++
		}
		if !first && !rows.NextResultSet() {
			if err := rows.Err(); err != nil {
				return n.unanswered(qs, err)
			}
			if at < len(qs) {
				return n.unanswered(qs, errors.New("the server did not answer"))
			}
			return nil
		}
		if at == len(qs) {
			if !first { // more answers than questions
				return n.unanswered(qs, errors.New("the server answered what it was not asked"))
			}
			continue
		}
		if err := qs[at].rows(rows); err != nil {
			return err
		}
		if err := rows.Err(); err != nil {
			return n.unanswered(qs[at:], err)
		}
		qs = qs[at+1:]
	}
}

// asker is a session, with its turn, or any connections of the pool.
type asker interface {
	ask(ctx context.Context, qs ...question) error
	// life is when the server of the connection was started, as a live tells, once
	// that is known; 0 until then, and where it may be another connection each time.
	life() *int64
}

// pooled asks on any connection of the pool.
type pooled struct{ n *Node }

func (n *Node) pool() asker { return pooled{n} }

func (pooled) life() *int64 { return new(int64) }

func (p pooled) ask(ctx context.Context, qs ...question) error { return p.n.ask(ctx, p.n.db, qs...) }

// unanswered says which statements an error may be about: those up to the first
// that has an answer.
func (n *Node) unanswered(qs []question, err error) error {
	var steps []string
	own := false
	for _, x := range qs {
		if x.step != "" {
			steps = append(steps, x.step)
		}
		own = own || x.own
		if x.rows != nil {
			break
		}
	}
	if num := number(err); own && (num == errNoSuchTable || num == errBadDB) {
		return &NotSetUpError{Node: n.cfg.ID, Schema: n.cfg.Schema, Err: n.hide(err)}
	}
	return n.step(strings.Join(steps, ", or "), err)
}

// row reads an answer of one row.
func (n *Node) row(step, q string, into ...any) question {
	return question{step: step, q: q, rows: func(rows *sql.Rows) error {
		if !rows.Next() {
			if rows.Err() != nil {
				return nil // ask says what is the matter
			}
			return n.step(step, sql.ErrNoRows)
		}
		return n.step(step, rows.Scan(into...))
	}}
}

// each reads an answer of any number of rows into a slice.
func each[T any](n *Node, into *[]T, step, q string, row func(scan func(...any) error) (T, error)) question {
	return question{step: step, q: q, rows: func(rows *sql.Rows) error {
		*into = nil
		for rows.Next() {
			v, err := row(rows.Scan)
			if err != nil {
				return n.step(step, err)
			}
			*into = append(*into, v)
		}
		return nil
	}}
}

// later adds a statement to the next message of the session.
func (s *session) later(step, q string) { s.queue = append(s.queue, do(step, q)) }

// ask sends what was left for later, and then the questions.
func (s *session) ask(ctx context.Context, qs ...question) error {
	qs = append(s.queue, qs...)
	s.queue = nil
	if len(qs) == 0 {
		return nil
	}
	err := s.n.ask(ctx, s.conn, qs...)
	if err != nil {
		// Whatever the session was in the middle of, nobody takes it over.
		s.failed = true
	}
	return err
}

// exec carries out a statement, after what was left for later.
func (s *session) exec(ctx context.Context, step, q string) error { return s.ask(ctx, do(step, q)) }
