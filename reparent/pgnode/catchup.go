package pgnode

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// CatchUp implements establish.Candidate. A node that receives already waits until
// it has received enough. One that receives from nobody is attached to the donor,
// under a name that nobody waits for, until it has, and detached again.
func (n *Node) CatchUp(ctx context.Context, t leadership.Term, donor leadership.NodeID, pos leadership.Position) error {
	want, ok := pos.Point.(Point)
	if !ok {
		return &leadership.TextError{What: "position", Text: pos.String(), Reason: "it is not one of a PostgreSQL server"}
	}
	p, err := n.peer(donor)
	if err != nil {
		return err
	}
	o, err := n.begin(ctx, t)
	if err != nil {
		return err
	}
	defer o.end()
	if st := o.acc.Status(); t.Less(st.Promised) {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: st.Promised}
	}
	return o.failed("catch up from "+string(donor), o.catchUp(t, p, donor, want))
}

// recoverable is how much of its log a server may have to replay when it starts without
// having been stopped in order, before a checkpoint is worth what it costs.
const recoverable = 16 << 20

// ready has the leader of a candidate that is level make the change cheap which is
// likely to come: a checkpoint while it serves, so that it comes up fast as a standby,
// and a new segment where the one that is written holds much, since whoever follows
// another leader takes its log from the beginning of a segment on, twice. Neither is
// needed, and a leader that cannot do it is none the worse.
func (o *op) ready(p Peer) {
	s, err := o.peerSession(o.ctx, p)
	if err != nil {
		return
	}
	defer s.close()
	if r, err := s.row(o.ctx, "SELECT pg_is_in_recovery()"); err != nil || r[0] != "f" {
		return
	}
	_ = o.checkpointed(o.ctx, s)
	_ = segment(o.ctx, s)
}

const (
	// worthSegment is how much of a segment has to be written before a new one is
	// worth beginning: what is left of it is sent to the standbys, too.
	worthSegment = 4 << 20
	// segmentWait bounds how long standbys are waited for to have that.
	segmentWait = 500 * time.Millisecond
)

// segment begins a new segment if the one that the server writes holds much, and waits
// until the standbys that are attached have what was left of it, which would else be in
// the way of a commit that clients wait for.
func segment(ctx context.Context, s *session) error {
	r, err := s.row(ctx, "SELECT (pg_walfile_name_offset(pg_current_wal_insert_lsn())).file_offset")
	if err != nil {
		return err
	}
	if used, err := strconv.ParseInt(r[0], 10, 64); err != nil || used < worthSegment {
		return err
	}
	if err := s.exec(ctx, "SELECT pg_switch_wal()"); err != nil {
		return err
	}
	if r, err = s.row(ctx, "SELECT pg_current_wal_lsn()"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, segmentWait)
	defer cancel()
	ask := "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn < " + quote(r[0]) + "::pg_lsn"
	return poll(ctx, 5*time.Millisecond, func() (bool, error) {
		r, err := s.row(ctx, ask)
		return err == nil && r[0] == "0", err
	})
}

func (o *op) catchUp(t leadership.Term, p Peer, donor leadership.NodeID, want Point) error {
	s, err := o.up()
	if err != nil {
		return err
	}
	defer func() { o.leave(s) }()
	st, err := o.look(o.ctx, s)
	if err != nil {
		return err
	}
	enough := func() (bool, error) {
		st, err := o.look(o.ctx, s)
		if err == nil && t.Less(st.point.term()) {
			return false, &leadership.StaleTermError{Node: o.cfg.ID, Asked: t, Promised: st.point.term()}
		}
		return err == nil && st.point.Contains(want), err
	}
	if st.receiving {
		o.ready(p)
		return poll(o.ctx, 5*time.Millisecond, enough)
	}
	if ok, err := enough(); ok || err != nil {
		return err
	}
	if st, err = o.settle(o.ctx, s); err != nil {
		return err
	}
	if !want.Contains(st.point) {
		return &NotAncestorError{Node: o.cfg.ID, Leader: leadership.Leadership{Leader: donor}, At: st.point.position(), Of: want.position()}
	}
	info, err := withName(p.Replication, fetchName(o.cfg.ID))
	if err != nil {
		return err
	}
	// Not fenced any more, for a moment: the next promise has to do it again.
	if err := o.note(func(l *lineage) { l.Fenced, l.Noted = leadership.Term{}, want.Eras }); err != nil {
		return err
	}
	if err := o.configure(o.ctx, s, map[string]string{"primary_conninfo": info}); err != nil {
		return err
	}
	err = poll(o.ctx, 5*time.Millisecond, enough)
	// Detached again whatever came of it, and although ctx may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), o.cfg.Limits.Connect)
	defer cancel()
	return errors.Join(err, o.configure(ctx, s, detached()))
}
