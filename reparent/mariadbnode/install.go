package mariadbnode

import (
	"context"
	"encoding/json"
	"fmt"
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
	s, err := n.begin(ctx, m.Term)
	if err != nil {
		return acc, err
	}
	defer s.close()
	r, now := s.record, s.live
	next := r
	if err := next.support(l); err != nil {
		return acc, err
	}
	if r.Source != l {
		if err := s.save(next); err != nil {
			return acc, err
		}
	}
	leads := r.led(now.readOnly, now.start) == m.Term
	if !leads {
		if err := s.still(ctx); err != nil {
			return acc, err
		}
		if err := s.promote(s.processes); err != nil {
			return acc, err
		}
	}
	if last := s.history.last().Term; last != m.Term {
		if m.Term.Less(last) {
			return acc, &leadership.StaleTermError{Node: n.cfg.ID, Asked: m.Term, Promised: last}
		}
		// What the log is before the marker is read once nothing adds to it.
		if err := s.ask(ctx, n.askLive(s, &now)...); err != nil {
			return acc, err
		}
		if err := s.mark(m, now.state); err != nil {
			return acc, err
		}
	}
	if !leads {
		s.later("arm semi-synchronous replication", "SET GLOBAL rpl_semi_sync_master_enabled=1")
	}
	var set semi
	var h history
	if err := s.ask(ctx, append(n.askLive(s, &now), n.askSemi(&set), n.askMarkers(&h))...); err != nil {
		return acc, err
	}
	if err := n.armed(set); err != nil {
		return acc, err
	}
	_ = s.end(ctx) // all was answered
	return leadership.Acceptance{Node: n.cfg.ID, Incarnation: incarnation(r.Incarnation, now.start), Term: m.Term, Leader: n.cfg.ID, Position: position(now.state, h)}, nil
}

// promote makes a read-only server that is still one without a source, that would
// wait for acknowledgements once it is told to, with the next message.
func (s *session) promote(p processes) error {
	if err := s.semiSync(p, false); err != nil {
		return err
	}
	s.later("stop replication", "STOP SLAVE")
	s.later("forget the source", "RESET SLAVE ALL")
	s.later("set up semi-synchronous replication", "SET GLOBAL rpl_semi_sync_master_timeout="+maxTimeout+", GLOBAL rpl_semi_sync_master_wait_no_slave=1, GLOBAL rpl_semi_sync_master_wait_point=AFTER_SYNC")
	return nil
}

// semi are the settings that make a leader wait for acknowledgements.
type semi struct {
	enabled, noSlave bool
	timeout, point   string
}

func (n *Node) askSemi(set *semi) question {
	return n.row("read the semi-synchronous settings back", "SELECT @@global.rpl_semi_sync_master_enabled, @@global.rpl_semi_sync_master_wait_no_slave, @@global.rpl_semi_sync_master_timeout, @@global.rpl_semi_sync_master_wait_point",
		&set.enabled, &set.noSlave, &set.timeout, &set.point)
}

// armed returns a *SettingError unless the server waits for an acknowledgement,
// for ever and before anybody sees the change. Rpl_semi_sync_master_status
// proves none of that: it says ON although commits return at once.
func (n *Node) armed(set semi) error {
	bad := func(name, value, want string) error {
		return &SettingError{Node: n.cfg.ID, Name: name, Value: value, Want: want}
	}
	switch {
	case !set.enabled:
		return bad("rpl_semi_sync_master_enabled", "OFF", "ON")
	case !set.noSlave:
		return bad("rpl_semi_sync_master_wait_no_slave", "OFF", "ON")
	case set.timeout != maxTimeout:
		return bad("rpl_semi_sync_master_timeout", set.timeout, maxTimeout)
	case !strings.EqualFold(set.point, "AFTER_SYNC"):
		return bad("rpl_semi_sync_master_wait_point", set.point, "AFTER_SYNC")
	}
	return nil
}

// mark writes the marker after the log, whose state that is, with the next message.
// A message that ends in between leaves a session that is in the binary log, and
// which is closed therefore.
func (s *session) mark(m leadership.Marker, before State) error {
	doc, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.later("prepare the marker", "SET SESSION sql_log_bin=1, binlog_format=ROW")
	s.later("write the marker", s.n.sql("INSERT INTO {}.marker (num, proposer, doc, server, before_state)")+
		fmt.Sprintf(" VALUES (%d, %s, %s, @@global.server_id, %s)", m.Term.Num, quote(m.Term.Proposer), quote(string(doc)), quote(before.String())))
	s.later("leave the binary log", "SET SESSION sql_log_bin=0")
	return nil
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
	var set semi
	s, err := n.begin(ctx, t, n.askSemi(&set))
	if err != nil {
		return err
	}
	defer s.close()
	r, l := s.record, s.live
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
	m := s.history.last()
	if m.Term != t {
		return notReady("the marker of " + t.String() + " is not in its log")
	}
	if err := n.armed(set); err != nil {
		return err
	}
	if r.Granted != t || r.Start != l.start {
		r.Granted, r.Start = t, l.start
		if err := s.save(r); err != nil {
			return err
		}
	}
	s.later("open to clients", "SET GLOBAL read_only=0")
	if !undecided(s.history) {
		return s.end(ctx)
	}
	if err := s.ask(ctx); err != nil {
		return err
	}
	// The note waits for an acknowledgement, which no server-side bound ends.
	dctx, cancel := context.WithTimeout(ctx, n.cfg.Limits.Statement)
	defer cancel()
	s.decide(dctx, m)
	return nil
}

// undecided reports whether it is news that changes what later rounds ask for that
// the newest marker is complete: until then every ruleset of the last two markers
// counts as one in force, and an attempt that went without a log may have been given up.
func undecided(h history) bool {
	m := h.last()
	return !m.decided && (len(m.Over) > 0 || len(m.Lost) > 0 || len(h.marks) > 1 && !h.marks[len(h.marks)-2].Ruleset.Equal(m.Ruleset))
}

// decide notes in the log that the newest marker is complete. The session stays in
// the binary log, and is closed.
func (s *session) decide(ctx context.Context, m mark) {
	s.later("note that the marker is complete", "SET SESSION sql_log_bin=1, binlog_format=ROW")
	err := s.exec(ctx, "note that the marker is complete", s.n.sql("UPDATE {}.marker SET decided=1")+fmt.Sprintf(" WHERE num = %d AND proposer = %s", m.Term.Num, quote(m.Term.Proposer)))
	if err != nil {
		// The grant stands; the note only makes later changes easier.
		s.n.cfg.Logger.Warn("mariadbnode: "+err.Error(), "node", s.n.cfg.ID)
	}
}
