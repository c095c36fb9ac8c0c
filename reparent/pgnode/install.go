package pgnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// transactions counts the clients that have a transaction open.
func (n *Node) transactions(ctx context.Context, s *session) (int, error) {
	rows, err := s.rows(ctx, "SELECT usename FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL")
	if err != nil {
		return 0, err
	}
	count := 0
	for _, r := range rows {
		if !contains(n.exempt, r[0]) {
			count++
		}
	}
	return count, nil
}

func contains(in []string, s string) bool {
	for _, v := range in {
		if v == s {
			return true
		}
	}
	return false
}

// Install implements establish.Candidate. In this order: the promise and the node
// as its own source go to disk; the gate is closed and every session of a client
// ended, for one that was opened on a standby survives its promotion; the standbys
// that the ruleset asks for, by their names of this term, are what the server will
// wait for, read back in a new session; the server is promoted; and the marker is
// a row in its log.
//
// The marker is committed without waiting for a standby, so that Install needs
// nobody to follow: whether it is durable on others, their acceptances say.
func (n *Node) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	l := m.Leadership()
	rulesets := append([]leadership.Ruleset{m.Ruleset}, m.Over...)
	q, err := quorumFor(n.cfg.ID, rulesets)
	if err != nil {
		return leadership.Acceptance{}, &leadership.UnenforceablePolicyError{Node: n.cfg.ID, Policy: m.Ruleset.Policy, Err: err}
	}
	o, err := n.begin(ctx, l.Term)
	if err != nil {
		return leadership.Acceptance{}, err
	}
	defer o.end()
	var st state
	err = o.acc.Install(o.ctx, l, func(ctx context.Context) error {
		var err error
		st, err = o.install(ctx, m, standbyNames(q, m.Term))
		return o.failed("install", err)
	})
	if err != nil {
		return leadership.Acceptance{}, err
	}
	return o.acceptance(l, st), nil
}

func (o *op) acceptance(l leadership.Leadership, st state) leadership.Acceptance {
	return leadership.Acceptance{
		Node: o.cfg.ID, Incarnation: o.own.Incarnation, Term: l.Term, Leader: l.Leader, Position: st.point.position(),
	}
}

// has reports whether the log's newest marker is that of l.
func (st *state) has(l leadership.Leadership) bool {
	return st.last != nil && st.last.Leadership() == l
}

func (o *op) install(ctx context.Context, m leadership.Marker, names string) (state, error) {
	l := m.Leadership()
	start := o.up
	if o.own.Shut != nil {
		start = func() (*session, error) { return o.ended(StopFast, StopImmediate, StopKill) }
	}
	s, err := start()
	if err != nil {
		return state{}, err
	}
	defer func() { o.leave(s) }()
	r, err := s.row(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return state{}, err
	}
	// A standby is looked at when it is as it will be promoted.
	st := state{recovering: r[0] == "t"}
	if !st.recovering {
		if st, err = o.look(ctx, s); err != nil {
			return st, err
		}
	}
	ours := !st.recovering && o.own.Last == l
	if ours && o.own.Granted == l.Term {
		return st, nil // a late duplicate
	}
	if !ours {
		if st, s, err = o.promote(ctx, l, s, st); err != nil {
			return st, err
		}
	}
	if err := o.standby(); err != nil {
		return st, err
	}
	if !ours || !st.has(l) {
		if err := o.mark(ctx, s, m, st.point.Eras); err != nil {
			return st, fmt.Errorf("write the marker: %w", err)
		}
	}
	// The others are on their way by now.
	if err := o.arm(ctx, s, names); err != nil {
		return st, err
	}
	if st, err = o.look(ctx, s); err == nil && (!st.has(l) || st.recovering) {
		err = errors.New("the marker is not there")
	}
	return st, err
}

// arm lets the standbys of names answer for commits, once commits are seen to wait.
// Until then the server waits for nobody that there is, so that a commit which ends
// has not waited.
func (o *op) arm(ctx context.Context, s *session, names string) error {
	r, err := s.row(ctx, "SELECT current_setting('synchronous_standby_names')")
	if err != nil || r[0] == names {
		return err
	}
	set := map[string]string{"synchronous_standby_names": names}
	b, err := o.cfg.Files.Read(ctx, o.inData("postgresql.auto.conf"))
	if err != nil {
		return err
	}
	if autoSays(string(b), "synchronous_standby_names", names) {
		// The step before has set it, after a commit was seen to wait, and this session
		// has not read it yet.
		_, err := o.reload(ctx, s, set, itself)
		return err
	}
	if r[0] == nobody && names != "" {
		if err := o.waits(ctx, s); err != nil {
			return err
		}
	}
	if err := o.alter(ctx, s, set); err != nil {
		return err
	}
	// Those who send the log take it in when they come to it. A grant is not
	// reported before a commit got through and a new session has the names.
	return s.exec(ctx, "SELECT pg_reload_conf()")
}

// isolated sees to it that the server takes nothing from anybody, has its gate closed,
// and, promoted, completes nothing yet, by what a new session is told. The promise of
// this term has done all that, unless something undid it.
func (o *op) isolated(ctx context.Context, s *session) (*session, error) {
	was, err := o.gate(false)
	if err != nil {
		return s, err
	}
	settings := detached()
	r, err := s.row(ctx, "SELECT current_setting('synchronous_commit')")
	if err != nil {
		return s, err
	}
	if settings["synchronous_commit"] = r[0]; r[0] != "remote_apply" {
		settings["synchronous_commit"] = "on"
	}
	if was || o.own.Fenced != o.acc.Status().Promised || o.lacks(ctx, s, settings) != nil {
		if err := o.configure(ctx, s, settings); err != nil {
			return s, err
		}
	}
	return o.receiverGone(s)
}

// promote makes a primary of the standby, behind a closed gate, and returns the
// session to go on with.
func (o *op) promote(ctx context.Context, l leadership.Leadership, s *session, st state) (state, *session, error) {
	if !st.recovering || o.own.Told && o.own.Last != l {
		// A primary that nobody has fenced: of an older term, or made by hand,
		// or a standby that may become one at any moment.
		var err error
		if s, err = o.restarted(s); err != nil {
			return st, s, err
		}
	}
	s, err := o.isolated(ctx, s)
	if err != nil {
		return st, s, err
	}
	if st, err = o.settled(ctx, s, l); err != nil {
		return st, s, err
	}
	// Before it is told to, it is on disk that it may have been. Nothing is lost by a note
	// of one that was not, so that its sessions are ended meanwhile.
	tell := func(own *lineage) {
		own.Noted, own.Last = st.point.Eras, l
		own.Granted, own.Started, own.Told = leadership.Term{}, "", true
	}
	var evicted error
	err = o.noteBeside(tell, func() error {
		evicted = o.evict(s, o.cfg.Limits.Connect)
		return nil
	})
	if err != nil {
		return st, s, err
	}
	if evicted != nil {
		// Sessions that it may not end, a superuser's: a restart ends them.
		if s, err = o.restarted(s); err != nil {
			return st, s, err
		}
		if st, err = o.settled(ctx, s, l); err == nil {
			err = o.note(tell)
		}
		if err != nil {
			return st, s, err
		}
	}
	// The session that is to be seen waiting is opened meanwhile.
	var probing sync.WaitGroup
	probing.Go(func() {
		// Without it one is opened when it is needed.
		if p, err := o.dial(ctx); err == nil {
			o.probe = p
		}
	})
	defer probing.Wait()
	if err := s.exec(ctx, "SELECT pg_promote(false)"); err != nil {
		return st, s, fmt.Errorf("pg_promote: %w", err)
	}
	pctx, cancel := context.WithTimeout(ctx, o.cfg.Limits.Promote)
	defer cancel()
	err = poll(pctx, time.Millisecond, func() (bool, error) {
		r, err := s.row(pctx, "SELECT pg_is_in_recovery()")
		return err == nil && r[0] == "f", err
	})
	if err != nil {
		return st, s, fmt.Errorf("the promotion has not ended: %w", err)
	}
	st, err = o.look(ctx, s)
	return st, s, err
}

// settled is settle for a standby that is to be promoted for l.
func (o *op) settled(ctx context.Context, s *session, l leadership.Leadership) (state, error) {
	st, err := o.settle(ctx, s)
	if err == nil && !st.point.term().Less(l.Term) {
		// It was promoted for l before, and restarted. Another timeline of one
		// term would be one that nobody can tell from what others made.
		err = &leadership.NotReadyError{Node: o.cfg.ID, Reason: "its server restarted since it was promoted for " + l.String() + ": a new term is needed"}
	}
	return st, err
}

// mark writes the marker row.
func (o *op) mark(ctx context.Context, s *session, m leadership.Marker, eras []Era) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.exec(ctx, fmt.Sprintf(`BEGIN; SET LOCAL synchronous_commit = local;
		INSERT INTO tenure.marker (seq, term, leader, eras, marker)
		SELECT coalesce(max(seq), 0) + 1, %s, %s, %s, %s FROM tenure.marker ON CONFLICT (term) DO NOTHING;
		COMMIT`, quote(m.Term.String()), quote(string(m.Leader)), quote(eraText(eras)), quote(string(body))))
}

// Grant implements establish.Candidate. It narrows what the server waits for to
// the marker's own ruleset, commits a row that enough standbys must have, and opens
// the gate. A server that restarts comes up as a standby and does not lead,
// whatever was granted.
func (n *Node) Grant(ctx context.Context, t leadership.Term) error {
	if err := t.Validate(); err != nil {
		return err
	}
	o, err := n.begin(ctx, t)
	if err != nil {
		return err
	}
	defer o.end()
	s, err := o.local(o.ctx)
	if err != nil {
		return o.failed("grant", err)
	}
	defer o.leave(s)
	st, err := o.look(o.ctx, s)
	if err != nil {
		return o.failed("grant", err)
	}
	l := leadership.Leadership{Leader: o.cfg.ID, Term: t}
	if err := o.acc.Grant(o.ctx, t, func() bool { return !st.recovering && st.has(l) }); err != nil {
		return err
	}
	return o.failed("grant", o.open(s, st, t))
}

func (o *op) open(s *session, st state, t leadership.Term) error {
	q, err := quorumFor(o.cfg.ID, []leadership.Ruleset{st.last.Ruleset})
	if err != nil {
		return err
	}
	names := map[string]string{"synchronous_standby_names": standbyNames(q, t)}
	if err := o.arm(o.ctx, s, names["synchronous_standby_names"]); err != nil {
		return err
	}
	if !st.last.Decided {
		if err := o.decide(s, t); err != nil {
			return err
		}
	}
	// Not before a commit got through: who says that it leads is left alone by
	// watchers, and behind a closed gate it would serve nobody, for good.
	if err := o.note(func(own *lineage) { own.Granted, own.Started = t, st.started }); err != nil {
		return err
	}
	if _, err := o.gate(true); err != nil {
		return err
	}
	// Whoever connects from here on is let in. That they are waited for was proven above.
	_, err = o.reload(o.ctx, s, names, itself)
	return err
}

// decide commits, with the wait for standbys that every client's commit will have,
// that the marker is complete.
func (o *op) decide(s *session, t leadership.Term) error {
	if _, err := s.c.Exec(o.ctx, "UPDATE tenure.marker SET decided = true WHERE term = "+quote(t.String())).ReadAll(); err != nil {
		return fmt.Errorf("no commit gets through: %w", err)
	}
	if s.unreplicated() {
		return &UnreplicatedError{}
	}
	return nil
}
