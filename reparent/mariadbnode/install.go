package mariadbnode

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// maxTimeout is the longest rpl_semi_sync_master_timeout, which is for ever: a
// commit never stops waiting for its acknowledgement.
const maxTimeout = "18446744073709551615"

// Install implements establish.Candidate. It promises the marker's term, makes
// sure that everything received is applied, forgets the old source, and writes
// the marker, as one row in the schema's marker table, while the server is
// read-only: it is all that can be completed, from an account with READ_ONLY
// ADMIN. Then it switches semi-synchronous replication on, so that it cannot
// fall back to asynchronous, and reads that back.
//
// The marker itself does not wait for an acknowledgement. An acceptance is this
// node's word for its own log; that the marker is durable is what the
// followers' acceptances say, who have applied it. So an attempt that is
// abandoned leaves no commit behind that waits.
//
// Asked again it returns when the marker is there. It returns what Promise
// returns, a *leadership.UnenforceablePolicyError, a *SettingError for a server
// that cannot be made to wait, and a *ReplicationError for one that cannot apply
// what it received.
func (n *Node) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	var acc leadership.Acceptance
	if err := m.Term.Validate(); err != nil {
		return acc, err
	}
	l := m.Leadership()
	if l.Leader != n.cfg.ID {
		return acc, &leadership.UnknownNodeError{Node: l.Leader}
	}
	if err := n.CanEnforce(m.Ruleset); err != nil {
		return acc, &leadership.UnenforceablePolicyError{Node: n.cfg.ID, Policy: m.Ruleset.Policy, Err: err}
	}
	s, err := n.turn(ctx, m.Term)
	if err != nil {
		return acc, err
	}
	defer s.close()
	r, now, err := s.begin(ctx)
	if err != nil {
		return acc, err
	}
	next := r
	if err := next.support(l); err != nil {
		return acc, err
	}
	if r.Source != l {
		if err := s.save(ctx, next); err != nil {
			return acc, err
		}
	}
	leads := r.led(now.readOnly, now.start) == m.Term
	if !leads {
		if err := s.promote(ctx); err != nil {
			return acc, err
		}
	}
	marks, _, err := n.markers(ctx, s.conn)
	if err != nil {
		return acc, err
	}
	if len(marks) == 0 || marks[len(marks)-1].Term != m.Term {
		if len(marks) > 0 && m.Term.Less(marks[len(marks)-1].Term) {
			return acc, &leadership.StaleTermError{Node: n.cfg.ID, Asked: m.Term, Promised: marks[len(marks)-1].Term}
		}
		if err := s.mark(ctx, m); err != nil {
			return acc, err
		}
	}
	if !leads {
		if err := s.exec(ctx, "arm semi-synchronous replication", "SET GLOBAL rpl_semi_sync_master_enabled=1"); err != nil {
			return acc, err
		}
	}
	if err := s.armed(ctx); err != nil {
		return acc, err
	}
	h, err := n.here(ctx, s.conn)
	if err != nil {
		return acc, err
	}
	return leadership.Acceptance{Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, h.live.start), Term: m.Term, Leader: n.cfg.ID, Position: h.Position}, nil
}

// promote makes a read-only server one without a source, that would wait for
// acknowledgements once it is told to.
func (s *session) promote(ctx context.Context) error {
	if err := s.quiesce(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.semiSync(ctx, false, false); err != nil {
		return err
	}
	for _, st := range []struct{ step, q string }{
		{"stop replication", "STOP SLAVE"},
		{"forget the source", "RESET SLAVE ALL"},
		{"set up semi-synchronous replication", "SET GLOBAL rpl_semi_sync_master_timeout=" + maxTimeout + ", GLOBAL rpl_semi_sync_master_wait_no_slave=1, GLOBAL rpl_semi_sync_master_wait_point=AFTER_SYNC"},
	} {
		if err := s.exec(ctx, st.step, st.q); err != nil {
			return err
		}
	}
	return nil
}

// armed returns a *SettingError unless the server waits for an acknowledgement,
// for ever and before anybody sees the change. Rpl_semi_sync_master_status
// proves none of that: it says ON although commits return at once.
func (s *session) armed(ctx context.Context) error {
	var enabled, noSlave, ro bool
	var timeout, point string
	err := s.conn.QueryRowContext(ctx, "SELECT @@global.rpl_semi_sync_master_enabled, @@global.rpl_semi_sync_master_wait_no_slave, @@global.rpl_semi_sync_master_timeout, @@global.rpl_semi_sync_master_wait_point, @@global.read_only").
		Scan(&enabled, &noSlave, &timeout, &point, &ro)
	if err != nil {
		return s.n.step("read the semi-synchronous settings back", err)
	}
	bad := func(name, value, want string) error {
		return &SettingError{Node: s.n.cfg.ID, Name: name, Value: value, Want: want}
	}
	switch {
	case !enabled:
		return bad("rpl_semi_sync_master_enabled", "OFF", "ON")
	case !noSlave:
		return bad("rpl_semi_sync_master_wait_no_slave", "OFF", "ON")
	case timeout != maxTimeout:
		return bad("rpl_semi_sync_master_timeout", timeout, maxTimeout)
	case !strings.EqualFold(point, "AFTER_SYNC"):
		return bad("rpl_semi_sync_master_wait_point", point, "AFTER_SYNC")
	}
	return nil
}

// mark writes the marker after the log.
func (s *session) mark(ctx context.Context, m leadership.Marker) error {
	doc, err := json.Marshal(m)
	if err != nil {
		return err
	}
	l, err := s.n.look(ctx, s.conn)
	if err != nil {
		return err
	}
	if err := s.exec(ctx, "prepare the marker", "SET SESSION sql_log_bin=1, binlog_format=ROW"); err != nil {
		return err
	}
	err = s.exec(ctx, "write the marker", s.n.sql("INSERT INTO {}.marker (num, proposer, doc, server, before_state) VALUES (?, ?, ?, @@global.server_id, ?)"), m.Term.Num, m.Term.Proposer, string(doc), l.state.String())
	if err != nil {
		return err
	}
	return s.exec(ctx, "leave the binary log", "SET SESSION sql_log_bin=0")
}

// Grant implements establish.Candidate: read_only=0, once the marker of t is in
// the log, the settings of Install are still in force, and no higher term was
// promised. It is volatile: a server that restarts does not lead.
//
// It returns a *leadership.StaleTermError, a *leadership.NotReadyError, a
// *SettingError, a *TurnError or a *StepError. After the last the server may
// take writes.
func (n *Node) Grant(ctx context.Context, t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	s, err := n.turn(ctx, t)
	if err != nil {
		return err
	}
	defer s.close()
	r, l, err := s.begin(ctx)
	if err != nil {
		return err
	}
	self := leadership.Leadership{Leader: n.cfg.ID, Term: t}
	notReady := func(reason string) error { return &leadership.NotReadyError{Node: n.cfg.ID, Reason: reason} }
	switch {
	case t.Less(r.Promised):
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: r.Promised}
	case r.Source != self:
		return notReady("the marker of " + t.String() + " was not installed here")
	case r.Granted == t && r.Start != l.start:
		return notReady("the server was restarted since it was granted " + t.String())
	case l.slave.ioRuns():
		return notReady("it replicates from " + l.slave.host)
	}
	marks, _, err := n.markers(ctx, s.conn)
	if err != nil {
		return err
	}
	if len(marks) == 0 || marks[len(marks)-1].Term != t {
		return notReady("the marker of " + t.String() + " is not in its log")
	}
	if err := s.armed(ctx); err != nil {
		return err
	}
	if r.Granted != t || r.Start != l.start {
		r.Granted, r.Start = t, l.start
		if err := s.save(ctx, r); err != nil {
			return err
		}
	}
	if err := s.exec(ctx, "open to clients", "SET GLOBAL read_only=0"); err != nil {
		return err
	}
	// The note waits for an acknowledgement, which no server-side bound ends.
	dctx, cancel := context.WithTimeout(ctx, n.cfg.Limits.Statement)
	defer cancel()
	s.decide(dctx, marks)
	return nil
}

// decide notes in the log that the newest marker is complete, when that is news
// that changes what later rounds ask for: until then every ruleset of the last
// two markers counts as one in force.
func (s *session) decide(ctx context.Context, marks []mark) {
	m := marks[len(marks)-1]
	if m.decided || len(m.Over) == 0 && (len(marks) < 2 || marks[len(marks)-2].Ruleset.Equal(m.Ruleset)) {
		return
	}
	err := errors.Join(
		s.exec(ctx, "note that the marker is complete", "SET SESSION sql_log_bin=1, binlog_format=ROW"),
		s.exec(ctx, "note that the marker is complete", s.n.sql("UPDATE {}.marker SET decided=1 WHERE num = ? AND proposer = ?"), m.Term.Num, m.Term.Proposer),
	)
	if err != nil {
		// The grant stands; the note only makes later changes easier.
		s.n.cfg.Logger.Warn("mariadbnode: "+err.Error(), "node", s.n.cfg.ID)
	}
}
