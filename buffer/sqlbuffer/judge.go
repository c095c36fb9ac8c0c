package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// classify says what err proves about a statement that was handed to the
// driver. Unclassified is an error of the driver's own that nobody explained.
func (b *binding) classify(err error) buffer.Class {
	if f := b.node.Classify; f != nil {
		if c := f(err); c > buffer.Unclassified && c <= buffer.Refused {
			return c
		}
	}
	if errors.Is(err, driver.ErrBadConn) {
		if b.node.DistrustBadConn {
			return buffer.MaybeExecuted
		}
		return buffer.NotSentYet
	}
	if c := buffer.Classify(err); c != buffer.Answered {
		return c
	}
	return buffer.Unclassified
}

// judge makes of the error of a statement outside a transaction what its
// caller or its lane is to see, and reports whether it may be tried again.
// what is empty for what has no effect by itself: BEGIN, PREPARE, a ping.
func (b *binding) judge(ctx context.Context, what string, err error) (again bool, _ error) {
	var early *unsent
	if errors.As(err, &early) {
		return false, early
	}
	var prep *preparing
	if errors.As(err, &prep) {
		what, err = "", prep.err
	}
	if b.w.aborted.Load() {
		b.broken = true
		err = hide(b.cut(ctx, err))
		switch {
		case what != "":
			return false, b.unknown(what, err)
		case ctx.Err() == nil:
			return true, notSent(err)
		}
		return false, err
	}
	err, ok := own(ctx, err)
	class := buffer.MaybeExecuted
	if ok {
		class = b.classify(err)
	}
	switch class {
	case buffer.Refused:
		return true, refused(b.to, err)
	case buffer.NotSentYet:
		b.broken = true
		return true, notSent(hide(err))
	case buffer.MaybeExecuted:
		b.broken = true
		if what == "" && ctx.Err() == nil {
			return true, notSent(hide(err))
		}
	case buffer.Answered:
		return false, hide(err)
	}
	err = hide(told(ctx, err))
	if what == "" {
		return false, err
	}
	return false, b.unknown(what, err)
}

// unknown makes the error for what may have been executed.
func (b *binding) unknown(what string, err error) error {
	e := &OutcomeError{What: what, Leadership: b.to, Err: err}
	if now, gone := b.c.superseded(b.to); gone {
		e.By = now.Term
	}
	return e
}

// acknowledged judges an OK: it counts unless its leadership has been
// superseded by then and its end is not trusted. One that came after an abort
// never does: a server may give it for a commit whose wait for its followers
// was cut short.
func (b *binding) acknowledged(what string) error {
	now, gone := b.c.superseded(b.to)
	switch {
	case b.w.aborted.Load():
		b.broken = true
		return b.unknown(what, errSilent)
	case !gone || b.c.cfg.Trust != nil && b.c.cfg.Trust(b.to, now):
		return nil
	}
	return b.unknown(what, nil)
}

// told returns err with the end of ctx to be seen in it.
func told(ctx context.Context, err error) error {
	if end := ctx.Err(); end != nil && !errors.Is(err, end) {
		return fmt.Errorf("%w: %w", end, err)
	}
	return err
}

// cut returns what a call returned as its caller is to see it: the cause of its
// context's end only as that, and when it was aborted, not as the end of a context
// that has not ended, and nil not as success.
func (b *binding) cut(ctx context.Context, err error) error {
	err, _ = own(ctx, err)
	switch {
	case !b.w.aborted.Load():
		return err
	case err == nil:
		err = errSilent
	case ctx.Err() == nil:
		err = &silent{err}
	}
	return told(ctx, err)
}

// refused returns err as a refusal that a lane understands.
func refused(to leadership.Leadership, err error) error {
	if buffer.Classify(err) == buffer.Refused {
		return err
	}
	return &leadership.Refusal{Term: to.Term, Reason: err.Error()}
}

// notSent marks an error of a statement of which nothing was sent.
func notSent(err error) error {
	if buffer.Classify(err) == buffer.Refused {
		return err
	}
	return buffer.NotSent(err)
}

// plain takes off marks that only concern the lane.
func plain(err error) error {
	var early *unsent
	if errors.As(err, &early) {
		return early.err
	}
	return err
}
