package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestG9_ErrorsAreClassifiedByWhatTheyProve(t *testing.T) {
	t.Parallel()
	refusal := &leadership.Refusal{Term: term(1)}
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, tc := range []struct {
		name string
		err  error
		want buffer.Class
	}{
		{"refusal", refusal, buffer.Refused},
		{"wrapped refusal", fmt.Errorf("rpc: %w", refusal), buffer.Refused},
		{"stale term", &leadership.StaleTermError{Node: "n1"}, buffer.Refused},
		{"refusal of one of two statements", errors.Join(refusal, errors.New("other")), buffer.Answered},
		{"refusal of one, other lost", errors.Join(refusal, io.ErrUnexpectedEOF), buffer.MaybeExecuted},
		{"not sent", buffer.NotSent(dial), buffer.NotSentYet},
		{"other proof", &leadership.ConflictError{}, buffer.NotSentYet},
		{"dial error of some code", dial, buffer.MaybeExecuted},
		{"unknown outcome", fmt.Errorf("x: %w", leadership.ErrUnknownOutcome), buffer.MaybeExecuted},
		{"eof", io.EOF, buffer.MaybeExecuted},
		{"deadline", context.DeadlineExceeded, buffer.MaybeExecuted},
		{"application", errors.New("duplicate key"), buffer.Answered},
		{"a buffer behind", fmt.Errorf("hop: %w", &buffer.AgeError{}), buffer.Answered},
	} {
		require.Equal(t, tc.want, buffer.Classify(tc.err), tc.name)
	}
	require.NoError(t, buffer.NotSent(nil))
	require.ErrorIs(t, buffer.NotSent(dial), dial)
}

func TestG9_WhatMayHaveExecutedIsNeverRunAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		runs := 0
		lost := fmt.Errorf("connection reset: %w", leadership.ErrUnknownOutcome)
		err := w.lane.Do(bg, buffer.Request{}, func(context.Context, leadership.Leadership, string) error {
			runs++
			return lost
		})
		require.Same(t, lost, err)
		require.Equal(t, 1, runs)
		require.False(t, leadership.NotExecuted(err))
		require.EqualValues(t, 1, w.lane.Snapshot().Leaked)
	})
}

func TestG9_LostTryOfAnIdempotentRequestIsNotForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second})
		runs := 0
		fn := func(_ context.Context, to leadership.Leadership, _ string) error {
			if runs++; runs == 1 {
				return io.ErrUnexpectedEOF
			}
			return &leadership.Refusal{Term: to.Term, Until: term(2)}
		}
		err := w.lane.Do(bg, buffer.Request{Idempotent: true}, fn)
		var age *buffer.AgeError
		require.ErrorAs(t, err, &age)
		require.True(t, age.Unknown)
		require.False(t, leadership.NotExecuted(err))
		require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
		require.Contains(t, err.Error(), "may have been executed")
		runs = 0
		ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
		defer cancel()
		err = w.lane.Do(ctx, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
			return &leadership.Refusal{Term: to.Term, Until: term(2)}
		})
		require.True(t, leadership.NotExecuted(err), "this one was only ever refused")
	})
}

func TestG9_ErrorsOfTheLastTryDoNotShowThrough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second})
		bad := errors.New("driver: bad connection")
		err := w.lane.Do(bg, buffer.Request{}, func(context.Context, leadership.Leadership, string) error { return buffer.NotSent(bad) })
		require.NotErrorIs(t, err, bad, "a caller that looks for it would run the request again by itself")
		require.ErrorContains(t, err, bad.Error())
		require.True(t, leadership.NotExecuted(err))
	})
}

func TestDialFailureIsTriedAgainAndHoldsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		start := time.Now()
		w.wg.Go(func() {
			tries := 0
			require.NoError(t, w.lane.Do(bg, buffer.Request{Bytes: 7}, func(context.Context, leadership.Leadership, string) error {
				if tries++; tries < 6 {
					return buffer.NotSent(errors.New("connection refused"))
				}
				return nil
			}))
		})
		synctest.Wait()
		s := w.lane.Snapshot()
		require.Equal(t, buffer.Serving, s.State)
		require.Equal(t, 1, s.Retrying)
		require.EqualValues(t, 7, s.Bytes, "it counts towards the caps")
		w.start(bg, "other", buffer.Request{})
		require.Zero(t, time.Since(start))
		require.Len(t, w.started(), 1)
		w.done()
		require.Equal(t, 1+2+4+8+16, int(time.Since(start)/time.Millisecond))
	})
}

func TestDialFailureEndsWithItsAgeAndItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{MaxAge: time.Second})
		fn := func(context.Context, leadership.Leadership, string) error {
			return buffer.NotSent(errors.New("connection refused"))
		}
		start := time.Now()
		var age *buffer.AgeError
		require.ErrorAs(t, w.lane.Do(bg, buffer.Request{}, fn), &age)
		require.InDelta(t, time.Second, time.Since(start), float64(25*time.Millisecond))
		ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
		defer cancel()
		err := w.lane.Do(ctx, buffer.Request{}, fn)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, leadership.NotExecuted(err))
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		w.done()
	})
}

func TestDialFailureOfAnOldTargetIsReroutedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.wg.Go(func() {
			require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if to.Term == term(1) {
					return buffer.NotSent(errors.New("connection refused"))
				}
				return nil
			}))
		})
		time.Sleep(time.Second)
		require.Equal(t, 1, w.lane.Snapshot().Retrying)
		start := time.Now()
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
		require.Zero(t, time.Since(start))
	})
}

func TestProbeThatHangsIsJoinedByAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{ProbeTimeout: 500 * time.Millisecond})
		hang := make(chan error)
		w.refuse(2)
		w.wg.Go(func() {
			n := 0
			_ = w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if n++; n == 1 {
					return &leadership.Refusal{Term: to.Term, Until: term(2)}
				}
				return <-hang
			})
		})
		synctest.Wait()
		names := w.startMany("r", 3)
		w.refuse(0)
		start := time.Now()
		time.Sleep(600 * time.Millisecond)
		require.ElementsMatch(t, names, w.started(), "the leader is well, one request at it is not")
		require.Equal(t, 600*time.Millisecond, time.Since(start))
		hang <- nil
		w.done()
	})
}

func TestCustomClassificationComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		moved := errors.New("MOVED")
		w := newWorld(t, buffer.Config{Classify: func(err error) buffer.Class {
			if errors.Is(err, moved) {
				return buffer.Refused
			}
			return buffer.Unclassified
		}})
		w.wg.Go(func() {
			require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
				if to.Term == term(1) {
					return moved
				}
				return nil
			}))
		})
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, buffer.HoldAll, w.lane.Snapshot().State)
		w.lane.Observe(routed(2, lead("n2", 2)))
		w.done()
	})
}

func TestHooksTellOfStatesAndWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var states []string
		var waits []string
		w := newWorld(t, buffer.Config{Hooks: buffer.Hooks{
			State: func(lane string, s buffer.State, l leadership.Leadership) {
				states = append(states, fmt.Sprintf("%s %s %s", lane, s, l))
			},
			Waited: func(lane string, d time.Duration, err error) {
				waits = append(waits, fmt.Sprintf("%s %s %v", lane, d, err))
			},
		}})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		w.start(bg, "u", buffer.Request{Unit: true})
		time.Sleep(15 * time.Millisecond)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		w.done()
		require.Equal(t, []string{"k serving n1@1.c1", "k hold-units n1@1.c1", "k serving n2@2.c1"}, states)
		require.Equal(t, []string{"k 15ms <nil>"}, waits)
		require.Equal(t, 1, w.b.Stats().Serving)
	})
}
