package pgnode

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Follow implements establish.Follower. The leader goes to disk as the node's only
// source, at once. The server is attached to it only when this node's log is a part
// of the leader's: a standby that holds more would acknowledge what it never received.
// Else it returns a *NotAncestorError, and the node needs a repair. A leader that is
// still to be promoted is as good to attach to as one that was, once it receives from
// nobody: what it has by then stays the beginning of its log.
//
// A node that stepped down and was not stopped is stopped here, once the leader
// serves, and what its log got after its last position is discarded as by Repair.
//
// It returns when the marker is in this node's log.
func (n *Node) Follow(ctx context.Context, t leadership.Term, leader leadership.NodeID) (leadership.Acceptance, error) {
	l := leadership.Leadership{Leader: leader, Term: t}
	p, err := n.peer(leader)
	if err != nil && leader != n.cfg.ID {
		return leadership.Acceptance{}, err
	}
	here, led, err := n.source(ctx, l)
	if err != nil {
		return leadership.Acceptance{}, err
	}
	if !here {
		if err := n.join(ctx, p, l, led); err != nil {
			return leadership.Acceptance{}, n.failed("follow "+l.String(), err)
		}
	}
	st, err := n.arrived(ctx, l)
	if err != nil {
		return leadership.Acceptance{}, n.failed("follow "+l.String(), err)
	}
	// It follows by now, so nothing that fails from here on was not executed.
	o, err := n.begin(ctx, t)
	if err != nil {
		return leadership.Acceptance{}, n.failed("follow "+l.String(), err)
	}
	defer o.end()
	if o.own.Rebuild != nil && o.own.Rebuild.From == l {
		if err := o.whole(l); err != nil {
			return leadership.Acceptance{}, n.failed("follow "+l.String(), err)
		}
	}
	if p := o.acc.Status().Promised; p != t {
		return leadership.Acceptance{}, n.failed("follow "+l.String(), &leadership.StaleTermError{Node: n.cfg.ID, Asked: t, Promised: p})
	}
	return o.acceptance(l, st), nil
}

// join attaches the server to the leader of l. led says that it led before, and was
// not stopped yet.
func (n *Node) join(ctx context.Context, p Peer, l leadership.Leadership, led bool) error {
	if led {
		return n.rejoin(ctx, p, l)
	}
	looking := n.scout(ctx, p, l)
	err := n.attach(ctx, p, l, looking.soon)
	theirs, lookErr := looking.end(errors.Is(err, errNotYet))
	if errors.Is(err, errNotYet) {
		if lookErr != nil {
			return lookErr
		}
		err = n.attach(ctx, p, l, theirs.known)
	}
	var not *NotAncestorError
	if errors.As(err, &not) && theirs.recovering {
		// It may have been compared before it had replayed everything.
		if theirs, err = n.leading(ctx, p, l, installed); err == nil {
			err = n.attach(ctx, p, l, theirs.known)
		}
	}
	return err
}

// rejoin attaches a server that led and was not stopped.
func (n *Node) rejoin(ctx context.Context, p Peer, l leadership.Leadership) error {
	theirs, err := n.leading(ctx, p, l, served)
	if err != nil {
		return err
	}
	err = n.attach(ctx, p, l, theirs.known)
	var not *NotAncestorError
	if errors.As(err, &not) {
		if err = n.Repair(ctx, l.Term, l.Leader); err == nil {
			err = n.attach(ctx, p, l, theirs.known)
		}
	}
	return err
}

// known is a look at a leader that was had before.
func (st state) known(context.Context) (state, error) { return st, nil }

// source makes l the node's source on disk. here says that the server is attached
// to it already, as far as its configuration says, and led that it led before and was
// not stopped yet.
func (n *Node) source(ctx context.Context, l leadership.Leadership) (here, led bool, err error) {
	o, err := n.begin(ctx, l.Term)
	if err != nil {
		return false, false, err
	}
	defer o.end()
	known := o.acc.Status().Source == l
	if err := o.acc.Follow(o.ctx, l); err != nil {
		return false, false, err
	}
	if o.own.Rebuild != nil && (!o.own.Rebuild.Copied || o.own.Rebuild.From != l) {
		return false, false, &RebuildError{Node: n.cfg.ID, From: o.own.Rebuild.From}
	}
	return known && o.own.Last == l && o.receives(l), o.own.Shut != nil, nil
}

// receives reports whether the server's walreceiver is l's.
func (o *op) receives(l leadership.Leadership) bool {
	s, err := o.local(o.ctx)
	if err != nil {
		return false
	}
	defer o.leave(s)
	r, err := s.row(o.ctx, "SELECT current_setting('primary_conninfo'), (SELECT count(*) FROM pg_stat_wal_receiver)")
	if err != nil || r[1] == "0" {
		return false
	}
	info, err := parseConninfo(r[0])
	return err == nil && info["application_name"] == AckName(o.cfg.ID, l.Term)
}

// again looks at the leader of l once more: what this node has received since the
// last look is in the leader's log by now.
func (o *op) again(p Peer, l leadership.Leadership, before state) state {
	s, err := o.peerSession(o.ctx, p)
	if err != nil {
		return before
	}
	defer s.close()
	st, err := look(o.ctx, s, nil, leadership.Leadership{})
	if err != nil || st.recovering || !st.has(l) {
		return before
	}
	return st
}

// attach points the server at its leader, of which look says what it holds. A server that
// the promise of this term has not fenced, one that leads, say, is left as it is until
// that is known.
func (n *Node) attach(ctx context.Context, p Peer, l leadership.Leadership, look func(context.Context) (state, error)) error {
	o, err := n.begin(ctx, l.Term)
	if err != nil {
		return err
	}
	defer o.end()
	if st := o.acc.Status(); st.Source != l {
		return &leadership.StaleTermError{Node: n.cfg.ID, Asked: l.Term, Promised: st.Promised}
	}
	info, err := withName(p.Replication, AckName(n.cfg.ID, l.Term))
	if err != nil {
		return err
	}
	to := map[string]string{"primary_conninfo": info}
	if o.own.Rebuild != nil {
		return o.attachCopy(to)
	}
	theirs := state{}
	if fenced := o.own.Fenced == l.Term; !fenced {
		if theirs, err = look(o.ctx); err != nil {
			return err
		}
		look = theirs.known
	}
	s, err := o.up()
	if err != nil {
		return err
	}
	defer func() { o.leave(s) }()
	if s, err = o.detached(s); err != nil {
		return err
	}
	st, err := o.settle(o.ctx, s)
	if err != nil {
		return err
	}
	if theirs, err = look(o.ctx); err != nil {
		return err
	}
	if !theirs.point.Contains(st.point) {
		theirs = o.again(p, l, theirs)
	}
	if !theirs.point.Contains(st.point) {
		return &NotAncestorError{Node: n.cfg.ID, Leader: l, At: st.point.position(), Of: theirs.point.position()}
	}
	// The server reads what is altered when it is told to, below, or when it is restarted
	// just now. Then it follows whom the record names, and whose the timeline is that it
	// receives is not known of this log before the marker comes.
	err = o.noteBeside(func(own *lineage) {
		own.Noted, own.Last = st.point.Eras, l
		own.Granted, own.Started, own.Told = leadership.Term{}, "", false
	}, func() error { return o.alter(o.ctx, s, to) })
	if err != nil {
		return err
	}
	// That the server has taken it is seen by what arrives.
	return s.exec(o.ctx, "SELECT pg_reload_conf()")
}

// detached makes sure that the server is a standby that receives from nobody.
func (o *op) detached(s *session) (*session, error) {
	r, err := s.row(o.ctx, `SELECT pg_is_in_recovery(), current_setting('primary_conninfo') = '' AND current_setting('restore_command') = ''
		AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver')`)
	if err != nil {
		return s, err
	}
	told := o.own.Told
	if r[0] == "t" && r[1] == "t" && !told && o.own.Fenced == o.acc.Status().Promised {
		return s, nil // by the promise of this term, which waited until it was so
	}
	if r[0] != "t" || told {
		return o.restarted(s)
	}
	if err := o.standby(); err != nil {
		return s, err
	}
	if _, err := o.gate(false); err != nil {
		return s, err
	}
	if err := o.configure(o.ctx, s, detached()); err != nil {
		return s, err
	}
	return o.receiverGone(s)
}

// attachCopy starts the server on the files of a repair, attached to whom they
// were copied from. They are no log of their own until it has followed.
func (o *op) attachCopy(to map[string]string) error {
	if err := o.halt(StopFast, StopImmediate, StopKill); err != nil {
		return err
	}
	if err := o.standby(); err != nil {
		return err
	}
	if err := o.configureDown(to); err != nil {
		return err
	}
	return o.cfg.Controller.Start(o.ctx)
}

// arrived waits until the marker of l is in this node's log.
func (n *Node) arrived(ctx context.Context, l leadership.Leadership) (state, error) {
	var st state
	var s *session
	var last error
	defer func() {
		if s != nil {
			n.giveBack(s)
		}
	}()
	own, _, err := loadLineage(n.cfg.Dir)
	if err != nil {
		return st, err
	}
	var waits nudge
	err = poll(ctx, 2*time.Millisecond, func() (bool, error) {
		if err := n.current(ctx, l.Term); err != nil {
			return false, err
		}
		if s == nil {
			if s, last = n.lent(ctx, askName); last != nil {
				s = nil
				return false, nil
			}
		}
		// The marker alone is asked for until it is there.
		st = state{}
		if last = st.marks(ctx, s); last == nil && st.has(l) {
			st, last = look(ctx, s, own.Noted, own.Last)
		}
		if last == nil && !st.has(l) {
			last = waits.end(ctx, s)
		}
		if last != nil {
			s.close()
			s = nil
		}
		return last == nil && st.has(l), nil
	})
	if err != nil && last != nil {
		err = errors.Join(err, last)
	}
	return st, err
}
