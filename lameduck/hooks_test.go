package lameduck_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

func openUnits(t *testing.T, g *lameduck.Gate, n int) []lameduck.Token {
	t.Helper()
	var units []lameduck.Token
	for i := range n {
		u, err := g.EnterInfo(lameduck.Unit, lameduck.Info{Label: "tx " + strconv.Itoa(i)})
		require.NoError(t, err)
		units = append(units, u)
	}
	return units
}

func TestAHookThatHangsIsAbandonedAndNamedAndHoldsNoLock(t *testing.T) {
	t.Parallel()
	for _, bc := range []struct {
		name string
		plan lameduck.Plan
		want time.Duration
	}{
		{"at the end", lameduck.Plan{All: time.Minute}, time.Second + 100*time.Millisecond},
		{"with a cap", lameduck.Plan{All: time.Minute, Hooks: 3 * time.Second}, 3*time.Second + 100*time.Millisecond},
		{"when cancelled", lameduck.Plan{Cancel: time.Minute, Hooks: time.Second}, time.Minute + time.Second + 100*time.Millisecond},
	} {
		t.Run(bc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer func() { // the bubble's end proves that nothing else is left
					close(release)
					synctest.Wait()
				}()
				var rolledBack atomic.Int64
				g := newGate(t, lameduck.Options{EndUnit: func(ctx context.Context, u lameduck.Info) {
					switch u.Label {
					case "tx 3":
						<-release // whatever ctx says
					case "tx 5":
						<-ctx.Done()
					}
					rolledBack.Add(1)
				}})
				openUnits(t, g, 20)
				var busy lameduck.Token
				if bc.plan.Cancel > 0 {
					busy = enter(t, g, lameduck.Single)
				}
				out := drain(t.Context(), g, bc.plan)
				time.Sleep(bc.want / 2)
				require.True(t, g.State().Phase > lameduck.DrainAll, "no lock is held meanwhile")
				_, err := g.Enter(lameduck.Single)
				require.Error(t, err)
				res := <-out
				require.Equal(t, bc.want, res.rep.Total)
				require.Len(t, res.rep.Abandoned, 1)
				require.Equal(t, "tx 3", res.rep.Abandoned[0].Label)
				require.Contains(t, res.rep.String(), "abandoned: unit tx 3")
				require.Equal(t, int64(19), rolledBack.Load(), "the others are not kept from it")
				require.Equal(t, 20, res.rep.EndedUnits)
				busy.Exit()
			})
		})
	}
}

func TestAHookIsToldWhenTheContextOfDrainEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int64
		g := newGate(t, lameduck.Options{EndUnit: func(ctx context.Context, _ lameduck.Info) {
			<-ctx.Done()
			ended.Add(1)
		}})
		openUnits(t, g, 30)
		busy := enter(t, g, lameduck.Single)
		ctx, cancel := context.WithCancel(t.Context())
		out := drain(ctx, g, lameduck.Plan{Cancel: time.Hour})
		time.Sleep(time.Second)
		cancel()
		res := <-out
		require.ErrorIs(t, res.err, context.Canceled)
		require.Equal(t, time.Second, res.rep.Total)
		require.Equal(t, int64(30), ended.Load(), "all are called, and joined")
		require.Len(t, res.rep.Abandoned, 0)
		busy.Exit()
	})
}

// Hooks that hang, more than run at once, do not keep the drain longer.
func TestManyHungHooksAreAllNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int64
		g := newGate(t, lameduck.Options{EndUnit: func(context.Context, lameduck.Info) {
			calls.Add(1)
			<-release
		}})
		openUnits(t, g, 100)
		rep, err := g.Drain(t.Context(), lameduck.Plan{Hooks: time.Second})
		require.NoError(t, err)
		require.Equal(t, time.Second+100*time.Millisecond, rep.Total)
		require.Len(t, rep.Abandoned, 100)
		begun := calls.Load()
		close(release)
		synctest.Wait()
		require.Equal(t, begun, calls.Load(), "nothing is begun after Drain has returned")
	})
}

func TestTheHooksOfADrainAreCalledOncePerUnit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		g := newGate(t, lameduck.Options{EndUnit: func(_ context.Context, u lameduck.Info) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, u.Label)
		}})
		units := openUnits(t, g, 3)
		own, err := g.Child("shard").EnterInfo(lameduck.Unit, lameduck.Info{Label: "tx of the child"})
		require.NoError(t, err)
		commit, err := units[1].Continue()
		require.NoError(t, err)
		out := drain(t.Context(), g, lameduck.Plan{Cancel: time.Minute})
		commit.Exit()
		require.NoError(t, (<-out).err)
		slices.Sort(seen)
		require.Equal(t, []string{"tx 0", "tx 2", "tx of the child"}, seen, "not the one that was cut while it ran")
		own.Exit()
	})
}

func TestG10_TheTimeForHooksCountsInTheSum(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g := newGate(t, lameduck.Options{})
	_, err := g.Drain(ctx, lameduck.Plan{All: 40 * time.Second, Hooks: 40 * time.Second})
	require.ErrorAs(t, err, new(*lameduck.DeadlineError))
	_, err = g.Drain(ctx, lameduck.Plan{Hooks: -1})
	require.ErrorAs(t, err, new(*lameduck.PlanError))
}
