package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"

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
	switch b.classify(err) {
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
	if what == "" {
		return false, hide(err)
	}
	return false, &OutcomeError{What: what, Leadership: b.to, Err: hide(err)}
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
