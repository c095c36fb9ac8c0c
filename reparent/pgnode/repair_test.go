package pgnode_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

// recorder is a Controller that notes which programs ran, and can make one fail
// half way.
type recorder struct {
	pgnode.Controller
	rewinds, copies atomic.Int32
	breaks          atomic.Bool
}

func (r *recorder) Run(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	switch program {
	case "pg_rewind":
		r.rewinds.Add(1)
	case "pg_basebackup":
		r.copies.Add(1)
		if r.breaks.Load() {
			return nil, errors.New("the network went away")
		}
	}
	if program == "pg_rewind" && r.breaks.Load() {
		// It has changed files by then, and not all of them.
		out, err := r.Controller.Run(ctx, env, program, args...)
		return out, errors.Join(err, errors.New("the machine lost power"))
	}
	return r.Controller.Run(ctx, env, program, args...)
}

// rebuild makes the node anew, as a process that was restarted does.
func (c *cluster) remake(id leadership.NodeID, edit func(*pgnode.Config)) {
	c.t.Helper()
	c.nodes[id].Close()
	cfg := c.configs[id]
	edit(&cfg)
	n, err := pgnode.New(cfg)
	require.NoError(c.t, err)
	c.t.Cleanup(n.Close)
	c.nodes[id], c.configs[id] = n, cfg
}

func TestARepairThatWasBrokenOffIsKnownAndDoneAgainByACopy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	rec := &recorder{Controller: control{c.servers["n1"]}}
	c.remake("n1", func(cfg *pgnode.Config) { cfg.Controller = rec })
	c.adopt()
	leader := c.diverge(2)
	rec.breaks.Store(true)
	r, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	lead := r.Active
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	require.Error(t, c.nodes["n1"].Repair(ctx, lead.Term, lead.Leader))
	require.EqualValues(t, 1, rec.rewinds.Load())

	// The process restarts, and knows.
	c.remake("n1", func(*pgnode.Config) {})
	st, err := c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	require.True(t, st.BelowFloor)
	require.NotEmpty(t, st.Degraded)
	got, err := c.nodes["n1"].Promise(ctx, term(50))
	require.NoError(t, err, "it can promise")
	require.True(t, got.BelowFloor, "and is no evidence")
	require.Nil(t, got.Read)
	running, err := rec.Running(ctx)
	require.NoError(t, err)
	require.False(t, running, "nothing starts half a data directory")
	var need *pgnode.RebuildError
	_, err = c.nodes["n1"].Read(ctx, term(50))
	require.ErrorAs(t, err, &need)
	_, err = c.nodes["n1"].Follow(ctx, term(50), leader)
	require.ErrorAs(t, err, &need)
	_, err = c.nodes["n1"].Install(ctx, leadership.Marker{Term: term(51), Leader: "n1", Ruleset: c.rs})
	require.ErrorAs(t, err, &need)

	rec.breaks.Store(false)
	c.run(reparent.Refresh())
	c.sweepAll()
	require.EqualValues(t, 1, rec.rewinds.Load(), "what is half rewound is not rewound again")
	require.EqualValues(t, 2, rec.copies.Load())
	c.level(leader, others(c, leader)...)
	require.ElementsMatch(t, c.rows(leader), c.rows("n1"))
	st, err = c.nodes["n1"].Status(ctx)
	require.NoError(t, err)
	require.False(t, st.BelowFloor)
}

// TestTwoTimelinesOfOneNumberAreNotTakenForOne: two promotions that know nothing of
// each other make timelines of one number from one place. pg_rewind would find that
// there is nothing to do.
func TestTwoTimelinesOfOneNumberAreNotTakenForOne(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	rec := &recorder{Controller: control{c.servers["n2"]}}
	c.remake("n2", func(cfg *pgnode.Config) { cfg.Controller = rec })
	c.adopt()
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
	defer cancel()
	// n2 is promoted in a term that comes to nothing.
	for _, id := range c.ids {
		_, err := c.nodes[id].Promise(ctx, term(5))
		require.NoError(t, err)
	}
	at, err := c.nodes["n2"].Install(ctx, leadership.Marker{Term: term(5), Leader: "n2", Ruleset: c.rs})
	require.NoError(t, err)
	// Nobody hears of it. n3 leads with n1.
	rep := c.run(forced(to(reparent.Emergency(), "n3")), "n1", "n3")
	require.Equal(t, leadership.NodeID("n3"), rep.To)
	st, err := c.nodes["n3"].Status(ctx)
	require.NoError(t, err)
	ours, theirs := at.Position.Point.(pgnode.Point), st.Position.Point.(pgnode.Point)
	a, b := ours.Eras[len(ours.Eras)-1], theirs.Eras[len(theirs.Eras)-1]
	require.Equal(t, a.Timeline, b.Timeline, "one number")
	require.NotEqual(t, a.Term, b.Term)
	require.False(t, theirs.Contains(ours))

	_, err = c.connect("n3", "app").Exec(ctx, "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	c.sweepAll()
	require.EqualValues(t, 0, rec.rewinds.Load())
	require.EqualValues(t, 1, rec.copies.Load())
	c.level("n3", "n1", "n2")
	require.ElementsMatch(t, c.rows("n3"), c.rows("n2"))
}

func to(ch reparent.Change, id leadership.NodeID) reparent.Change {
	ch.To = id
	return ch
}

func TestATimelineThatSomebodyMadeByHandIsDiverged(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	super := c.connect("n3", "postgres")
	c.adopt()
	_, err := super.Exec(t.Context(), "SELECT pg_promote(true, 30)")
	require.NoError(t, err)
	_, err = super.Exec(t.Context(), "SET synchronous_commit = off")
	require.NoError(t, err)
	_, err = super.Exec(t.Context(), "INSERT INTO t VALUES (666)")
	require.NoError(t, err)
	_, err = c.connect("n1", "app").Exec(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	st, err := c.nodes["n3"].Status(t.Context())
	require.NoError(t, err)
	lead, err := c.nodes["n1"].Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, leadership.Diverged, lead.Position.Rank(st.Position))
	require.False(t, lead.Position.Extends(st.Position))
	// A repair discards it.
	r, err := c.reg.Load(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(t, c.nodes["n3"].Repair(ctx, r.Active.Term, "n1"))
	_, err = c.nodes["n3"].Follow(ctx, r.Active.Term, "n1")
	require.NoError(t, err)
	c.level("n1", "n3")
	require.NotContains(t, c.rows("n3"), int64(666))
}

// TestAFloorThatNobodyClearedDoesNotKeepALogThatIsPastItFromCounting, and one that the
// log is not back at does.
func TestAFloorThatNobodyClearedDoesNotKeepALogThatIsPastItFromCounting(t *testing.T) {
	t.Parallel()
	c := newCluster(t, leadership.Majority(), nil)
	c.adopt()
	early, err := c.nodes["n2"].Status(t.Context())
	require.NoError(t, err)
	app := c.connect("n1", "app")
	_, err = app.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	c.level("n1", "n2", "n3")
	floor := func(pos leadership.Position) {
		t.Helper()
		store, err := acceptor.OpenFile(c.configs["n2"].Dir)
		require.NoError(t, err)
		catalog := &leadership.Catalog{}
		require.NoError(t, pgnode.RegisterPoint(catalog))
		a, err := acceptor.Open(t.Context(), store, "n2", early.Incarnation, acceptor.Options{Catalog: catalog})
		require.NoError(t, err)
		require.NoError(t, a.SetFloor(t.Context(), pos))
	}
	floor(early.Position)
	st, err := c.nodes["n2"].Status(t.Context())
	require.NoError(t, err)
	require.False(t, st.BelowFloor, "it is past it")

	_, err = c.nodes["n2"].Promise(t.Context(), term(20)) // and gets no further
	require.NoError(t, err)
	_, err = app.Exec(t.Context(), "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	lead, err := c.nodes["n1"].Status(t.Context())
	require.NoError(t, err)
	floor(lead.Position)
	st, err = c.nodes["n2"].Status(t.Context())
	require.NoError(t, err)
	require.True(t, st.BelowFloor)
}
