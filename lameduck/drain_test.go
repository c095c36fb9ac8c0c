package lameduck_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "p"} }

func newGate(t *testing.T, o lameduck.Options) *lameduck.Gate {
	t.Helper()
	if o.Term.IsZero() {
		o.Term = term(5)
	}
	g, err := lameduck.New(o)
	require.NoError(t, err)
	return g
}

func enter(t *testing.T, g *lameduck.Gate, k lameduck.Kind) lameduck.Token {
	t.Helper()
	tok, err := g.Enter(k)
	require.NoError(t, err)
	return tok
}

type result struct {
	rep lameduck.Report
	err error
}

func drain(ctx context.Context, g *lameduck.Gate, p lameduck.Plan) <-chan result {
	out := make(chan result, 1)
	go func() {
		rep, err := g.Drain(ctx, p)
		out <- result{rep, err}
	}()
	synctest.Wait()
	return out
}

// long visits every phase and does not move by itself within a minute.
var long = lameduck.Plan{Announce: time.Minute, Units: time.Minute, All: time.Minute, Cancel: time.Minute}

func TestADrainPassesItsPhasesInOrderAndReportsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{Name: "writes"})
		single, unit := enter(t, g, lameduck.Single), enter(t, g, lameduck.Unit)
		ctx := single.Context(t.Context())
		p := long
		p.Until, p.Leader, p.Reason, p.RetryAfter = term(6), "n2", "planned", time.Second
		out := drain(t.Context(), g, p)

		require.Equal(t, lameduck.Announced, g.State().Phase)
		require.False(t, g.State().Ready())
		extra := enter(t, g, lameduck.Unit)
		extra.Exit()

		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, lameduck.DrainUnits, g.State().Phase)
		_, err := g.Enter(lameduck.Unit)
		var r *leadership.Refusal
		require.ErrorAs(t, err, &r)
		require.Equal(t, leadership.ScopeUnits, r.Scope)
		_, err = g.Enter(lameduck.Stream)
		require.ErrorAs(t, err, &r)
		pass := enter(t, g, lameduck.Single)
		pass.Exit()

		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, lameduck.DrainAll, g.State().Phase)
		_, err = g.Enter(lameduck.Single)
		require.ErrorAs(t, err, &r)
		require.Equal(t, leadership.Refusal{Term: term(5), Until: term(6), Scope: leadership.ScopeAll,
			Leader: "n2", Reason: "planned", RetryAfter: time.Second}, *r)
		commit, err := unit.Continue()
		require.NoError(t, err, "a continuation passes until the unit is ended")
		commit.Exit()
		require.NoError(t, ctx.Err())

		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, lameduck.Cancelled, g.State().Phase)
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.Equal(t, error(&lameduck.CancelledError{Refusal: r}), context.Cause(ctx))

		single.Exit()
		synctest.Wait()
		res := <-out
		require.NoError(t, res.err)
		require.Equal(t, lameduck.Drained, res.rep.Phase)
		require.Equal(t, lameduck.Counts{Active: 1, Units: 1}, res.rep.Before)
		require.Equal(t, []int{3, 1, 1, 3, 1, 0}, []int{res.rep.Finished, res.rep.FinishedUnits, res.rep.EndedUnits,
			res.rep.Refused, res.rep.Cancelled, res.rep.Surviving})
		require.Equal(t, []time.Duration{time.Minute, time.Minute, time.Minute, 0, 3 * time.Minute},
			[]time.Duration{res.rep.Announce, res.rep.Units, res.rep.All, res.rep.Cancel, res.rep.Total})
		require.Contains(t, res.rep.String(), "writes at term 5.p: drained after 3m0s (announced 1m0s, units 1m0s, all 1m0s)")
		unit.Exit()
		require.Equal(t, lameduck.Counts{}, g.InFlight())
	})
}

func TestCommitDuringDrainIsNeverRefusedAndTheDrainEndsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		unit := enter(t, g, lameduck.Unit)
		out := drain(t.Context(), g, lameduck.Plan{Units: time.Minute, All: time.Minute})
		time.Sleep(time.Second)
		commit, err := unit.Continue()
		require.NoError(t, err)
		commit.Exit()
		unit.Exit()
		res := <-out
		require.NoError(t, res.err)
		require.Equal(t, time.Second, res.rep.Total)
		require.Zero(t, res.rep.EndedUnits)
	})
}

func TestAnIdleUnitNeverDelaysTheEndAndIsToldToRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended []lameduck.Info
		g := newGate(t, lameduck.Options{EndUnit: func(_ context.Context, u lameduck.Info) { ended = append(ended, u) }})
		unit, err := g.EnterInfo(lameduck.Unit, lameduck.Info{Label: "tx 1", Owner: 7})
		require.NoError(t, err)
		ctx := unit.Context(t.Context())
		rep, err := g.Drain(t.Context(), lameduck.Plan{All: time.Minute})
		require.NoError(t, err)
		require.Zero(t, rep.Total)
		require.Equal(t, 1, rep.EndedUnits)
		require.Len(t, ended, 1)
		require.Equal(t, 7, ended[0].Owner)
		_, err = unit.Continue()
		var restart *lameduck.RestartUnitError
		require.ErrorAs(t, err, &restart)
		require.True(t, leadership.NotExecuted(err))
		require.Equal(t, error(&lameduck.CancelledError{Refusal: restart.Refusal, Idle: true}), context.Cause(ctx))

		require.NoError(t, g.Serve(term(6)))
		_, err = unit.Continue()
		require.ErrorAs(t, err, &restart, "a unit of the old leadership does not live on in the next")
		require.Zero(t, g.InFlight().Units)
		unit.Exit()
		require.Zero(t, g.InFlight().Units)
	})
}

func TestAUnitCutWhileItRunsHasAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	unit := enter(t, g, lameduck.Unit)
	commit, err := unit.Continue()
	require.NoError(t, err)
	_, err = g.Drain(t.Context(), lameduck.Plan{})
	var forced *lameduck.ForcedError
	require.ErrorAs(t, err, &forced)
	require.Equal(t, 1, forced.Survivors)
	_, err = unit.Continue()
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err), "its COMMIT may have been executed")
	commit.Exit()
	unit.Exit()
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}

func TestAHandlerThatIgnoresItsContextIsNamedAndNotWaitedForLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		tok, err := g.EnterInfo(lameduck.Single, lameduck.Info{Label: "POST /slow"})
		require.NoError(t, err)
		rep, err := g.Drain(t.Context(), lameduck.Plan{All: 2 * time.Second, Cancel: time.Second})
		var forced *lameduck.ForcedError
		require.ErrorAs(t, err, &forced)
		require.Equal(t, 3*time.Second, rep.Total)
		require.Equal(t, lameduck.Forced, g.State().Phase)
		require.Len(t, rep.Survivors, 1)
		require.Contains(t, rep.String(), "survivor: single POST /slow")
		require.NoError(t, g.Serve(term(6)))
		require.Equal(t, 1, g.InFlight().Active, "a survivor keeps counting")
		tok.Exit()
		require.Zero(t, g.InFlight().Active)
	})
}

func TestAnOpenStreamIsToldAndNeverWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		stream := enter(t, g, lameduck.Stream)
		told := stream.Draining()
		select {
		case <-told:
			t.Fatal("told before the drain")
		default:
		}
		rep, err := g.Drain(t.Context(), lameduck.Plan{Announce: time.Second, Units: time.Minute, All: time.Minute})
		require.NoError(t, err)
		<-told
		require.Equal(t, time.Second, rep.Total)
		require.Equal(t, 1, rep.Streams)
		stream.Exit()
		require.Zero(t, g.InFlight().Streams)
	})
}

func TestUndoWorksInEveryPhaseAndIsTooLateAfterTheEnd(t *testing.T) {
	t.Parallel()
	for i, phase := range []lameduck.Phase{lameduck.Announced, lameduck.DrainUnits, lameduck.DrainAll, lameduck.Cancelled} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, lameduck.Options{})
			single, unit := enter(t, g, lameduck.Single), enter(t, g, lameduck.Unit)
			changed := g.Changed()
			out := drain(t.Context(), g, long)
			<-changed
			time.Sleep(time.Duration(i)*time.Minute + time.Second)
			synctest.Wait()
			require.Equal(t, phase, g.State().Phase)
			_, err := g.Drain(t.Context(), long)
			require.ErrorIs(t, err, lameduck.ErrDraining)
			require.NoError(t, g.Resume())
			require.ErrorIs(t, (<-out).err, lameduck.ErrResumed)
			require.True(t, g.State().Ready())
			again := enter(t, g, lameduck.Unit)
			k, err := again.Continue()
			require.NoError(t, err)
			k.Exit()
			again.Exit()
			_, err = unit.Continue()
			require.Equal(t, phase == lameduck.Cancelled, err != nil)
			require.NoError(t, again.Context(t.Context()).Err())
			single.Exit()
		})
	}
	g := newGate(t, lameduck.Options{})
	_, err := g.Drain(t.Context(), lameduck.Plan{})
	require.NoError(t, err)
	require.ErrorIs(t, g.Resume(), lameduck.ErrTooLate)
	_, err = g.Drain(t.Context(), lameduck.Plan{})
	var phase *lameduck.PhaseError
	require.ErrorAs(t, err, &phase)
}

func TestUndoOfTheParentDoesNotUndoAChildsOwnDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		own, other := g.Child("own"), g.Child("other")
		tok, held := enter(t, other, lameduck.Single), enter(t, own, lameduck.Single)
		childOut := drain(t.Context(), own, lameduck.Plan{All: time.Hour})
		parentOut := drain(t.Context(), g, lameduck.Plan{All: time.Minute})
		_, err := other.Enter(lameduck.Single)
		require.Error(t, err, "a drain reaches the children")
		require.Equal(t, 2, g.InFlight().Active, "and counts them")
		require.NoError(t, g.Resume())
		require.ErrorIs(t, (<-parentOut).err, lameduck.ErrResumed)
		again := enter(t, other, lameduck.Single)
		again.Exit()
		_, err = own.Enter(lameduck.Single)
		require.Error(t, err)
		held.Exit()
		require.NoError(t, (<-childOut).err)

		parentOut = drain(t.Context(), g, lameduck.Plan{All: time.Minute})
		time.Sleep(time.Second)
		tok.Exit()
		res := <-parentOut
		require.NoError(t, res.err)
		require.Equal(t, time.Second, res.rep.Total, "the last exit at a child wakes the parent")
		require.NoError(t, g.Serve(term(6)))
		_, err = own.Enter(lameduck.Single)
		require.Error(t, err, "a new term of the parent does not open it either")
		require.NoError(t, own.Serve(term(7)))
		open := enter(t, own, lameduck.Single)
		open.Exit()
	})
}

func TestExitTwiceIsANoOp(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	var zero lameduck.Token
	zero.Exit()
	_, err := zero.Continue()
	require.ErrorIs(t, err, lameduck.ErrNotUnit)
	for _, k := range []lameduck.Kind{lameduck.Single, lameduck.Unit, lameduck.Stream} {
		other, tok := enter(t, g, k), enter(t, g, k)
		before := g.InFlight()
		tok.Exit()
		after := g.InFlight()
		require.NotEqual(t, before, after)
		tok.Exit()
		require.Equal(t, after, g.InFlight(), "the same variable, %s", k)
		other.Exit()
	}
	keep, unit := enter(t, g, lameduck.Unit), enter(t, g, lameduck.Unit)
	dup := unit
	unit.Exit()
	dup.Exit()
	require.Equal(t, 1, g.InFlight().Units, "a copy of a unit's token is found out")
	_, err = dup.Continue()
	require.ErrorIs(t, err, lameduck.ErrNotUnit)
	stale := keep
	keep.Exit()
	next := enter(t, g, lameduck.Unit) // takes the slot over
	_, err = stale.Continue()
	require.ErrorIs(t, err, lameduck.ErrExited)
	stale.Exit()
	require.Equal(t, 1, g.InFlight().Units, "a token that outlived its slot takes nothing")
	next.Exit()

	single := enter(t, g, lameduck.Single)
	dup = single
	single.Exit()
	dup.Exit()
	require.Zero(t, g.InFlight().Active, "never negative")
	single = enter(t, g, lameduck.Single)
	require.Equal(t, lameduck.Counts{Active: 1}, g.InFlight())
}

func TestACellClosesOnlyWhenEmpty(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	c := g.Cell()
	tok, err := c.Enter(lameduck.Single)
	require.NoError(t, err)
	require.ErrorIs(t, c.Close(), lameduck.ErrCellInUse)
	tok.Exit()
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	for _, k := range []lameduck.Kind{lameduck.Single, lameduck.Unit} {
		_, err = c.Enter(k)
		require.ErrorIs(t, err, lameduck.ErrCellClosed)
	}
}

func TestADrainWhoseContextEndsServesAgainUnlessHeld(t *testing.T) {
	t.Parallel()
	for _, hold := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, lameduck.Options{})
			tok := enter(t, g, lameduck.Single)
			ctx, cancel := context.WithCancelCause(t.Context())
			gone := errors.New("coordinator gone")
			out := drain(ctx, g, lameduck.Plan{All: time.Hour, Hold: hold, Expire: time.Minute})
			cancel(gone)
			res := <-out
			var broken *lameduck.BrokenOffError
			require.ErrorAs(t, res.err, &broken)
			require.ErrorIs(t, res.err, context.Canceled)
			require.ErrorIs(t, res.err, gone)
			require.Equal(t, hold, broken.Held)
			require.Equal(t, lameduck.DrainAll, broken.Phase)
			require.Equal(t, !hold, g.State().Ready())
			if hold {
				again := drain(t.Context(), g, long)
				require.Equal(t, lameduck.DrainAll, g.State().Phase)
				tok.Exit()
				require.NoError(t, (<-again).err, "a held drain can be taken over")
			}
		})
	}
}

func TestAUnitAdmittedInOneLeadershipDoesNotLiveOnInTheNext(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	stalled := false
	lameduck.SetStep(g, func(at string, _ uint64) {
		if at != "open" || stalled {
			return
		}
		// Between the admission and the moment a drain can see the unit.
		stalled = true
		_, err := g.Drain(context.Background(), lameduck.Plan{})
		require.NoError(t, err)
		require.NoError(t, g.Serve(term(6)))
	})
	unit := enter(t, g, lameduck.Unit)
	require.True(t, stalled)
	_, err := unit.Continue()
	var restart *lameduck.RestartUnitError
	require.ErrorAs(t, err, &restart)
	require.Equal(t, lameduck.Counts{}, g.InFlight())
	unit.Exit()
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}
