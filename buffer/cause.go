package buffer

import (
	"context"
	"reflect"

	"github.com/tenure-go/tenure/leadership"
)

// judge is classify for an error of a function that ran under ctx, nil when that
// is not known. Once ctx has ended, what its cause says is about something else:
// clients return the cause for whatever it cut short, and it may be the refusal
// of a gate that the caller is in, or the failure of a call beside this one.
func (b *Buffer) judge(ctx context.Context, err error) Class {
	class := b.classify(err)
	if ctx == nil || ctx.Err() == nil {
		return class
	}
	return withoutCause(ctx, err, class)
}

// withoutCause is what of class is left when the cause of ctx proves nothing. It is
// kept off the stacks of those that are not cancelled.
//
//go:noinline
func withoutCause(ctx context.Context, err error, class Class) Class {
	c := borrowed{context.Cause(ctx)}
	switch {
	case same(c.cause, ctx.Err()) || !c.in(err):
		return class
	case !c.proven(err):
		return MaybeExecuted
	case class == Refused:
		return NotSentYet // no leader's refusal: that may be the one in the cause
	}
	return class
}

// borrowed is the cause of a request's context, as a part of an error.
type borrowed struct{ cause error }

// is reports whether err is the cause, or one of the proofs in it.
func (c borrowed) is(err error) bool {
	_, proof := err.(interface{ NotExecuted() bool })
	return same(c.cause, err) || proof && within(c.cause, func(e error) bool { return same(e, err) })
}

// in reports whether err has the cause, or one of the proofs in it, as a part.
func (c borrowed) in(err error) bool { return within(err, c.is) }

// proven is leadership.NotExecuted of what is around the cause. An error that
// says so by itself, as NotSent does, says it of the request.
func (c borrowed) proven(err error) bool {
	if c.is(err) || !leadership.NotExecuted(err) {
		return false
	}
	if _, ok := err.(interface{ NotExecuted() bool }); ok {
		return true
	}
	for _, e := range parts(err) {
		if !c.proven(e) {
			return false
		}
	}
	return true
}

// within reports whether found holds for err or some part of it.
func within(err error, found func(error) bool) bool {
	if err == nil || found(err) {
		return err != nil
	}
	for _, e := range parts(err) {
		if within(e, found) {
			return true
		}
	}
	return false
}

func parts(err error) []error {
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return []error{u.Unwrap()}
	case interface{ Unwrap() []error }:
		return u.Unwrap()
	}
	return nil
}

// same reports whether a and b are one error. Two of a type that cannot be
// compared are taken for one: what cannot be told from the cause proves nothing.
func same(a, b error) bool {
	t := reflect.TypeOf(a)
	if t != reflect.TypeOf(b) || t == nil {
		return t == nil && b == nil
	}
	return !reflect.ValueOf(a).Comparable() || !reflect.ValueOf(b).Comparable() || a == b
}

// unproven is an error that proves something of itself, for a request of which that
// is not the whole: an earlier try may have been executed, or the proof is of
// something else.
type unproven struct{ err error }

func (e *unproven) Error() string     { return "may have been executed: " + e.err.Error() }
func (e *unproven) NotExecuted() bool { return false }
func (e *unproven) Unwrap() []error   { return []error{e.err, leadership.ErrUnknownOutcome} }

// final is the error that the caller gets for a call that ends with err.
func (c *call) final(err error) error {
	if (c.unknown || c.class == MaybeExecuted) && leadership.NotExecuted(err) {
		return &unproven{err}
	}
	return err
}
