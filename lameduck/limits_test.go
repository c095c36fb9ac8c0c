package lameduck_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// The counts of a cell share one word. A field that is full refuses: were it to
// spill over, the next field would count what is not there.
func TestAFullCellRefusesAndCountsOn(t *testing.T) {
	t.Parallel()
	const streams, active = 1<<18 - 1, 1<<21 - 1
	g := newGate(t, lameduck.Options{})
	c := g.Cell()
	unit, err := c.Enter(lameduck.Unit)
	require.NoError(t, err)
	fill := func(k lameduck.Kind, n int) (last lameduck.Token) {
		for range n {
			last, err = c.Enter(k)
			require.NoError(t, err)
		}
		return last
	}
	full := func(err error, limit int) {
		t.Helper()
		var e *lameduck.CapacityError
		require.True(t, errors.As(err, &e), err)
		require.Equal(t, limit, e.Max)
		require.True(t, leadership.NotExecuted(err))
	}
	stream := fill(lameduck.Stream, streams)
	_, err = c.Enter(lameduck.Stream)
	full(err, streams)
	single := fill(lameduck.Single, active)
	_, err = c.Enter(lameduck.Single)
	full(err, active)
	_, err = unit.Continue()
	full(err, active)
	require.Equal(t, lameduck.Counts{Streams: streams, Units: 1, Active: active}, g.InFlight())

	// Another cell of the gate has room, and so has this one once somebody left.
	other := enter(t, g, lameduck.Stream)
	other.Exit()
	stream.Exit()
	single.Exit()
	request, err := unit.Continue()
	require.NoError(t, err, "the unit goes on")
	request.Exit()
	fill(lameduck.Stream, 1)
	fill(lameduck.Single, 1)
	require.Equal(t, lameduck.Counts{Streams: streams, Units: 1, Active: active}, g.InFlight())
}

func TestErrorsSayWhatBecameOfTheWork(t *testing.T) {
	t.Parallel()
	refusal := &leadership.Refusal{Term: term(5), Leader: "n2", Reason: "the node is upgraded"}
	for _, c := range []struct {
		err  error
		says []string
		not  bool // NotExecuted
	}{
		{&lameduck.RestartUnitError{Refusal: refusal}, []string{"restart", "n2"}, true},
		{&lameduck.UnitCutError{Refusal: refusal}, []string{"unknown", "upgraded"}, false},
		{&lameduck.CancelledError{Refusal: refusal}, []string{"cancelled", "upgraded"}, false},
		{&lameduck.CancelledError{Refusal: refusal, Idle: true}, []string{"ended the unit", "upgraded"}, false},
		{&lameduck.PlanError{Field: "All", Reason: "is negative"}, []string{"All", "negative"}, true},
		{&lameduck.DeadlineError{Need: time.Minute, Have: time.Second}, []string{"1m0s", "1s"}, true},
		{&lameduck.PhaseError{Op: "drain", Phase: lameduck.Forced}, []string{"drain", "forced"}, true},
		{&lameduck.TermOrderError{Asked: term(4), Served: term(5), Sealed: term(6)}, []string{"4.p", "5.p", "6.p"}, true},
		{&lameduck.KindError{Kind: 9}, []string{"9"}, true},
		{&lameduck.CapacityError{Kind: lameduck.Stream, Max: 7}, []string{"7", "stream"}, true},
		{&lameduck.ForcedError{Survivors: 3}, []string{"3 requests"}, false},
		{&lameduck.BrokenOffError{Phase: lameduck.DrainAll, Err: io.EOF}, []string{"drain-all", "serves again", "EOF"}, false},
		{&lameduck.BrokenOffError{Phase: lameduck.Cancelled, Held: true, Err: io.EOF}, []string{"cancelled", "stays", "EOF"}, false},
	} {
		for _, s := range c.says {
			require.True(t, strings.Contains(c.err.Error(), s), c.err, "does not say", s)
		}
		require.Equal(t, c.not, leadership.NotExecuted(c.err), c.err)
	}
	require.ErrorIs(t, &lameduck.UnitCutError{Refusal: refusal}, leadership.ErrUnknownOutcome)
	var as *leadership.Refusal
	require.False(t, errors.As(&lameduck.UnitCutError{Refusal: refusal}, &as), "it would prove that nothing ran")
}

// A request that outlives its gate still finds what its caller put in its context.
func TestAContextKeepsItsValuesWhenItsTokenIsOver(t *testing.T) {
	t.Parallel()
	type key struct{}
	parent := context.WithValue(t.Context(), key{}, "who")
	for name, end := range map[string]func(g *lameduck.Gate, tok *lameduck.Token){
		"running": func(*lameduck.Gate, *lameduck.Token) {},
		"exited":  func(_ *lameduck.Gate, tok *lameduck.Token) { tok.Exit() },
		"cancelled": func(g *lameduck.Gate, _ *lameduck.Token) {
			_, err := g.Drain(t.Context(), lameduck.Plan{Cancel: time.Millisecond})
			var forced *lameduck.ForcedError
			require.True(t, err == nil || errors.As(err, &forced), err)
		},
	} {
		for _, k := range []lameduck.Kind{lameduck.Single, lameduck.Unit, lameduck.Stream} {
			g := newGate(t, lameduck.Options{})
			tok := enter(t, g, k)
			ctx := tok.Context(parent)
			end(g, &tok)
			require.Equal(t, any("who"), ctx.Value(key{}), name, k)
			derived, cancel := context.WithCancel(ctx)
			require.Equal(t, ctx.Err() != nil, derived.Err() != nil, name, k)
			cancel()
			tok.Exit()
		}
	}
}
