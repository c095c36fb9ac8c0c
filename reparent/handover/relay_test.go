package handover_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
	"github.com/tenure-go/tenure/revoke"
)

// leader answers a drain and a step-down.
type leader struct {
	calls    []string
	drain    func() error
	stepDown func() error
}

func (l *leader) Drain(_ context.Context, _ leadership.Term, d time.Duration) (revoke.Drained, error) {
	l.calls = append(l.calls, "drain "+d.String())
	if l.drain != nil {
		return revoke.Drained{}, l.drain()
	}
	return revoke.Drained{Finished: 3, Survivors: 1}, nil
}

func (l *leader) StepDown(context.Context, leadership.Term) (leadership.Testimony, error) {
	l.calls = append(l.calls, "step down")
	if l.stepDown != nil {
		return leadership.Testimony{}, l.stepDown()
	}
	return stepDown(at(5)), nil
}

var retirement = handover.Retirement{Term: t2, To: "n2", Drain: time.Second}

func TestALeaderRetiresByItsDrainAndItsStepDown(t *testing.T) {
	t.Parallel()
	l := &leader{}
	got, err := handover.Retire(t.Context(), l, retirement)
	require.NoError(t, err)
	require.Equal(t, []string{"drain 1s", "step down"}, l.calls)
	require.Equal(t, stepDown(at(5)), got.StepDown)
	require.Equal(t, &revoke.Drained{Finished: 3, Survivors: 1}, got.Drained)
}

func TestALeaderThatCannotDrainDoesNotStepDown(t *testing.T) {
	t.Parallel()
	l := &leader{drain: func() error { return &leadership.StaleTermError{Node: "n1", Asked: t2, Promised: t3} }}
	got, err := handover.Retire(t.Context(), l, retirement)
	require.Equal(t, []string{"drain 1s"}, l.calls)
	require.Nil(t, got.Drained)
	require.True(t, leadership.NotExecuted(err), "%v", err)
}

func TestG9_WhatFailsAfterADrainProvesNothingOfTheWhole(t *testing.T) {
	t.Parallel()
	l := &leader{stepDown: func() error { return &leadership.StaleTermError{Node: "n1", Asked: t2, Promised: t3} }}
	got, err := handover.Retire(t.Context(), l, retirement)
	require.False(t, leadership.NotExecuted(err), "%v: it has refused requests", err)
	require.Equal(t, t3, wantAs[*leadership.StaleTermError](t, err).Promised)
	require.NotNil(t, got.Drained)
}

// The caller gives up while the leader drains, and the drain ends in good order:
// the leader must be left to serve on.
func TestG8_NobodyRetiresForACallerThatHasGone(t *testing.T) {
	t.Parallel()
	gone := errors.New("the caller has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	l := &leader{drain: func() error {
		cancel(gone)
		return nil
	}}
	_, err := handover.Retire(ctx, l, retirement)
	require.ErrorIs(t, err, gone)
	require.Equal(t, []string{"drain 1s"}, l.calls)
}

func relay(t testing.TB, b handover.Baton, read *leadership.Position, heard ...leadership.Testimony) handover.Relay {
	r, err := b.Relay(handover.Retired{StepDown: stepDown(read), Tail: []byte("tail")}, heard)
	require.NoError(t, err)
	return r
}

func TestARelayHasWhatOthersSaidAndNothingElse(t *testing.T) {
	t.Parallel()
	b := baton(t, 5)
	other := promised("n4", t1, at(5))
	refusal := leadership.Testimony{Node: "n5", Term: t3, Kind: leadership.Refused}
	r := relay(t, b, at(5), stepDown(at(5)), promised("n2", t2, at(4)), promised("n3", t2, at(4)), other, refusal)
	require.Equal(t, []leadership.Testimony{promised("n3", t2, at(4))}, r.Heard)
	require.Equal(t, "tail", string(r.Tail))

	promise := stepDown(at(5))
	promise.Kind = leadership.Promised
	_, err := b.Relay(handover.Retired{StepDown: promise}, nil)
	wantAs[*handover.BatonError](t, err)
}

func TestG10_ARelayThatSaysTooMuchIsRefusedAndNothingOfItTaken(t *testing.T) {
	t.Parallel()
	for name, heard := range map[string]leadership.Testimony{
		"of this node":    promised("n2", t2, at(9)),
		"of the leader":   promised("n1", t2, at(9)),
		"of a later term": promised("n3", t3, at(5)),
		"of an older one": promised("n3", t1, at(5)),
		"a refusal":       {Node: "n3", Term: t2, Kind: leadership.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := incoming(t)
			r := relay(t, baton(t, 5), at(5))
			r.Heard = []leadership.Testimony{heard}
			wantAs[*handover.BatonError](t, in.TakeRelay(r))
			_, err := in.Account(t2)
			wantAs[*leadership.NotReadyError](t, err)
		})
	}
}

// Of five the two leaders are not enough, with a third they are.
func TestG3_WhatIsRelayedCountsForWhatItIs(t *testing.T) {
	t.Parallel()
	b := baton(t, 5)
	in := incoming(t)
	require.NoError(t, in.TakeRelay(relay(t, b, at(5))))
	require.NoError(t, in.Hear(promised("n2", t2, at(5))))
	_, err := in.Propose(t2)
	wantAs[*leadership.NotRevokedError](t, err)

	in = incoming(t)
	require.NoError(t, in.TakeRelay(relay(t, b, at(5), promised("n3", t2, at(4)))))
	_, err = in.Propose(t2)
	wantAs[*leadership.NotRevokedError](t, err) // its own promise is missing
	require.NoError(t, in.Hear(promised("n2", t2, at(5))))
	p, err := in.Propose(t2)
	require.NoError(t, err)
	require.EqualValues(t, "n2", p.To())
}

func TestTheSameRelayAgainChangesNothing(t *testing.T) {
	t.Parallel()
	r := relay(t, baton(t, 5), at(5), promised("n3", t2, at(4)))
	in := incoming(t)
	require.NoError(t, in.TakeRelay(r))
	first, err := in.Account(t2)
	require.NoError(t, err)
	require.NoError(t, in.TakeRelay(r))
	again, err := in.Account(t2)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Len(t, again.Basis, 2)
}

// Somebody who is not blocked was read, before the step-down or after it: who is
// told both cannot know. The guard and the candidate make the same of it.
func TestG2_WhatMayHaveBeenReadBeforeTheStepDownCountsAsIfItWas(t *testing.T) {
	t.Parallel()
	b := baton(t, 3)
	b.Rulesets[0].Policy = "all"
	early := leadership.Testimony{Node: "n3", Term: t2, Kind: leadership.Statement, Read: at(4)}
	theirs, err := leadership.NewRound(leadership.RoundConfig{Term: t2, Rulesets: b.Rulesets})
	require.NoError(t, err)
	for _, w := range []leadership.Testimony{early, stepDown(at(5))} {
		_ = theirs.Add(w) // that what n3 said is no read is an error of it
	}
	in := incoming(t)
	require.NoError(t, in.TakeRelay(relay(t, b, at(5), early)))
	acc, err := in.Account(t2)
	require.NoError(t, err)
	own, err := leadership.NewRound(leadership.RoundConfig{Term: t2, Rulesets: b.Rulesets})
	require.NoError(t, err)
	for _, w := range acc.Basis {
		_ = own.Add(w)
	}
	require.Equal(t, theirs.Reads(), own.Reads())
	require.Len(t, own.Reads(), 1, "what n3 said is no read")
}
