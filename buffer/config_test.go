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
	require.False(t, ran)
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
