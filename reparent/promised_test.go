package reparent_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// refusing does not install: one part of it refuses for a reason of its own, another
// because it has promised more.
type refusing struct{ *notebook }

var later = leadership.Term{Num: 1 << 40, Proposer: "other"}

func (n refusing) Install(_ context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	mine := &leadership.StaleTermError{Node: n.id, Asked: m.Term, Promised: m.Term}
	theirs := &leadership.StaleTermError{Node: n.id, Asked: m.Term, Promised: later}
	return leadership.Acceptance{}, errors.Join(errors.New("no"), fmt.Errorf("late: %w", mine), fmt.Errorf("and: %w", theirs))
}

// An attempt must not undo what a later one did, in whichever part of an error that
// shows.
func TestAHigherPromiseIsFoundInAnyPartOfAnError(t *testing.T) {
	t.Parallel()
	reg := &leadership.MemoryRegistry{}
	peers, _, _, err := notebooks(t.Context(), t.TempDir(), reg)
	require.NoError(t, err)
	n2 := peers["n2"].node()
	n2.Candidate = refusing{peers["n2"]}
	g, err := reparent.New("notes", reg, []reparent.Node{peers["n1"].node(), n2, peers["n3"].node()}, reparent.Config{Limits: reparent.Limits{Install: 300 * time.Millisecond}})
	require.NoError(t, err)
	rep, err := g.Run(t.Context(), reparent.Planned("n2"))
	var super *leadership.SupersededError
	require.ErrorAs(t, err, &super, "%s", rep)
	require.Equal(t, later, super.By)
	require.Equal(t, reparent.Superseded, rep.Outcome)
	require.Nil(t, rep.Undo)
}
