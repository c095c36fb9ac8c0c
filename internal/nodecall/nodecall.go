// Package nodecall is what packages revoke and establish have in common: how a
// node is asked under a term, and what its answer means.
//
// A node refuses what is asked below its promise, and promises only rise. So one
// kind of refusal is final, that which names a promise above the term: whoever
// asks again hears the same, and the attempt is over. A refusal that names the
// term itself, or one below it, contradicts the contract of every call with a
// term: at its own promise a node takes the call. It comes of a node that is
// between two promises and names the one before, of an answer to another call, or
// of an adapter that errs. It must not end the attempt, which may have nobody
// above it, and must not be the last word either: the promise that it is about to
// make may be a newer attempt's. So the node is asked again, and who cannot is
// told what is known: nothing.
package nodecall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Retry repeats ask, a call under term t, until it succeeds, a promise above t
// is named, or ctx ends; 0 or less for pause asks once. A call that may have
// happened is named beside a final answer that has not: a refusal of the second
// call says nothing of the first. So is what the node said last beside a call that was
// given up: it is the reason for which there was nothing else to do. Its error is as
// Judge returns it.
func Retry(ctx context.Context, t leadership.Term, pause time.Duration, ask func() error) error {
	var unknown error // of the first call that may have happened
	var said error    // of the last call that was not given up
	for {
		err := Judge(t, ask())
		if err == nil {
			return nil
		}
		_, over := Outrun(t, err)
		if pause <= 0 || over || ctx.Err() != nil || !Sleep(ctx, pause) {
			before := said
			switch {
			case leadership.NotExecuted(err):
				before = unknown
			case !givenUp(ctx, err):
				before = nil
			}
			if before == nil {
				return err
			}
			return fmt.Errorf("%w (after %w)", err, before)
		}
		said = err
		if unknown == nil && !leadership.NotExecuted(err) {
			unknown = err
		}
	}
}

// givenUp reports whether err says no more than that ctx has ended.
func givenUp(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// Judge returns err, the answer of a node that was asked under term t, as what it
// proves: a refusal that names no promise above t becomes a
// *leadership.ContradictionError.
func Judge(t leadership.Term, err error) error {
	stale := Highest(err)
	if stale == nil || t.Less(stale.Promised) {
		return err
	}
	return &leadership.ContradictionError{Node: stale.Node, Asked: t, Promised: stale.Promised, Err: err}
}

// Outrun returns the highest promise above t that a part of err speaks of, which
// is the term of a newer attempt; false when there is none. Several nodes may have
// refused for several reasons, so the first part that is found is not enough.
func Outrun(t leadership.Term, err error) (leadership.Term, bool) {
	stale := Highest(err)
	if stale == nil || !t.Less(stale.Promised) {
		return leadership.Term{}, false
	}
	return stale.Promised, true
}

// Highest returns the part of err that names the highest promise, nil for none.
func Highest(err error) *leadership.StaleTermError {
	if stale, ok := err.(*leadership.StaleTermError); ok {
		return stale
	}
	var top *leadership.StaleTermError
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return Highest(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			if s := Highest(e); s != nil && (top == nil || top.Promised.Less(s.Promised)) {
				top = s
			}
		}
	}
	return top
}

// Sleep waits on the monotonic clock; false when ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Partial is the failure of a part, after or beside which another part may have
// been carried out.
type Partial struct{ Err error }

func (e Partial) Error() string { return e.Err.Error() }

// Unwrap returns the failure of the part.
func (e Partial) Unwrap() error { return e.Err }

// NotExecuted reports false, whatever the part that failed proves of itself.
func (Partial) NotExecuted() bool { return false }
