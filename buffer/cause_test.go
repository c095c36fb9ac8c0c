package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// cut runs a request whose context ends with cause while the leader has it, and
// whose function then returns what it makes of context.Cause.
func cut(t *testing.T, w *world, req buffer.Request, cause error, as func(error) error) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(bg)
	runs := 0
	err := w.lane.Do(ctx, req, func(ctx context.Context, _ leadership.Leadership, _ string) error {
		runs++
		cancel(cause)
		return as(context.Cause(ctx))
	})
	require.Equal(t, 1, runs)
	return err
}

// A context's cause may be a proof: the refusal of a gate that the caller is in,
// the failure of a call beside this one. It is a proof of that.
func TestG9_ProofInTheCauseOfARequestsContextIsNoneOfTheRequest(t *testing.T) {
	gate := &leadership.Refusal{Term: term(7), Until: term(8), Reason: "drain"}
	moved := errors.New("MOVED")
	bubble(t, func(t *testing.T) {
		as := map[string]func(error) error{
			"as it is":         func(err error) error { return err },
			"wrapped":          func(err error) error { return fmt.Errorf("POST /: %w", err) },
			"beside a refusal": func(err error) error { return errors.Join(&leadership.Refusal{Term: term(1)}, err) },
			"its proof alone": func(err error) error {
				var p interface {
					error
					NotExecuted() bool
				}
				if errors.As(err, &p) {
					return p
				}
				return err
			},
		}
		for name, cause := range map[string]error{
			"a gate's refusal":            gate,
			"a gate's refusal, wrapped":   fmt.Errorf("shutting down: %w", gate),
			"another call, never sent":    buffer.NotSent(io.ErrUnexpectedEOF),
			"another call, held too long": &buffer.AgeError{},
			"another call, by Classify":   moved,
		} {
			for how, f := range as {
				w := newWorld(t, buffer.Config{Classify: func(err error) buffer.Class {
					if errors.Is(err, moved) {
						return buffer.Refused
					}
					return buffer.Unclassified
				}})
				for _, req := range []buffer.Request{{}, {Idempotent: true}} {
					err := cut(t, w, req, cause, f)
					require.False(t, leadership.NotExecuted(err), "%s %s: the leader had it: %v", name, how, err)
					if cause != moved {
						require.ErrorIs(t, err, leadership.ErrUnknownOutcome, "%s %s", name, how)
					}
					require.Equal(t, buffer.Serving, w.lane.Snapshot().State, "%s %s: no leader of this lane refused", name, how)
				}
			}
		}
	})
}

func TestG9_WhatTheRequestFunctionProvesItselfStaysProvenWhateverTheCause(t *testing.T) {
	gate := &leadership.Refusal{Term: term(7), Until: term(8), Reason: "drain"}
	bubble(t, func(t *testing.T) {
		for name, as := range map[string]func(error) error{
			"a dial that was cut":          buffer.NotSent,
			"a dial that was cut, wrapped": func(err error) error { return fmt.Errorf("POST /: %w", buffer.NotSent(err)) },
			"a buffer behind this one": func(err error) error {
				return &buffer.CanceledError{Err: context.Canceled, Cause: err}
			},
			"a refusal of its own": func(error) error { return &leadership.Refusal{Term: term(0)} },
		} {
			for _, cause := range []error{gate, fmt.Errorf("shutting down: %w", gate)} {
				w := newWorld(t, buffer.Config{})
				err := cut(t, w, buffer.Request{}, cause, as)
				require.True(t, leadership.NotExecuted(err), name)
				require.NotErrorIs(t, err, leadership.ErrUnknownOutcome, name)
				if name != "a refusal of its own" {
					require.Equal(t, buffer.Serving, w.lane.Snapshot().State, "%s: the refusal in it is the gate's", name)
				}
			}
		}
	})
}

// A request that ends while it is held names the cause, and says by itself
// whether it was executed.
func TestG9_CanceledErrorTakesNoProofFromItsCause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		gate := &leadership.Refusal{Term: term(7), Until: term(8)}
		ctx, cancel := context.WithCancelCause(bg)
		time.AfterFunc(50*time.Millisecond, func() { cancel(gate) })
		runs := 0
		err := w.lane.Do(ctx, buffer.Request{Idempotent: true}, func(_ context.Context, to leadership.Leadership, _ string) error {
			if runs++; runs == 1 {
				return io.ErrUnexpectedEOF
			}
			return &leadership.Refusal{Term: to.Term, Until: term(2)}
		})
		var canceled *buffer.CanceledError
		require.ErrorAs(t, err, &canceled)
		require.Same(t, gate, canceled.Cause)
		require.False(t, leadership.NotExecuted(err))
		require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	})
}

func TestOwnProbeThatEndsWithItsRequestIsNotRefusedByTheCause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := &leadership.Refusal{Term: term(7), Until: term(8)}
		ctx, cancel := context.WithCancelCause(bg)
		w := newWorld(t, buffer.Config{Probe: func(ctx context.Context, _ leadership.Leadership, _ string) error {
			cancel(gate)
			return context.Cause(ctx)
		}})
		refusals := 0
		err := w.lane.Do(ctx, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
			refusals++
			return &leadership.Refusal{Term: to.Term}
		})
		require.True(t, leadership.NotExecuted(err))
		require.Equal(t, 1, refusals)
		require.Zero(t, w.lane.Snapshot().Refused, "the probe was not refused, it was ended")
	})
}

// lost returns a request function that is lost once, and then returns err.
func lost(err func(context.Context) error, meanwhile func()) func(context.Context, leadership.Leadership, string) error {
	tries := 0
	return func(ctx context.Context, _ leadership.Leadership, _ string) error {
		if tries++; tries == 1 {
			meanwhile()
			return io.ErrUnexpectedEOF
		}
		return err(ctx)
	}
}

func TestG9_FinalErrorOfALaterTryProvesNothingOfTheLostOne(t *testing.T) {
	idempotent := buffer.Request{Idempotent: true}
	drain := &leadership.Refusal{Term: term(1), Until: term(2), Reason: "drain"}
	check := func(t *testing.T, err error) {
		t.Helper()
		require.False(t, leadership.NotExecuted(err), "the first try may have been executed: %v", err)
		require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
		require.ErrorContains(t, err, "may have been executed")
	}
	t.Run("refused in pass-through", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second, AtOutage: buffer.PassThrough})
			refuse := func(context.Context) error { return drain }
			err := w.lane.Do(bg, idempotent, lost(refuse, func() {
				for range 2 { // the second is let through
					_ = w.lane.Do(bg, buffer.Request{}, func(ctx context.Context, _ leadership.Leadership, _ string) error { return refuse(ctx) })
				}
			}))
			check(t, err)
			require.ErrorIs(t, err, drain)
		})
	})
	t.Run("held by a buffer behind this one", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, buffer.Config{})
			behind, err := buffer.New(buffer.Config{MaxAge: 50 * time.Millisecond})
			require.NoError(t, err)
			hold := func(ctx context.Context) error {
				return behind.Lane("k").Do(ctx, buffer.Request{}, w.handle("never"))
			}
			err = w.lane.Do(bg, idempotent, lost(hold, func() {}))
			check(t, err)
			var age *buffer.AgeError
			require.ErrorAs(t, err, &age)
		})
	})
	t.Run("an answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, buffer.Config{})
			duplicate := errors.New("duplicate key")
			err := w.lane.Do(bg, idempotent, lost(func(context.Context) error { return duplicate }, func() {}))
			require.Same(t, duplicate, err, "it proves nothing that would have to be taken out")
		})
	})
	t.Run("a turn", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := newWorld(t, buffer.Config{})
			turn, err := w.lane.Enter(bg, idempotent)
			require.NoError(t, err)
			require.NoError(t, turn.Retry(bg, io.ErrUnexpectedEOF))
			check(t, turn.Retry(bg, &buffer.AgeError{}))
		})
	})
}
