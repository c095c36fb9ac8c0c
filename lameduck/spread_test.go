package lameduck_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// told counts the streams whose channel is closed.
func told(chs []<-chan struct{}) (n int) {
	for _, ch := range chs {
		select {
		case <-ch:
			n++
		default:
		}
	}
	return n
}

func openStreams(t *testing.T, g *lameduck.Gate, n int) (toks []lameduck.Token, chs []<-chan struct{}) {
	t.Helper()
	for range n {
		tok := enter(t, g, lameduck.Stream)
		toks, chs = append(toks, tok), append(chs, tok.Draining())
	}
	return toks, chs
}

func TestStreamsAreToldOneAfterTheOtherWithinTheSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		g := newGate(t, lameduck.Options{})
		ch := g.Child("shard")
		toks, chs := openStreams(t, g, n/2)
		childToks, childChs := openStreams(t, ch, n/2)
		toks, chs = append(toks, childToks...), append(chs, childChs...)
		out := drain(t.Context(), g, lameduck.Plan{Announce: 10 * time.Second, Spread: 8 * time.Second})

		late := enter(t, ch, lameduck.Stream)
		<-late.Draining() // entered after the announcement: at once
		require.Equal(t, 1, told([]<-chan struct{}{g.Draining()}), "the gate itself is told at once")
		before := told(chs)
		require.True(t, before < n/20, before)
		for second := 1; second <= 8; second++ {
			time.Sleep(time.Second)
			synctest.Wait()
			now := told(chs)
			// An eighth each second, give or take the jitter of one share and
			// what a hash leaves uneven.
			require.True(t, now-before > n/16 && now-before < n/5, second, now-before)
			before = now
		}
		require.Equal(t, n, told(chs), "all within the spread")
		require.Equal(t, lameduck.Announced, g.State().Phase)
		require.Equal(t, n, told([]<-chan struct{}{toks[0].Draining(), toks[n-1].Draining()})*n/2, "asked again, still told")
		res := <-out
		require.NoError(t, res.err)
		require.Equal(t, 10*time.Second, res.rep.Total)
		require.Equal(t, n+1, res.rep.Streams)
		late.Exit()
		for i := range toks {
			toks[i].Exit()
		}
		require.Equal(t, lameduck.Counts{}, g.InFlight())
	})
}

func TestStreamsThatAreLeftAreToldWhenTheDrainEndsOrIsHeld(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(cancel func(), busy *lameduck.Token){
		"drained":   func(_ func(), busy *lameduck.Token) { busy.Exit() },
		"held":      func(cancel func(), _ *lameduck.Token) { cancel() },
		"cancelled": func(func(), *lameduck.Token) { time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, lameduck.Options{})
				busy := enter(t, g, lameduck.Single)
				_, chs := openStreams(t, g, 100)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				// No unit is open, so that the drain is ahead of its spread.
				out := drain(ctx, g, lameduck.Plan{Units: time.Minute, All: time.Minute, Spread: 100 * time.Second, Hold: true, Cancel: time.Hour})
				time.Sleep(time.Second)
				synctest.Wait()
				require.True(t, told(chs) < 10)
				stop(cancel, &busy)
				synctest.Wait()
				require.Equal(t, 100, told(chs))
				busy.Exit()
				<-out
			})
		})
	}
}

func TestAnUndoOfASpreadTellsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lameduck.Options{})
		toks, chs := openStreams(t, g, 640)
		out := drain(t.Context(), g, lameduck.Plan{Announce: time.Minute, Spread: 40 * time.Second})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		half := told(chs)
		require.True(t, half > 200 && half < 440, half)
		require.NoError(t, g.Resume())
		require.ErrorIs(t, (<-out).err, lameduck.ErrResumed)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, half, told(chs))
		again := make([]<-chan struct{}, len(toks))
		for i := range toks {
			again[i] = toks[i].Draining()
		}
		require.Zero(t, told(again))
		out = drain(t.Context(), g, lameduck.Plan{Announce: time.Minute})
		require.Equal(t, len(toks), told(again), "without a spread all at once")
		require.NoError(t, (<-out).err)
	})
}

func TestG10_ASpreadThatThePlanHasNoTimeForIsRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []lameduck.Plan{
		{Spread: -1, Announce: time.Second},
		{Spread: time.Second},
		{Spread: 3 * time.Second, Announce: time.Second, Units: time.Second, All: time.Second},
		{Spread: time.Second, Cancel: time.Hour},
	} {
		g := newGate(t, lameduck.Options{})
		_, err := g.Drain(t.Context(), p)
		plan := new(*lameduck.PlanError)
		require.ErrorAs(t, err, plan)
		require.Equal(t, "Spread", (*plan).Field)
		require.True(t, leadership.NotExecuted(err))
		require.True(t, g.State().Ready())
	}
}
