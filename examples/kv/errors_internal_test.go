package kv

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/nodecall"
	"github.com/tenure-go/tenure/leadership"
)

// A leader that asked several members, of whom one was outrun and one did not
// answer, says both: that the call may have happened, and who is newer.
func TestG5_AnUnknownOutcomeStillTellsOfANewerAttempt(t *testing.T) {
	t.Parallel()
	mine := leadership.Term{Num: 2, Proposer: "a"}
	newer, newest := leadership.Term{Num: 9, Proposer: "b"}, leadership.Term{Num: 11, Proposer: "c"}
	refused := &leadership.StaleTermError{Node: "n3", Asked: mine, Promised: newer}
	again := &leadership.StaleTermError{Node: "n4", Asked: mine, Promised: newest}
	lost := NewRemote("n1", "127.0.0.1:1", nil).unknown("the call broke off", nil)
	got := toWire(errors.Join(errors.New("not durable"), refused, again, lost)).toError("n2")
	by, ok := nodecall.Outrun(mine, got)
	require.True(t, ok, "%v", got)
	require.Equal(t, newest, by)
	require.ErrorIs(t, got, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(got), "one of them may have been")
	var stale *leadership.StaleTermError
	require.ErrorAs(t, got, &stale)
	require.Equal(t, again, stale)

	_, ok = nodecall.Outrun(mine, toWire(lost).toError("n2"))
	require.False(t, ok)
}
