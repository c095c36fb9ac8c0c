package sqlbuffer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// InTx runs fn in a transaction of db, which was opened with a Connector, and
// commits it. While the leader changes it waits in the lane, before it takes a
// connection from the pool; units start in the order of their arrival, in the
// lane and at the pool, also when all connections are taken.
//
// fn runs again, in a transaction of its own, each time it or Commit returns a
// *RestartUnitError and COMMIT was not sent, or was refused, for as long as ctx,
// the bounds of the buffer and Config.Patience allow. Effects of fn outside the
// transaction are its own to deal with. When fn returns an error the transaction
// is rolled back and the error returned; when it panics, it is rolled back.
//
// Errors besides those of fn and of BeginTx: the errors of package buffer when
// a unit cannot be held (any longer), none of which was committed; that of ctx
// when it ends during the wait for the pool; a *RestartUnitError, wrapped, when
// Config.Patience is over and the unit was not committed; a *OutcomeError when it
// is not known whether Commit took effect; a *ConfigError when db has no
// Connector, or ctx or fn is nil.
func InTx(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(ctx context.Context, tx *sql.Tx) error) error {
	if fn == nil {
		return &ConfigError{"fn", "is nil"}
	}
	if db == nil {
		return &ConfigError{"db", "is nil"}
	}
	d, ok := db.Driver().(connDriver)
	switch {
	case !ok:
		return &ConfigError{"db", "was not opened with a Connector of this package"}
	case d.c.lane == nil:
		return errNotMade
	case ctx == nil:
		return errNoContext
	}
	turn, err := d.c.lane.Enter(ctx, buffer.Request{Unit: true, Bytes: d.c.cfg.Bytes})
	if err != nil {
		return err
	}
	t := &ticket{Turn: turn, kept: true}
	// Ends the turn also when fn panics. A second end is none.
	defer t.Done(nil)
	var again restarts
	for {
		err := d.c.unit(ctx, t, db, opts, fn)
		if t.ended == nil { // nothing was begun
			t.Done(err)
			return err
		}
		var restart *RestartUnitError
		if t.sent || !errors.As(err, &restart) || restart.Session {
			// The lane is told of this transaction only: what else fn met, such
			// as a refusal by another service, says nothing about this leader.
			t.Done(t.verdict)
			return err
		}
		why := t.verdict
		if why == nil { // it is another unit that cannot go on, and fn with it
			why = buffer.NotSent(errors.New(restart.Error()))
		}
		if err := again.next(d.c, t.To(), restart); err != nil {
			t.Done(why)
			return err
		}
		if err := t.Retry(ctx, why); err != nil {
			return err
		}
	}
}

// restarts counts those of a unit under one leadership. The bounds of the buffer
// do not do: a unit that has begun was answered, and waits as a new one after.
type restarts struct {
	to    leadership.Leadership
	since time.Time // of the first
	n     int
}

// next counts one, for why under to, unless there have been enough.
func (r *restarts) next(c *Connector, to leadership.Leadership, why *RestartUnitError) error {
	if _, gone := c.superseded(to); gone || r.n == 0 || r.to != to {
		*r = restarts{to: to, since: time.Now(), n: 1}
		return nil
	}
	if took := time.Since(r.since); took >= c.cfg.Patience {
		return fmt.Errorf("sqlbuffer: given up after %d restarts in %s under one leadership: %w", r.n, took.Round(time.Microsecond), why)
	}
	r.n++
	return nil
}

// unit is one try of InTx.
func (c *Connector) unit(ctx context.Context, t *ticket, db *sql.DB, opts *sql.TxOptions, fn func(context.Context, *sql.Tx) error) error {
	t.ended, t.sent, t.verdict = nil, false, nil
	conn, err := c.take(ctx, t, db)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(context.WithValue(ctx, ticketKey{}, t), opts)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			_ = tx.Rollback()
		}
		// When ctx has ended it is database/sql that rolls back, in a
		// goroutine of its own. conn.Close waits for that, too, but by a
		// mutex: that stops the clock of a synctest bubble.
		<-t.ended
	}()
	if err := fn(ctx, tx); err != nil {
		return err
	}
	committed = true
	return tx.Commit()
}
