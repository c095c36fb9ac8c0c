package buffer_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestG10_ContradictoryConfigsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		field string
		cfg   buffer.Config
	}{
		{"MaxHeld", buffer.Config{MaxHeld: -1}},
		{"MaxBytes", buffer.Config{MaxBytes: -1}},
		{"Flush.Jitter", buffer.Config{Flush: buffer.Flush{Jitter: -1}}},
		{"Flush.Jitter", buffer.Config{MaxAge: time.Second, Flush: buffer.Flush{Jitter: time.Second}}},
		{"AtOutage", buffer.Config{AtOutage: 2}},
		{"AtOutage", buffer.Config{AtOutage: buffer.PassThrough, Counted: true}},
		{"AtOutage", buffer.Config{AtOutage: buffer.PassThrough, Probe: func(context.Context, leadership.Leadership, string) error { return nil }}},
		{"Flush.Every", buffer.Config{Flush: buffer.Flush{Every: -1}}},
		{"Overflow", buffer.Config{Overflow: 9}},
		{"LaneHeld", buffer.Config{MaxHeld: 5, LaneHeld: 6}},
		{"LaneBytes", buffer.Config{MaxBytes: 5, LaneBytes: 6}},
		{"MaxAge", buffer.Config{MaxAge: 3 * time.Second, MaxOutage: 2 * time.Second}},
		{"MinService", buffer.Config{MaxAge: time.Second, MinService: time.Second}},
		{"ExpectedOutage", buffer.Config{MaxOutage: 20 * time.Second, ExpectedOutage: time.Minute}},
		{"Flush.Start", buffer.Config{Flush: buffer.Flush{Start: 8, Max: 4}}},
	} {
		_, err := buffer.New(tc.cfg)
		var bad *buffer.ConfigError
		require.ErrorAs(t, err, &bad, tc.field)
		require.Equal(t, tc.field, bad.Field)
	}
	for _, ok := range []buffer.Config{{}, {MaxAge: time.Minute}, {MaxOutage: time.Second}, {Flush: buffer.Flush{Start: 100}}, {Flush: buffer.Flush{Max: 1}}} {
		_, err := buffer.New(ok)
		require.NoError(t, err)
	}
}

func TestG10_BadRequestsAreRefusedBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	b, err := buffer.New(buffer.Config{})
	require.NoError(t, err)
	l := b.Lane("k")
	l.Observe(routed(1, lead("n1", 1)))
	var bad *buffer.RequestError
	require.ErrorAs(t, l.Do(bg, buffer.Request{}, nil), &bad)
	ran := false
	require.ErrorAs(t, l.Do(bg, buffer.Request{Bytes: -1}, func(context.Context, leadership.Leadership, string) error { ran = true; return nil }), &bad)
	for _, p := range []buffer.Priority{buffer.MinPriority - 1, buffer.MaxPriority + 1, -128, 127} {
		require.ErrorAs(t, l.Do(bg, buffer.Request{Priority: p}, func(context.Context, leadership.Leadership, string) error { ran = true; return nil }), &bad)
		require.True(t, leadership.NotExecuted(bad))
	}
	require.False(t, ran)
	require.NoError(t, l.Do(bg, buffer.Request{Priority: buffer.MaxPriority}, nop))
	require.NoError(t, l.Do(bg, buffer.Request{Priority: buffer.MinPriority}, nop))
	l.Learn(leadership.Leadership{}, "x")
	l.Learn(leadership.Leadership{Term: term(9)}, "x") // a term without a leader names nobody
	r, ok := l.Pass()
	to := r.To()
	require.True(t, ok)
	require.Equal(t, lead("n1", 1), to)
	var cfg *buffer.ConfigError
	require.ErrorAs(t, b.Follow(bg, nil, l), &cfg)
	require.ErrorAs(t, b.Follow(bg, &leadership.MemoryRegistry{}), &cfg)
	require.ErrorAs(t, b.Follow(bg, &leadership.MemoryRegistry{}, nil), &cfg)
	other, _ := buffer.New(buffer.Config{})
	require.ErrorAs(t, other.Follow(bg, &leadership.MemoryRegistry{}, l), &cfg)
}

func TestG10_WhatComesAfterCloseDoesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Share: buffer.Share{Held: 1, Lanes: 1}})
		w.refuse(2)
		w.start(bg, "held", buffer.Request{Key: "a", Priority: 1})
		w.b.Close()
		w.lane.Observe(routed(9, lead("n9", 9)))
		w.lane.Observe(intent(10, lead("n9", 9), 10, leadership.Holding, time.Second))
		w.lane.Learn(lead("n11", 11), "x")
		w.b.Close()
		late := w.b.Lane("late")
		late.Observe(routed(1, lead("n1", 1)))
		late.Learn(lead("n2", 2), "x")
		var closed *buffer.ClosedError
		for _, l := range []*buffer.Lane{w.lane, late} {
			require.ErrorAs(t, l.Do(bg, buffer.Request{Key: "a"}, nop), &closed)
			require.Equal(t, buffer.Closed, l.Snapshot().State)
			require.False(t, l.Ready())
			require.Zero(t, l.Snapshot().Held)
			require.Zero(t, l.Snapshot().Bytes)
		}
		w.wg.Wait()
		require.ErrorAs(t, w.err("held"), &closed)
		require.Zero(t, w.b.Stats().Held)
	})
}

// A request that nobody counts would be cut off by a change that waits for those that
// are counted.
func TestOnALaneThatCountsNothingPassesUncounted(t *testing.T) {
	t.Parallel()
	for _, counted := range []bool{false, true} {
		b, err := buffer.New(buffer.Config{Counted: counted})
		require.NoError(t, err)
		l := b.Lane("k")
		l.Learn(lead("n1", 1), "n1:1")
		_, ok := l.Pass()
		require.Equal(t, !counted, ok)
		require.True(t, l.Ready())
		e, ok := l.TryEnter()
		require.True(t, ok)
		e.Leave()
	}
}
