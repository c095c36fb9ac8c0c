package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/tenure-go/tenure/buffer"
)

// tx is a transaction. It stays where it was begun.
type tx struct {
	c    *Conn
	b    *binding
	ctx  context.Context // of BeginTx: Commit and Rollback have none
	t    *ticket
	real driver.Tx
	j    *joint // that BeginTx was called with
	room joint
	lost *RestartUnitError // set once it cannot be committed any more

	pinned bool // the session was, before it
	ran    bool // a statement of it was handed over
	told   bool // its user has seen lost
}

// BeginTx implements driver.ConnBeginTx.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	x := &tx{c: c, ctx: ctx, pinned: c.pinned}
	t, err := c.do(ctx, true, "", &x.room, func(ctx context.Context, b *binding) (err error) {
		x.j.release() // of a try that was aborted
		x.b, x.j = b, keep(ctx)
		x.real, err = begin(ctx, b.conn, opts)
		return err
	})
	if err != nil {
		x.j.release()
		return nil, err
	}
	t.Answered() // its flush slot is free; its turn lasts until its end
	t.ended = make(chan struct{})
	x.t = t
	c.pinned = true
	c.tx = x
	return x, nil
}

// do runs a statement of the transaction, unless it cannot be committed any
// more.
func (x *tx) do(ctx context.Context, op func(ctx context.Context, b *binding) error) error {
	if x.check() != nil {
		return x.tell()
	}
	x.ran = true
	err := x.b.call(ctx, nil, op)
	if err == nil && !x.b.w.aborted.Load() {
		return nil
	}
	return x.failed(ctx, err)
}

// check returns why the transaction cannot be committed any more, if so.
func (x *tx) check() *RestartUnitError {
	if x.lost == nil {
		if now, gone := x.c.c.superseded(x.b.to); gone {
			x.lost = x.b.restart(now.Term, false, nil)
		}
	}
	return x.lost
}

// failed judges an error of a statement. It is not for the statement to be
// known as executed or not: the transaction is not committed before Commit.
func (x *tx) failed(ctx context.Context, err error) error {
	var early *unsent
	if errors.As(err, &early) {
		return early.err
	}
	var prep *preparing
	if errors.As(err, &prep) {
		err = prep.err
	}
	now, _ := x.c.c.lane.Leader()
	if x.b.w.aborted.Load() {
		err = hide(x.b.cut(ctx, err))
		x.lost = x.b.restart(now.Term, false, err)
		if ctx.Err() != nil {
			return err
		}
		return x.tell()
	}
	err, ok := own(ctx, err)
	if ok {
		err, ok = own(x.ctx, err) // the driver had both
	}
	class := buffer.MaybeExecuted
	if ok {
		class = x.b.classify(err)
	}
	switch class {
	case buffer.NotSentYet, buffer.MaybeExecuted:
		if ctx.Err() != nil {
			return hide(told(ctx, err)) // the driver knows what is left of the connection
		}
	case buffer.Refused:
		err = refused(x.b.to, err)
	default:
		return hide(err)
	}
	x.lost = x.b.restart(now.Term, false, hide(err))
	return x.tell()
}

// tell returns why the transaction cannot be committed any more to its user.
func (x *tx) tell() error {
	x.told = true
	return x.lost
}

// over ends the transaction at the session, and its turn. A second end is none.
func (x *tx) over(err error) {
	if x.c.tx != x {
		return
	}
	x.c.tx = nil
	x.j.release()
	x.t.verdict = err
	x.t.done(err)
	close(x.t.ended)
}

// Commit implements driver.Tx.
func (x *tx) Commit() error {
	if x.lost == nil && x.ctx.Err() != nil {
		x.lost = x.b.restart(x.b.to.Term, false, endOf(x.ctx))
	}
	if x.check() != nil {
		lost := x.tell()
		x.drop()
		x.over(lost)
		return lost
	}
	x.t.sent = true
	aborted, err := x.guard(x.doomed, x.real.Commit)
	aborted = aborted || x.ctx.Err() != nil
	err = x.committed(aborted, err)
	x.over(err)
	return err
}

// committed judges what Commit returned. An OK that came after an abort is not
// one: a server may give it for a commit whose wait for its followers it cut
// short. Nor is an error then proof that the commit did not happen.
func (x *tx) committed(aborted bool, err error) error {
	if err == nil && !aborted {
		return x.b.acknowledged("commit")
	}
	switch {
	case err == nil && x.ctx.Err() != nil:
		err = endOf(x.ctx)
	case aborted:
		err, _ = own(x.ctx, err)
	default:
		class := buffer.Unclassified
		if f := x.b.node.Classify; f != nil {
			class = f(err)
		}
		if class == buffer.Unclassified && !errors.Is(err, driver.ErrBadConn) && buffer.Classify(err) >= buffer.NotSentYet {
			class = buffer.Refused
		}
		switch class {
		case buffer.Answered:
			return hide(err)
		case buffer.NotSentYet, buffer.Refused:
			x.b.broken, x.t.sent = true, false
			return x.b.restart(x.b.to.Term, false, hide(err))
		}
	}
	x.b.broken = true
	return x.b.unknown("commit", hide(err))
}

// Rollback implements driver.Tx. A transaction whose leadership was superseded
// is not rolled back but closed, and so is one whose Rollback fails.
func (x *tx) Rollback() error {
	if x.check() != nil {
		x.drop()
		x.over(x.lost)
		return nil
	}
	aborted, err := x.guard(x.slow, x.real.Rollback)
	_, resets := x.b.conn.(driver.SessionResetter)
	_, validates := x.b.conn.(driver.Validator)
	if aborted || err != nil || x.ctx.Err() != nil && !(resets && validates) {
		// The last as database/sql does: nobody knows what state it is in.
		x.drop()
	}
	x.over(nil)
	return hide(err)
}

// drop closes the connection: what was begun on it is rolled back by the
// server. database/sql has closed all rows and waits for all statements before
// it ends a transaction.
//
// A session that may have state is gone then. Begun anew, a transaction of which
// its user knows that it is to be brings its own state with it; what was there
// before, and what one left that was only rolled back, is not to be missed
// silently.
func (x *tx) drop() {
	x.b.broken = true
	if x.c.b == x.b {
		x.c.unbind()
		if x.c.pinned = x.pinned || x.ran && !x.told; x.c.pinned {
			x.c.gone = x.b
		}
	}
}

// guard runs f, and aborts it when giveUp, in a goroutine that is joined, says
// so. It reports whether it tried to.
func (x *tx) guard(giveUp func(stop <-chan struct{}) bool, f func() error) (aborted bool, err error) {
	abort, budget := x.b.node.Abort, x.c.c.cfg.Budget
	if abort == nil {
		return false, f()
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(x.ctx))
	done := make(chan bool, 1)
	go func() {
		tried := false
		for giveUp(ctx.Done()) && ctx.Err() == nil { // nothing to abort once f is back
			tried = true
			actx, release := context.WithTimeout(ctx, budget)
			_ = abort(actx, x.b.conn)
			release()
			// An abort that came too early, or got lost, is not all there is.
			wait(ctx.Done(), budget/10)
		}
		done <- tried
	}()
	defer func() {
		cancel()
		aborted = <-done
	}()
	err = f()
	return false, err
}

// doomed waits until a Commit under way is to be aborted, or stop.
func (x *tx) doomed(stop <-chan struct{}) bool {
	for {
		changed := x.c.c.lane.Changed()
		if _, gone := x.c.c.superseded(x.b.to); gone {
			break
		}
		select {
		case <-stop:
			return false
		case <-x.ctx.Done():
			return true
		case <-changed:
		}
	}
	t := time.NewTimer(x.c.c.cfg.Linger)
	defer t.Stop()
	select {
	case <-stop:
		return false
	case <-x.ctx.Done():
	case <-t.C:
	}
	return true
}

// slow waits until a Rollback has taken all of its budget, or stop.
func (x *tx) slow(stop <-chan struct{}) bool { return wait(stop, x.c.c.cfg.Budget) }

// wait reports whether d has passed before stop.
func wait(stop <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-stop:
		return false
	case <-t.C:
		return true
	}
}
