package board_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/board"
	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/leadership"
)

func open(t *testing.T) *board.Dir {
	t.Helper()
	d, err := board.OpenDir(filepath.Join(t.TempDir(), "watch"))
	require.NoError(t, err)
	return d
}

func TestAPostIsAgedByItsReaderFromWhenItWasFirstRead(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := open(t)
	leader := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "a"}}
	put := func(seq uint64) {
		require.NoError(t, d.Put(ctx, board.Post{Observer: "w1", Run: "r", Seq: seq, Of: leader, Saw: verdict.Silent, For: time.Second, Missed: 2 * time.Second}))
	}
	put(1)
	r := board.Reader{Board: d}
	now := time.Now()
	at := func(after time.Duration) []verdict.Sighting {
		ss, _, err := r.Read(ctx, now.Add(after))
		require.NoError(t, err)
		return ss
	}
	require.Empty(t, at(0), "how old it is when a reader begins is not known")
	require.Empty(t, at(time.Second))
	put(2)
	want := verdict.Sighting{Observer: "w1", Of: leader, Saw: verdict.Silent, For: time.Second, Missed: 2 * time.Second}
	require.Equal(t, []verdict.Sighting{want}, at(2*time.Second))
	want.Age = 3 * time.Second
	require.Equal(t, []verdict.Sighting{want}, at(5*time.Second), "it was not renewed")

	// A watcher that is new is of an age that is known: it was not there before.
	require.NoError(t, d.Put(ctx, board.Post{Observer: "w2", Run: "r", Seq: 7, Of: leader, Saw: verdict.Leads}))
	require.Len(t, at(6*time.Second), 2)
	// One that began anew counts from there.
	require.NoError(t, d.Put(ctx, board.Post{Observer: "w2", Run: "s", Seq: 7, Of: leader, Saw: verdict.Leads}))
	require.Zero(t, at(9 * time.Second)[1].Age)
}

func TestActsOutliveTheirWatcher(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := open(t)
	require.NoError(t, d.Put(ctx, board.Post{Observer: "w1", Run: "r", Seq: 1, Acts: []board.Act{
		{At: time.Now().Add(-time.Minute), Outcome: "done", Settled: true},
		{At: time.Now().Add(time.Hour), Outcome: "incomplete"}, // its clock was wrong
	}}))
	r := board.Reader{Board: d}
	ss, acts, err := r.Read(ctx, time.Now())
	require.NoError(t, err)
	require.Empty(t, ss)
	require.Len(t, acts, 2)
	require.InDelta(t, time.Minute, acts[0].Ago, float64(10*time.Second))
	require.True(t, acts[0].Settled)
	require.Zero(t, acts[1].Ago, "an act of the future has just been made")
}

func TestABoardThatCannotBeTrustedIsAnError(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "watch")
	d, err := board.OpenDir(path)
	require.NoError(t, err)
	_, err = d.All(ctx)
	require.NoError(t, err)
	require.Error(t, d.Put(ctx, board.Post{Observer: "../escape"}))
	require.Error(t, d.Put(ctx, board.Post{}))
	require.NoError(t, os.WriteFile(filepath.Join(path, "w1.json"), []byte("{"), 0o600))
	_, err = d.All(ctx)
	require.Error(t, err)
	require.NoError(t, os.RemoveAll(path))
	_, err = d.All(ctx)
	require.Error(t, err, "a directory that is gone is not an empty one")
	require.Error(t, d.Put(ctx, board.Post{Observer: "w1"}))
	require.NoError(t, d.Close())
}
