package kv

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// The old promise, told as the reason of a refusal, would hide the attempt that the
// new one belongs to: whoever was refused would wait for nodes that are gone, and then
// undo what the newer attempt made.
func TestG5_WhileAPromiseIsOnItsWayNobodyIsToldOfTheOneBefore(t *testing.T) {
	t.Parallel()
	n := &Node{cfg: Config{ID: "n1"}}
	l := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 7, Proposer: "c1"}}
	next := leadership.Term{Num: 8, Proposer: "c2"}
	stands := acceptor.Status{State: acceptor.State{Promised: l.Term, Source: l}}
	require.NoError(t, n.outrun(l, stands))

	changing := stands
	changing.Changing = true
	err := n.outrun(l, changing)
	var stale *leadership.StaleTermError
	require.NotErrorAs(t, err, &stale)
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)

	err = n.outrun(l, acceptor.Status{State: acceptor.State{Promised: next}})
	require.ErrorAs(t, err, &stale)
	require.Equal(t, next, stale.Promised)
}
