package mariadbnode

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// record is the node's one durable record. It lives in a table of the server
// that is never in a binary log, so that it is neither replicated nor a
// transaction of the node's own.
type record struct {
	acceptor.State
	// Granted is the term that the node was opened to clients for, and Start
	// the start of the server in which it was: a restarted server does not
	// lead.
	Granted leadership.Term `json:"granted"`
	Start   int64           `json:"start,omitempty"`
	// Drain is the term for which the leader drains, until Until on the
	// server's own clock (Unix, microseconds).
	Drain leadership.Term `json:"drain"`
	Until int64           `json:"until,omitempty"`
	// Skipped are transactions of this very server that it should have got back
	// from a leader and that its IO thread left out: its log has a hole.
	Skipped string `json:"skipped,omitempty"`
}

// whole reports whether the log has no hole.
func (r *record) whole(st State) bool {
	skipped, err := ParseState(r.Skipped)
	return err == nil && len(st.lacks(skipped)) == 0
}

// raise promises t in the record: a grant and a source of a lower term end,
// those of t itself stay. Every call that carries a term begins with it.
func (r *record) raise(t leadership.Term) error {
	if t.Less(r.Promised) {
		return &leadership.StaleTermError{Node: r.Node, Asked: t, Promised: r.Promised}
	}
	if r.Promised.Less(t) {
		r.Promised, r.Source, r.Granted, r.Start = t, leadership.Leadership{}, leadership.Term{}, 0
		r.Drain, r.Until = leadership.Term{}, 0
	}
	return nil
}

// support makes l the source of the record.
func (r *record) support(l leadership.Leadership) error {
	if err := r.raise(l.Term); err != nil {
		return err
	}
	if !r.Source.IsZero() && r.Source != l {
		return &acceptor.TwoLeadersError{Node: r.Node, Have: r.Source, Got: l}
	}
	r.Source = l
	return nil
}

// led returns the term that the node leads, given whether the server takes
// writes and when it started.
func (r *record) led(readOnly bool, start int64) leadership.Term {
	if readOnly || r.Granted.IsZero() || r.Start != start || r.Source != (leadership.Leadership{Leader: r.Node, Term: r.Granted}) {
		return leadership.Term{}
	}
	return r.Granted
}

// draining returns until when the node refuses new work, zero when it does not.
func (r *record) draining(now time.Time) time.Time {
	if until := time.UnixMicro(r.Until); !r.Drain.IsZero() && r.Promised.Less(r.Drain) && now.Before(until) {
		return until
	}
	return time.Time{}
}

// querier is a connection or the pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// sql fills in the schema.
func (n *Node) sql(q string) string { return strings.ReplaceAll(q, "{}", "`"+n.cfg.Schema+"`") }

// load reads the record.
func (n *Node) load(ctx context.Context, on asker) (record, error) {
	var r record
	err := on.ask(ctx, n.askRecord(&r))
	return r, err
}

// askRecord asks for the record.
func (n *Node) askRecord(into *record) question {
	const step = "read the record"
	return question{step: step, own: true, q: n.sql("SELECT doc FROM {}.node WHERE k = 1"), rows: func(rows *sql.Rows) error {
		var doc string
		err := n.row(step, "", &doc).rows(rows)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return &NotSetUpError{Node: n.cfg.ID, Schema: n.cfg.Schema, Err: err}
		case err != nil || rows.Err() != nil:
			return err
		}
		*into, err = n.decode(doc)
		return err
	}}
}

const (
	errBadDB       = 1049
	errNoSuchTable = 1146
)

func (n *Node) decode(doc string) (record, error) {
	var r record
	bad := func(reason string) (record, error) {
		return record{}, &leadership.CorruptError{Path: n.cfg.Schema + ".node on " + string(n.cfg.ID), Reason: reason}
	}
	if err := json.Unmarshal([]byte(doc), &r); err != nil {
		return bad(err.Error())
	}
	if r.Node != n.cfg.ID {
		return record{}, &leadership.IncarnationError{Node: n.cfg.ID, Want: string(n.cfg.ID), Got: string(r.Node)}
	}
	if err := r.Validate(); err != nil {
		return bad(err.Error())
	}
	if r.Floor.Point != nil {
		p, ok := asPoint(r.Floor.Point)
		if !ok {
			return bad("the floor is no MariaDB point")
		}
		r.Floor.Point = p
	}
	return r, nil
}

func encode(r record) (string, error) {
	b, err := json.Marshal(r)
	return string(b), err
}

// Setup writes the first record of a new member: the schema, its tables and
// the record, none of it in the binary log. It is for every member, once. When
// there is a record already it only checks that it is this node's, and returns
// a *leadership.IncarnationError when it is another's: data that was copied
// from another server with its record.
//
// On another server than MariaDB 10.11 or later, and on one that replicates from
// several sources, it returns an *UnsupportedError.
func (n *Node) Setup(ctx context.Context) error {
	return n.pinned(ctx, func(s *session) error {
		if err := s.supported(ctx); err != nil {
			return err
		}
		if r, err := n.load(ctx, s); err == nil {
			s.n.cfg.Logger.Debug("mariadbnode: already set up", "node", r.Node)
			return nil
		} else if fresh := new(NotSetUpError); !errors.As(err, &fresh) {
			return err
		}
		return s.setUp(ctx, n.fresh())
	})
}

func (s *session) supported(ctx context.Context) error {
	var v string
	if err := s.ask(ctx, s.n.row("read the version", "SELECT VERSION()", &v)); err != nil {
		return err
	}
	if !strings.Contains(v, "MariaDB") || !newEnough(v) {
		return &UnsupportedError{Node: s.n.cfg.ID, Reason: "version " + v + ", want MariaDB 10.11 or later"}
	}
	var st slave
	return s.ask(ctx, s.n.askSlave(&st))
}

// fresh is the record of a node whose storage has no history with us.
func (n *Node) fresh() record {
	return record{State: acceptor.State{Node: n.cfg.ID, Incarnation: rand.Text()}}
}

// tables are the schema's. turn and node are local to the server, marker is
// replicated, but made on every server without the binary log.
var tables = []string{
	"CREATE DATABASE IF NOT EXISTS {}",
	"CREATE TABLE IF NOT EXISTS {}.node (k TINYINT PRIMARY KEY, doc LONGTEXT NOT NULL) ENGINE=InnoDB CHARACTER SET utf8mb4",
	"CREATE TABLE IF NOT EXISTS {}.turn (k TINYINT PRIMARY KEY, conn BIGINT UNSIGNED NOT NULL, term VARCHAR(48) NOT NULL) ENGINE=InnoDB CHARACTER SET ascii",
	"CREATE TABLE IF NOT EXISTS {}.marker (num BIGINT UNSIGNED NOT NULL, proposer VARCHAR(20) COLLATE ascii_bin NOT NULL," +
		" doc LONGTEXT CHARACTER SET utf8mb4 NOT NULL, server INT UNSIGNED NOT NULL, before_state LONGTEXT NOT NULL, decided TINYINT NOT NULL DEFAULT 0," +
		" PRIMARY KEY (num, proposer)) ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin",
}

func (s *session) setUp(ctx context.Context, r record) error {
	doc, err := encode(r)
	if err != nil {
		return err
	}
	for _, q := range append(slices.Clone(tables), "INSERT IGNORE INTO {}.turn VALUES (1, 0, '0')") {
		if err := s.exec(ctx, "set up", s.n.sql(q)); err != nil {
			return err
		}
	}
	return s.exec(ctx, "set up", s.n.sql("INSERT INTO {}.node VALUES (1, ")+quote(doc)+")")
}

// save makes the record durable with the next message of the session. It is called
// with the turn only.
func (s *session) save(r record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	doc, err := encode(r)
	if err != nil {
		return err
	}
	s.later("write the record", s.n.sql("UPDATE {}.node SET doc = ")+quote(doc)+" WHERE k = 1")
	return nil
}
