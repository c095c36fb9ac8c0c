package lameduck_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/race"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A hammer is what four workers and a drainer share.
type hammer struct {
	g                         *lameduck.Gate
	inside, admitted, refused atomic.Int64
}

// entry is one entry of the nth kind of use, with its exit.
func (h *hammer) entry(t *testing.T, enter func(lameduck.Kind) (lameduck.Token, error), n int) {
	k := [...]lameduck.Kind{lameduck.Single, lameduck.Unit, lameduck.Single, lameduck.Stream, lameduck.Single}[n%5]
	tok, err := enter(k)
	if err != nil {
		h.refused.Add(1)
		return
	}
	h.admitted.Add(1)
	switch {
	case k == lameduck.Unit:
		if cont, err := tok.Continue(); err == nil {
			h.inside.Add(1)
			h.inside.Add(-1)
			cont.Exit()
		}
	case k == lameduck.Single && n%50 == 0:
		h.inside.Add(1)
		if err := tok.Context(context.Background()).Err(); err != nil {
			t.Errorf("cancelled by a drain that never cancels: %v", err)
		}
		h.inside.Add(-1)
	case k == lameduck.Single:
		h.inside.Add(1)
		h.inside.Add(-1)
	}
	tok.Exit()
}

// drains drains and opens, or undoes, until stop is closed.
func (h *hammer) drains(t *testing.T, stop <-chan struct{}) (drained, undone uint64) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return drained, undone
		default:
		}
		var undo sync.WaitGroup
		if n%3 == 0 {
			undo.Go(func() {
				if err := h.g.Resume(); err != nil && !errors.Is(err, lameduck.ErrTooLate) {
					t.Errorf("resume: %v", err)
				}
			})
		}
		_, err := h.g.Drain(context.Background(), lameduck.Plan{Units: time.Minute, All: time.Minute})
		inside := h.inside.Load()
		undo.Wait()
		switch {
		case errors.Is(err, lameduck.ErrResumed):
			undone++
			continue
		case err != nil || inside != 0:
			t.Errorf("drained with %d inside: %v", inside, err)
			return drained, undone
		}
		drained++
		if err := h.g.Serve(term(5 + drained)); err != nil {
			t.Error(err)
			return drained, undone
		}
	}
}

func TestEnterRacingDrainAMillionTimesIsCountedOrRefused(t *testing.T) {
	t.Parallel()
	const workers = 4
	each := 250_000
	if testing.Short() || race.Enabled {
		each = 25_000
	}
	g := newGate(t, lameduck.Options{})
	h := &hammer{g: g}
	child := g.Child("child")
	var wg sync.WaitGroup
	for _, enter := range []func(lameduck.Kind) (lameduck.Token, error){g.Enter, g.Enter, g.Cell().Enter, child.Enter} {
		wg.Go(func() {
			for n := range each {
				h.entry(t, enter, n)
			}
		})
	}
	stop := make(chan struct{})
	var drained, undone uint64
	var drainer sync.WaitGroup
	drainer.Go(func() { drained, undone = h.drains(t, stop) })
	wg.Wait()
	close(stop)
	drainer.Wait()
	require.Equal(t, int64(workers*each), h.admitted.Load()+h.refused.Load())
	require.Equal(t, lameduck.Counts{}, g.InFlight())
	if drained == 0 || h.refused.Load() == 0 {
		t.Fatalf("no race: %d drains, %d refused", drained, h.refused.Load())
	}
	t.Logf("%d drains, %d undone, %d admitted, %d refused", drained, undone, h.admitted.Load(), h.refused.Load())
}

// Callers that race for the one cell behind Enter get cells of their own, and
// nothing else changes for them or for a drain.
func TestAGateThatManyRaceForCountsInMoreCellsAndStaysExact(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	lameduck.Widen(g)
	var wg sync.WaitGroup
	toks := make([]lameduck.Token, 100)
	all := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(len(toks))
	for i := range toks {
		wg.Go(func() {
			begun.Done()
			<-all // a goroutine that has ended lends its stack to the next
			k := lameduck.Single
			if i%2 == 0 {
				k = lameduck.Unit
			}
			tok, err := g.Enter(k)
			if err != nil {
				t.Error(err)
			}
			toks[i] = tok
		})
	}
	begun.Wait()
	close(all)
	wg.Wait()
	require.Equal(t, lameduck.Counts{Active: 50, Units: 50}, g.InFlight())
	require.True(t, lameduck.CellsInUse(g) > 1, "all goroutines in one cell")
	rep, err := g.Drain(t.Context(), lameduck.Plan{})
	require.ErrorAs(t, err, new(*lameduck.ForcedError))
	require.Equal(t, 50, rep.Surviving)
	_, err = g.Enter(lameduck.Single)
	require.Error(t, err)
	for i := range toks {
		toks[i].Exit()
	}
	require.Equal(t, lameduck.Counts{}, g.InFlight())
}

// A cell guesses that it counts nothing else, and learns when it does as a rule:
// the guess may cost time, never a count or an admission.
func TestACellThatSeveralShareStaysExactAndClosesWithItsGate(t *testing.T) {
	t.Parallel()
	g := newGate(t, lameduck.Options{})
	c := g.Cell()
	for n := range 200 {
		first, err := c.Enter(lameduck.Single)
		require.NoError(t, err)
		second, err := c.Enter(lameduck.Single)
		require.NoError(t, err)
		require.Equal(t, lameduck.Counts{Active: 2}, g.InFlight())
		first.Exit()
		second.Exit()
		require.Equal(t, lameduck.Counts{}, g.InFlight())
		if n%50 != 0 {
			continue
		}
		_, err = g.Drain(t.Context(), lameduck.Plan{})
		require.NoError(t, err)
		for range 2 {
			_, err = c.Enter(lameduck.Single)
			var r *leadership.Refusal
			require.ErrorAs(t, err, &r)
		}
		require.Equal(t, lameduck.Counts{}, g.InFlight())
		require.NoError(t, g.Serve(term(uint64(n+6))))
	}
	require.NoError(t, c.Close())
	_, err := c.Enter(lameduck.Single)
	require.ErrorIs(t, err, lameduck.ErrCellClosed)
}
