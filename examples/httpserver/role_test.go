package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func TestABackendThatLostItsDirectoryDoesNotComeBackAsIfItHadPromisedNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	_, err := openRole(ctx, "n1", dir, false)
	require.ErrorAs(t, err, new(*acceptor.NoRecordError), "the first start is one that somebody asks for")
	r, err := openRole(ctx, "n1", dir, true)
	require.NoError(t, err)
	first := r.acc.Status().Incarnation
	require.NotEmpty(t, first)

	// It promises, and never leads: there is no marker that could be missed.
	promised := leadership.Term{Num: 7, Proposer: "c1"}
	_, err = r.Promise(ctx, promised)
	require.NoError(t, err)
	for _, create := range []bool{false, true} { // asked for again, it is opened
		r, err = openRole(ctx, "n1", dir, create)
		require.NoError(t, err)
		require.Equal(t, promised, r.acc.Status().Promised)
		require.Equal(t, first, r.acc.Status().Incarnation)
	}
	store, err := acceptor.OpenFile(dir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(store.Path()))
	_, err = openRole(ctx, "n1", dir, false)
	require.ErrorAs(t, err, new(*acceptor.NoRecordError))
}

func TestARoleWithMarkersIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	r, err := openRole(ctx, "n1", dir, true)
	require.NoError(t, err)
	m := leadership.Marker{Term: leadership.Term{Num: 7, Proposer: "c1"}, Leader: "n1"}
	_, err = r.Install(ctx, m)
	require.NoError(t, err)
	store, err := acceptor.OpenFile(dir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(store.Path()))
	_, err = openRole(ctx, "n1", dir, true)
	require.ErrorAs(t, err, new(*acceptor.NoRecordError))
}

func TestALateCallOfAnOlderTermDoesNotReplaceTheMarkersOfANewerOne(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r, err := openRole(ctx, "n1", t.TempDir(), true)
	require.NoError(t, err)
	at := func(n uint64) leadership.Marker {
		return leadership.Marker{Term: leadership.Term{Num: n, Proposer: "c1"}, Leader: "n2"}
	}
	require.NoError(t, r.keep([]leadership.Marker{at(1), at(2), at(3)}))
	require.NoError(t, r.keep([]leadership.Marker{at(1), at(5)}), "the tail of 2 and 3 was never complete")
	require.Error(t, r.keep([]leadership.Marker{at(1), at(2), at(3), at(4)}))
	require.Equal(t, []leadership.Marker{at(1), at(5)}, r.all())

	// A donor's log is taken for its terms, not for its length.
	r.fetch = func(context.Context, leadership.NodeID) ([]leadership.Marker, error) {
		return []leadership.Marker{at(6)}, nil
	}
	require.NoError(t, r.CatchUp(ctx, leadership.Term{Num: 8, Proposer: "c1"}, "n2", position([]leadership.Marker{at(6)})))
	require.Equal(t, []leadership.Marker{at(6)}, r.all())
}
