package pgnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// A leader that steps down is not stopped in the gap, when it can be proven without
// that it completes nothing any more. Its server runs on as a primary behind a shut
// gate, and is stopped once the new leader serves. The package's doc says why that is
// as good as a stop; this is how it is done.

// shut is what a node remembers of a leader that stepped down and was not stopped.
type shut struct {
	// At is where the log was when nobody was left who could complete anything.
	// What comes after it is the server's own.
	At      string                `json:"at"`
	Markers []leadership.Sighting `json:"markers,omitempty"`
}

// gapWait bounds each wait for others in the gap: for sessions to end, and for standbys
// to have all of the log. What takes longer is ended, or done without.
const gapWait = 500 * time.Millisecond

// errStop says that a leader has to be stopped to prove that it stepped down.
type errStop string

func (e errStop) Error() string { return string(e) }

// stepDown makes a leader that completes nothing of a leader, without stopping it. An
// error says that it has to be stopped, whatever was done to it by then: each step is
// one that a stop begins with, too.
//
// From the first step on, the next start of the server is one as a detached standby
// behind a closed gate, whoever starts it.
func (o *op) stepDown(t leadership.Term) error {
	s, err := o.local(o.ctx)
	if err != nil {
		return err
	}
	defer o.leave(s)
	if err := o.alone(s); err != nil {
		return err
	}
	st, err := o.look(o.ctx, s)
	if err != nil {
		return err
	}
	acks, err := o.ackers(s, st)
	if err != nil {
		return err
	}
	if err := o.standby(); err != nil {
		return err
	}
	if _, err := o.gate(false); err != nil {
		return err
	}
	// They take their time to end. Who comes back meets a closed gate in a moment.
	if err := s.exec(o.ctx, "SELECT pg_terminate_backend(pid)"+o.clients()); err != nil {
		return err
	}
	if err := o.configureDown(detached()); err != nil {
		return err
	}
	// No session begins any more, and none that does can be answered for.
	if err := o.closed(s); err != nil {
		return err
	}
	if err := o.unanswered(s); err != nil {
		return err
	}
	if st, err = o.ends(s); err != nil {
		return err
	}
	if err := o.shipped(s, acks, st.point.LSN); err != nil {
		return err
	}
	// Whoever was connected before the gate was closed and had sent nothing by then.
	if err := o.evict(s, gapWait); err != nil {
		return err
	}
	return o.note(func(l *lineage) {
		l.Fenced, l.Granted, l.Started, l.Told = t, leadership.Term{}, "", false
		l.Shut = &shut{At: st.point.String(), Markers: st.markers}
	})
}

// closed has the server close its gate and forget its standbys, and ends every session of
// a client. That a session which begins then has it so is seen meanwhile: to begin one
// takes as long as the rest.
func (o *op) closed(s *session) error {
	since, err := o.reload(o.ctx, s, detached(), itself)
	if err != nil {
		return err
	}
	var seeing sync.WaitGroup
	var unseen error
	seeing.Go(func() { unseen = o.taken(o.ctx, s, since, detached(), fresh) })
	err = o.evict(s, gapWait)
	seeing.Wait()
	return errors.Join(err, unseen)
}

// ackers returns the standbys that the server waits for, by name, if it is the leader
// that was granted, in the same life, and waits for standbys by that term's names.
// Only of such a one it is known that whatever it completed is with them.
func (o *op) ackers(s *session, st state) (quorum, error) {
	l := leadership.Leadership{Leader: o.cfg.ID, Term: o.own.Granted}
	if !st.leads(o.own) || !st.has(l) {
		return quorum{}, errStop("it is not the leader that was granted")
	}
	q, err := quorumFor(o.cfg.ID, []leadership.Ruleset{st.last.Ruleset})
	if err != nil {
		return quorum{}, err
	}
	r, err := s.row(o.ctx, "SELECT current_setting('synchronous_standby_names')")
	if err != nil {
		return quorum{}, err
	}
	if q.Need == 0 || r[0] != standbyNames(q, l.Term) {
		return quorum{}, errStop("its commits do not wait for the standbys of its term")
	}
	for i, id := range q.Nodes {
		q.Nodes[i] = leadership.NodeID(AckName(id, l.Term))
	}
	return q, nil
}

// unanswered waits until every process that sends the log has taken it in that there
// is no standby to answer for: until then it still ends the waits of commits. What it
// made of the names is in shared memory.
func (o *op) unanswered(s *session) error {
	ctx, cancel := context.WithTimeout(o.ctx, gapWait)
	defer cancel()
	return poll(ctx, time.Millisecond, func() (bool, error) {
		r, err := s.row(ctx, "SELECT count(*) FROM pg_stat_replication WHERE sync_priority > 0")
		return err == nil && r[0] == "0", err
	})
}

// harmless are the processes of a server that write nothing of a client's.
func harmless() []string {
	return []string{
		"archiver", "autovacuum launcher", "autovacuum worker", "background writer", "checkpointer", "io worker",
		"logger", "logical replication launcher", "slotsync worker", "startup", "walreceiver", "walsummarizer", "walwriter",
	}
}

// alien names the kinds of processes that neither a gate nor the end of all sessions
// keeps from writing: extensions, and workers that apply another cluster's changes.
func alien(kinds []string) []string {
	var out []string
	for _, k := range kinds {
		// Those of a parallel query end with it, and sessions are dealt with.
		if k != "client backend" && k != "walsender" && k != "parallel worker" && !slices.Contains(harmless(), k) {
			out = append(out, k)
		}
	}
	return out
}

// ends flushes the log and returns where it then ends.
func (o *op) ends(s *session) (state, error) {
	rows, err := s.rows(o.ctx, "SELECT DISTINCT coalesce(backend_type, '') FROM pg_stat_activity")
	if err != nil {
		return state{}, err
	}
	var kinds []string
	for _, r := range rows {
		kinds = append(kinds, r[0])
	}
	if a := alien(kinds); len(a) > 0 {
		return state{}, errStop("what runs in it may write: " + strings.Join(a, ", "))
	}
	// A worker that is not there may be started at any moment.
	r, err := s.row(o.ctx, "SELECT count(*) FROM pg_subscription WHERE subenabled")
	if err != nil {
		return state{}, err
	}
	if r[0] != "0" {
		return state{}, errStop("it subscribes to another cluster's changes")
	}
	// To read a table may write to the log, too: nothing is read after the end of it.
	st, err := o.look(o.ctx, s)
	if err != nil {
		return state{}, err
	}
	// What was written without a wait for the disk is flushed with this.
	err = s.exec(o.ctx, "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, 'tenure', ''); COMMIT")
	if err != nil {
		return state{}, err
	}
	id, err := s.row(o.ctx, "IDENTIFY_SYSTEM")
	if err == nil {
		st.point.LSN, err = ParseLSN(id[2])
	}
	return st, err
}

// shipped waits until the standbys that are attached have the log up to at on disk. No
// proof rests on it: it is what lets one of them lead at once.
func (o *op) shipped(s *session, q quorum, at LSN) error {
	names := make([]string, len(q.Nodes))
	for i, n := range q.Nodes {
		names[i] = quote(string(n))
	}
	ask := fmt.Sprintf("SELECT count(*), count(*) FILTER (WHERE flush_lsn >= %s::pg_lsn) FROM pg_stat_replication WHERE application_name IN (%s)",
		quote(at.String()), strings.Join(names, ", "))
	ctx, cancel := context.WithTimeout(o.ctx, gapWait)
	defer cancel()
	enough := false
	err := poll(ctx, time.Millisecond, func() (bool, error) {
		r, err := s.row(ctx, ask)
		if err != nil {
			return false, err
		}
		var all, have int
		if _, err := fmt.Sscan(r[0]+" "+r[1], &all, &have); err != nil {
			return false, err
		}
		enough = have >= q.Need
		return enough && have == all, nil
	})
	if errors.Is(err, context.DeadlineExceeded) && enough && o.ctx.Err() == nil {
		return nil
	}
	return err
}

// empty ends whatever session slipped into a server that was shut, and returns the
// session to do it with the next time: who was connected before the gate was closed and
// had sent nothing may come in at any time until the server is stopped. It is of the
// kind that the next operation of the node ends.
func (n *Node) empty(ctx context.Context, s *session) *session {
	var err error
	if s == nil {
		if s, err = n.lent(ctx, opName); err != nil {
			return nil
		}
	}
	if err := s.exec(ctx, "SELECT pg_terminate_backend(pid)"+n.clients()); err != nil {
		s.close()
		return nil
	}
	return s
}

// reading is what a node says of the log of a leader that was shut: where it was
// when the last of what counts had been written.
func (s *shut) reading() (acceptor.Reading, error) {
	p, err := ParsePoint(s.At)
	return acceptor.Reading{Position: p.position(), Markers: s.Markers}, err
}

// ended stops a leader that was shut and starts it as the standby that it is by now.
// Stopped at once, it writes no more into its log, of which the new leader may have
// everything; to lead again itself it is stopped in order.
func (o *op) ended(modes ...StopMode) (*session, error) {
	if err := o.demote(modes...); err != nil {
		return nil, err
	}
	if err := o.note(func(l *lineage) { l.Shut = nil }); err != nil {
		return nil, err
	}
	if err := o.start(); err != nil {
		return nil, err
	}
	return o.await(o.ctx)
}
