package lameduck_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// The drain of a child waits for units that the drain of its parent ends.
func TestADrainOfAChildGoesOnWhenItsParentEndsTheUnitsItWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		ch := g.Child("shard")
		unit := enter(t, ch, lameduck.Unit)
		childOut := drain(t.Context(), ch, lameduck.Plan{Units: time.Hour})
		time.Sleep(time.Second)
		_, err := g.Drain(t.Context(), lameduck.Plan{})
		require.NoError(t, err)
		res := <-childOut
		require.NoError(t, res.err)
		require.Equal(t, time.Second, res.rep.Total)
		unit.Exit()
	})
}

// A parent that is further in its own drain does not hide that of the child
// has expired.
func TestADrainOfAChildExpiresUnderAParentThatIsDrainedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		ch := g.Child("shard")
		survivor := enter(t, g, lameduck.Single)
		_, err := ch.Drain(t.Context(), lameduck.Plan{Expire: time.Second})
		require.NoError(t, err)
		_, err = g.Drain(t.Context(), lameduck.Plan{})
		require.ErrorAs(t, err, new(*lameduck.ForcedError))
		require.ErrorIs(t, ch.Resume(), lameduck.ErrTooLate)
		time.Sleep(time.Second)
		require.NoError(t, ch.Resume(), "it has undone itself")
		require.Equal(t, lameduck.Forced, ch.State().Phase, "and the parent has not")
		survivor.Exit()
	})
}

// Undo of the inner drain, then of the outer one, in every pair of phases.
func TestNestedUndoInEveryPairOfPhases(t *testing.T) {
	t.Parallel()
	for outer := range 4 {
		for inner := range 4 {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, lameduck.Options{})
				ch := g.Child("shard")
				busy, unit := enter(t, ch, lameduck.Single), enter(t, ch, lameduck.Unit)
				began := time.Now()
				at := func(phase int) { time.Sleep(time.Until(began.Add(time.Duration(phase)*time.Minute + time.Second))) }
				innerOut := drain(t.Context(), ch, long)
				outerOut := drain(t.Context(), g, long)
				first, second := ch, g
				firstOut, secondOut := innerOut, outerOut
				from, to := inner, outer
				if outer < inner {
					first, second, firstOut, secondOut, from, to = g, ch, outerOut, innerOut, outer, inner
				}
				at(from)
				synctest.Wait()
				phase := lameduck.Announced + lameduck.Phase(from)
				require.Equal(t, phase, first.State().Phase)
				require.NoError(t, first.Resume())
				require.ErrorIs(t, (<-firstOut).err, lameduck.ErrResumed)
				require.Equal(t, phase, ch.State().Phase, "the other drain goes on")
				at(to)
				synctest.Wait()
				require.Equal(t, lameduck.Announced+lameduck.Phase(to), second.State().Phase)
				require.NoError(t, second.Resume())
				require.ErrorIs(t, (<-secondOut).err, lameduck.ErrResumed)
				require.True(t, ch.State().Ready())
				require.True(t, g.State().Ready())
				again := enter(t, ch, lameduck.Unit)
				k, err := again.Continue()
				require.NoError(t, err)
				require.NoError(t, k.Context(t.Context()).Err())
				k.Exit()
				again.Exit()
				_, err = unit.Continue()
				require.Equal(t, max(inner, outer) == 3, err != nil, "a unit that was ended stays ended")
				busy.Exit()
			})
		}
	}
}
