package buffer_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// The greatest duration says "no bound": added to any time it must not become one
// that has passed long ago.
func TestG10_GreatestDurationsAreWaitedForLikeAnyOther(t *testing.T) {
	t.Parallel()
	const endless = time.Duration(math.MaxInt64)
	owned := func(context.Context, leadership.Leadership, string) error { return nil }
	for _, tc := range []struct {
		name string
		cfg  buffer.Config
	}{
		{"no caps", buffer.Config{MaxAge: endless, MaxOutage: endless}},
		{"no caps, own probe", buffer.Config{MaxAge: endless, MaxOutage: endless, Probe: owned}},
		{"no bound of a probe", buffer.Config{ProbeTimeout: endless}},
		{"no ageing", buffer.Config{MaxAge: endless, MaxOutage: endless, Ageing: endless}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tc.cfg.Flush = buffer.Flush{Max: 1, Every: endless}
				w := newWorld(t, tc.cfg)
				ctx, cancel := context.WithTimeout(bg, time.Hour)
				defer cancel()
				w.set(func() {
					w.refusal = &leadership.Refusal{Term: term(1), Until: term(1), RetryAfter: time.Millisecond}
				})
				w.start(ctx, "low", buffer.Request{Priority: buffer.MinPriority})
				w.start(ctx, "ordinary", buffer.Request{})
				w.start(ctx, "high", buffer.Request{Priority: buffer.MaxPriority})
				start := time.Now()
				time.Sleep(10 * time.Millisecond)
				w.refuse(0)
				w.done()
				require.Less(t, time.Since(start), time.Second)
				require.Equal(t, []string{"high", "ordinary", "low"}, w.started())
				require.Less(t, len(w.tried()), 20, "each try waited for its time")
			})
		})
	}
}

func TestFlushOfTheGreatestEveryWidensByAnswersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Every: math.MaxInt64}})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, time.Minute))
		for _, name := range []string{"a", "b", "c"} {
			w.start(bg, name, buffer.Request{Unit: true})
		}
		w.set(func() { w.service = time.Second })
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, 1, w.load())
		time.Sleep(time.Second)
		require.Equal(t, 2, w.load())
		w.done()
	})
}

func TestMaxAgeIsKeptWhateverHoldForAnnounces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true, MaxAge: time.Second})
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, math.MaxInt64))
		require.NoError(t, w.lane.Quiesced(bg, term(2)))
		ctx, cancel := context.WithTimeout(bg, time.Hour)
		defer cancel()
		start := time.Now()
		w.start(ctx, "r", buffer.Request{})
		w.wg.Wait()
		var age *buffer.AgeError
		require.ErrorAs(t, w.err("r"), &age)
		require.Equal(t, time.Second, time.Since(start))
		w.done()
	})
}
