package pgnode

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/revoke"
)

// quickRead is how long a promise waits for the position: a fenced standby has
// mostly replayed all that it received.
const quickRead = 30 * time.Millisecond

// Promise implements revoke.Promiser. The promise goes to disk, and then to the
// server. A standby is detached: primary_conninfo and restore_command are empty,
// in the configuration that outlives a restart, and its walreceiver is gone. A
// server that leads, or that does not answer, is stopped and started as a detached
// standby behind a closed gate.
//
// The position is in the testimony when the standby had replayed all that it
// received; else Read waits for that.
//
// An error other than a *leadership.StaleTermError leaves it open how far this
// came. Asking again is safe and settles it.
func (n *Node) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.block(ctx, t, leadership.Promised)
}

// StepDown implements revoke.StepDowner. A leader that can be proven to complete
// nothing any more while its server runs is not stopped; see the package's doc. The
// position is in the testimony then, and the server is stopped by what the node is
// asked next: Follow, Read, Install, CatchUp, Repair, or a promise of a higher term.
//
// Any other server is stopped in order, which ends every session and sends the log, to
// its last byte, to the standbys that are attached; only when that takes longer than
// Limits.Stop is it stopped at once. Then it is started as a detached standby.
//
// Clients whose commits waited for a standby lose their connections. None is told
// that it is done.
func (n *Node) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	return n.block(ctx, t, leadership.Demoted)
}

func (n *Node) block(ctx context.Context, t leadership.Term, kind leadership.TestimonyKind) (leadership.Testimony, error) {
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	o, err := n.begin(ctx, t)
	if err != nil {
		return leadership.Testimony{}, err
	}
	defer o.end()
	led := o.own.Granted
	connected := o.meanwhile(t)
	got, err := o.acc.Recruit(o.ctx, t, nil)
	connected()
	if err != nil {
		return leadership.Testimony{}, err
	}
	read := func() (err error) {
		if o.own.Rebuild != nil {
			got.BelowFloor = true
			return nil
		}
		got, err = o.readSoon(got, t)
		return o.failed("read", err)
	}
	// At its own term, a node that follows or leads goes on: a late duplicate of
	// the promise does not unseat the leader.
	// One that only has its source on disk, and not at the server, is fenced.
	if src := o.acc.Status().Source; src.Term == t && o.own.Last == src {
		err := read()
		return got, err
	}
	if kind == leadership.Demoted && !led.IsZero() {
		got.Kind = leadership.Demoted
	}
	got.Led = led
	// A leader that can be shut where it is needs no stop, which would cost
	// the clients of a planned change more than all the rest.
	orderly := kind == leadership.Demoted && !led.IsZero() && o.own.Fenced.Less(t) && o.own.Rebuild == nil
	if orderly && o.stepDown(t) == nil {
		err = read()
	} else {
		err = o.fenceThen(t, read)
	}
	if err != nil {
		return leadership.Testimony{}, err
	}
	return got, nil
}

// readSoon adds the position if it can be had without delay.
func (o *op) readSoon(got leadership.Testimony, t leadership.Term) (leadership.Testimony, error) {
	ctx, cancel := context.WithTimeout(o.ctx, quickRead)
	defer cancel()
	read, err := o.acc.Read(ctx, t, func(ctx context.Context) (acceptor.Reading, error) {
		if o.own.Shut != nil {
			return o.own.Shut.reading()
		}
		s, err := o.local(ctx)
		if err != nil {
			return acceptor.Reading{}, err
		}
		defer o.leave(s)
		return o.readAt(ctx, s, t)
	})
	if err := o.stands(t); err != nil {
		return leadership.Testimony{}, err
	}
	var stale *leadership.StaleTermError
	switch {
	case errors.As(err, &stale):
		return leadership.Testimony{}, err
	case err == nil:
		got.Read, got.Markers, got.BelowFloor = read.Read, read.Markers, read.BelowFloor
	}
	return got, nil
}

// stands returns a *leadership.StaleTermError when the log that was read binds the
// node to more than t.
func (o *op) stands(t leadership.Term) error {
	if p := o.acc.Status().Promised; t.Less(p) {
		return &leadership.StaleTermError{Node: o.cfg.ID, Asked: t, Promised: p}
	}
	return nil
}

// readAt reads the log of a node that promised t: once everything received is
// replayed, unless it goes on receiving under t itself.
func (o *op) readAt(ctx context.Context, s *session, t leadership.Term) (acceptor.Reading, error) {
	var st state
	var err error
	if o.acc.Status().Source.Term == t {
		st, err = o.look(ctx, s)
	} else {
		st, err = o.settle(ctx, s)
	}
	return st.reading(), err
}

// Read implements revoke.Reader. It starts a server that is down, as a standby,
// and returns when the server has replayed all that it ever received: what a
// standby acknowledged is in its log and need not be replayed.
func (n *Node) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	if err := t.Validate(); err != nil {
		return leadership.Testimony{}, err
	}
	o, err := n.begin(ctx, t)
	if err != nil {
		return leadership.Testimony{}, err
	}
	defer o.end()
	if st := o.acc.Status(); st.Promised == t && (st.Source.Term != t || o.own.Last != st.Source) {
		// A promise that reached the disk and not the server.
		if err := o.fence(t); err != nil {
			return leadership.Testimony{}, err
		}
	}
	got, err := o.acc.Read(o.ctx, t, func(ctx context.Context) (acceptor.Reading, error) {
		s, err := o.up()
		if err != nil {
			return acceptor.Reading{}, err
		}
		defer o.leave(s)
		return o.readAt(ctx, s, t)
	})
	if err := o.stands(t); err != nil {
		return leadership.Testimony{}, err
	}
	return got, err
}

// checkpointed makes a checkpoint if the last one is long ago.
func (n *Node) checkpointed(ctx context.Context, s *session) error {
	r, err := s.row(ctx, "SELECT pg_current_wal_insert_lsn() - redo_lsn FROM pg_control_checkpoint()")
	if err != nil {
		return err
	}
	if far, err := strconv.ParseInt(r[0], 10, 64); err != nil || far < recoverable {
		return err
	}
	return s.exec(ctx, "CHECKPOINT")
}

// Drain implements revoke.StepDowner, as far as a PostgreSQL server can: it waits until
// no client has a transaction open, and makes a checkpoint where a stop would otherwise
// be long.
//
// It refuses nothing. A server has no way to refuse a transaction of a session
// that it has without failing it, so what keeps clients away is that their
// routers hold, and leadership.Barrier is how a change knows that they do. There
// is nothing to expire, either: a coordinator that dies leaves the leader serving.
func (n *Node) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	if err := t.Validate(); err != nil {
		return revoke.Drained{}, err
	}
	if err := n.current(ctx, t); err != nil {
		return revoke.Drained{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(d, time.Millisecond))
	defer cancel()
	s, err := n.lent(ctx, askName)
	if err != nil {
		return revoke.Drained{}, n.failed("drain", err)
	}
	defer n.giveBack(s)
	var first, now int
	err = poll(ctx, 3*time.Millisecond, func() (bool, error) {
		var err error
		if now, err = n.transactions(ctx, s); err != nil {
			return false, err
		}
		first = max(first, now)
		return now == 0, nil
	})
	if err != nil && ctx.Err() == nil {
		return revoke.Drained{}, n.failed("drain", err)
	}
	if err == nil {
		// It fails nothing: the stop makes one, too.
		_ = n.checkpointed(ctx, s)
	}
	return revoke.Drained{Finished: first - now, Survivors: now}, nil
}
