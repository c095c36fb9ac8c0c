package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// Conn is a virtual session: what database/sql keeps in its pool, and what
// (*sql.Conn).Raw hands to its function. It is bound to a node and a term by
// the first statement of each checkout, and to another in a later checkout when
// the leader has changed. Like any driver.Conn it is not safe for concurrent
// use.
type Conn struct {
	c *Connector
	b *binding // nil: not bound
	// pinned says that a statement ran since the checkout: the session may
	// have state, so that it must not move to another node behind its user.
	pinned bool
	// gone is what a pinned session was bound to until a transaction that could
	// not be ended closed it. Until it is put back it is bound to nothing else.
	gone  *binding
	reset bool // the driver's session is to be reset before it is used
	tx    *tx
	// spare is for one statement after the other, as long as there is no more
	// than one: rows keep theirs.
	spare ticket
}

// binding is a connection to a node, opened under a leadership.
type binding struct {
	c      *Connector
	node   Node
	to     leadership.Leadership
	conn   driver.Conn // nil while it is dialled
	broken bool
	asked  bool // Node.Check has let something through
	w      *watch
}

var (
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
)

// do waits for a turn, binds, and runs op, again for as long as it is proven
// that op had no effect. what names op when it has effects outside a
// transaction, and is empty for one that has none. The turn it returns is the
// caller's to end.
func (c *Conn) do(ctx context.Context, unit bool, what string, j *joint, op func(ctx context.Context, b *binding) error) (*ticket, error) {
	t, err := c.enter(ctx, unit)
	if err != nil {
		return nil, err
	}
	over := false
	defer func() {
		if !over { // op panicked
			c.c.broke(c.b)
			t.used = false
			t.Done(leadership.ErrUnknownOutcome)
		}
	}()
	for {
		again, err := c.try(ctx, t, what, j, op)
		if err == nil {
			over = true
			return t, nil
		}
		if !again {
			over = true
			t.done(err)
			return nil, plain(err)
		}
		if err := c.c.retry(ctx, t, err); err != nil {
			over, t.used = true, false
			return nil, err
		}
	}
}

// try is one try of do. It reports whether its error allows another.
func (c *Conn) try(ctx context.Context, t *ticket, what string, j *joint, op func(ctx context.Context, b *binding) error) (again bool, err error) {
	if again, err = c.bind(ctx, t); err != nil {
		return again, err
	}
	b, bad := c.b, false
	err = b.call(ctx, j, func(ctx context.Context, b *binding) error {
		if bad = !c.ready(ctx, b); bad {
			return nil
		}
		return op(ctx, b)
	})
	if bad {
		c.unbind()
		return c.try(ctx, t, what, j, op)
	}
	if err == nil && !b.w.aborted.Load() {
		c.pinned = c.pinned || what != ""
		return false, nil
	}
	again, err = b.judge(ctx, what, err)
	if !again {
		c.pinned = c.pinned || what != ""
	}
	return again, err
}

// bind sees to it that the session is bound to the turn's leadership.
func (c *Conn) bind(ctx context.Context, t *ticket) (again bool, err error) {
	to := t.To()
	if c.gone != nil {
		return false, c.gone.restart(to.Term, true, nil)
	}
	if c.b != nil && (c.b.broken || c.b.to != to) {
		if c.pinned {
			c.b.broken = true // rows of it may be open: closed with the session
			return false, c.b.restart(to.Term, true, nil)
		}
		c.unbind()
	}
	fresh := c.b == nil
	if !fresh && (c.b.asked && c.c.lane.Ready() || c.b.node.Check == nil) {
		return false, nil
	}
	if !fresh {
		bad := false
		_ = c.b.call(ctx, nil, func(ctx context.Context, b *binding) error { bad = !c.ready(ctx, b); return nil })
		if bad {
			c.unbind()
			fresh = true
		}
	}
	if err := c.c.overtaken(to); err != nil {
		return c.late(err)
	}
	if fresh {
		if c.b, err = c.c.dial(ctx, to, t.Addr()); err != nil {
			return true, notSent(err)
		}
		c.reset = false
	}
	if check := c.b.node.Check; check != nil {
		err := c.b.call(ctx, nil, func(ctx context.Context, b *binding) error { return check(ctx, b.conn, to) })
		if err != nil {
			err = c.b.cut(ctx, err)
			switch {
			case !c.pinned:
				if buffer.Classify(err) == buffer.Refused && c.usable() {
					c.b.asked = false
					return true, err // it may lead yet: the next try has a connection
				}
			case buffer.Classify(err) == buffer.Refused:
				return true, err // held: it may yet lead again
			default:
				c.b.broken = true
				now, _ := c.c.lane.Leader()
				return false, c.b.restart(now.Term, true, hide(err))
			}
			c.unbind()
			return true, notSent(hide(err))
		}
		c.b.asked = true
	}
	if err := c.c.overtaken(to); err != nil {
		return c.late(err)
	}
	return false, nil
}

// late is for a leadership that was superseded before anything was handed to
// it. The next try finds the session broken.
func (c *Conn) late(err error) (again bool, _ error) {
	c.c.broke(c.b)
	return true, notSent(err)
}

// ready resets the driver's session, if that is due, and reports whether it can
// be used.
func (c *Conn) ready(ctx context.Context, b *binding) bool {
	if !c.reset {
		return true
	}
	c.reset = false
	r, ok := b.conn.(driver.SessionResetter)
	if !ok {
		return true
	}
	// Only this error counts, as in database/sql.
	return !errors.Is(r.ResetSession(ctx), driver.ErrBadConn) && !b.w.aborted.Load()
}

func (c *Conn) unbind() {
	if c.b != nil {
		_ = c.b.close()
		c.b = nil
	}
}

func (c *Connector) broke(b *binding) {
	if b != nil {
		b.broken = true
	}
}

// restart makes the error for a unit that cannot go on.
func (b *binding) restart(now leadership.Term, session bool, err error) *RestartUnitError {
	e := &RestartUnitError{Leadership: b.to, Session: session, Err: err}
	if b.to.Term.Less(now) {
		e.By = now
	}
	return e
}

// ExecContext implements driver.ExecerContext.
func (c *Conn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, func(ctx context.Context, b *binding) (driver.Result, error) { return exec(ctx, b.conn, q, args) })
}

func (c *Conn) exec(ctx context.Context, run func(ctx context.Context, b *binding) (driver.Result, error)) (res driver.Result, err error) {
	op := func(ctx context.Context, b *binding) (err error) {
		res, err = run(ctx, b)
		return err
	}
	if c.tx != nil {
		if err = c.tx.do(ctx, op); err != nil {
			return nil, err
		}
		return res, nil
	}
	t, err := c.do(ctx, false, "exec", nil, op)
	if err != nil {
		return nil, err
	}
	if !t.Current() || c.b.w.aborted.Load() {
		err = c.b.acknowledged("exec")
	}
	t.done(err)
	if err != nil {
		return nil, err
	}
	return res, nil
}

// QueryContext implements driver.QueryerContext.
func (c *Conn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, func(ctx context.Context, b *binding) (driver.Rows, driver.Stmt, error) {
		return query(ctx, b.conn, q, args)
	})
}

func (c *Conn) query(ctx context.Context, run func(ctx context.Context, b *binding) (driver.Rows, driver.Stmt, error)) (driver.Rows, error) {
	r := &rows{c: c, ctx: ctx}
	op := func(ctx context.Context, b *binding) (err error) {
		r.b = b
		if r.real, r.stmt, err = run(ctx, b); err == nil {
			r.open(ctx)
		}
		return err
	}
	if c.tx != nil {
		if err := c.tx.do(ctx, op); err != nil {
			_ = r.drop() // the caller learns why there are none
			return nil, err
		}
		r.tx = c.tx
		return r, nil
	}
	t, err := c.do(ctx, false, "query", &r.room, op)
	if err != nil {
		_ = r.drop() // the caller learns why there are none
		return nil, err
	}
	t.Answered() // its flush slot is free; its turn lasts until Rows.Close
	r.t = t
	return r, nil
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *Conn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s := &stmt{c: c, q: q}
	op := func(ctx context.Context, b *binding) error { return s.on(ctx, b) }
	if c.tx != nil {
		if err := c.tx.do(ctx, op); err != nil {
			return nil, err
		}
		return s, nil
	}
	t, err := c.do(ctx, false, "", nil, op)
	if err != nil {
		return nil, err
	}
	t.done(nil)
	return s, nil
}

// Ping implements driver.Pinger.
func (c *Conn) Ping(ctx context.Context) error {
	op := func(ctx context.Context, b *binding) error {
		if p, ok := b.conn.(driver.Pinger); ok {
			return p.Ping(ctx)
		}
		return nil
	}
	if c.tx != nil {
		return c.tx.do(ctx, op)
	}
	t, err := c.do(ctx, false, "", nil, op)
	if err != nil {
		return err
	}
	t.done(nil)
	return nil
}

// Use runs f with the driver's own connection and the leadership it is bound
// to, as a statement is run: held while the leader changes, and again when its
// error proves that nothing was executed. It is for the function given to
// (*sql.Conn).Raw. f must not keep conn, nor begin or end a transaction on it.
// Errors are those of ExecContext.
func (c *Conn) Use(ctx context.Context, f func(to leadership.Leadership, conn driver.Conn) error) error {
	_, err := c.exec(ctx, func(_ context.Context, b *binding) (driver.Result, error) { return nil, f(b.to, b.conn) })
	return err
}

// CheckNamedValue implements driver.NamedValueChecker. It takes anything: what
// the driver can take is known when the statement is bound.
func (c *Conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// ResetSession implements driver.SessionResetter. It never fails: the driver's
// own session is reset by the first statement of the checkout, if it is still
// wanted then.
func (c *Conn) ResetSession(context.Context) error {
	c.pinned, c.gone, c.reset = false, nil, true
	return nil
}

// IsValid implements driver.Validator. It discards the session when it is put
// back: when its connection is broken, or belongs to a leadership that was
// superseded.
func (c *Conn) IsValid() bool {
	if c.b == nil {
		return true
	}
	if _, gone := c.c.superseded(c.b.to); gone || c.b.broken || c.tx != nil {
		return false
	}
	return c.usable()
}

// usable reports whether the connection is one that the driver takes for good.
func (c *Conn) usable() bool {
	v, ok := c.b.conn.(driver.Validator)
	return !c.b.w.aborted.Load() && (!ok || v.IsValid())
}

// Close implements driver.Conn.
func (c *Conn) Close() error {
	if c.tx != nil {
		c.tx.over(nil)
	}
	b := c.b
	c.b = nil
	if b == nil {
		return nil
	}
	return hide(b.close())
}

// Prepare implements driver.Conn.
func (c *Conn) Prepare(q string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), q)
}

// Begin implements driver.Conn.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}
