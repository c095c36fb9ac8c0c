package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

var errCannotWrite = buffer.NotSent(errors.New("read only"))

// prober answers Config.Probe with what it is told to.
type prober struct {
	calls  atomic.Int32
	answer atomic.Pointer[func(ctx context.Context) error]
	last   atomic.Pointer[leadership.Leadership]
}

func (p *prober) probe(ctx context.Context, to leadership.Leadership, _ string) error {
	p.calls.Add(1)
	p.last.Store(&to)
	return (*p.answer.Load())(ctx)
}

func (p *prober) say(f func(ctx context.Context) error) { p.answer.Store(&f) }

func newProber(t *testing.T, cfg buffer.Config) (*prober, *world) {
	p := &prober{}
	p.say(func(context.Context) error { return errCannotWrite })
	cfg.Probe = p.probe
	w := newWorld(t, cfg)
	w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, 100*time.Millisecond))
	return p, w
}

func TestG9_OwnProbeStandsInForTheRequestAndItsNilReleasesTheFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
		for i := range 5 {
			w.start(bg, fmt.Sprint(i), buffer.Request{Unit: true})
		}
		time.Sleep(time.Second)
		require.Greater(t, p.calls.Load(), int32(10))
		require.Equal(t, lead("n1", 1), *p.last.Load())
		require.Empty(t, w.tried(), "no request was sent while the probe was refused")
		require.Equal(t, 5, w.lane.Snapshot().Held)
		p.say(func(context.Context) error { return nil })
		time.Sleep(50 * time.Millisecond)
		w.done()
		require.Equal(t, []string{"0", "1", "2", "3", "4"}, w.started())
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
	})
}

func TestOwnProbeThatIsRefusedForALaterTermKeepsHolding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{})
		p.say(func(context.Context) error { return &leadership.Refusal{Term: term(1), Until: term(7)} })
		w.start(bg, "0", buffer.Request{Unit: true})
		time.Sleep(time.Second)
		s := w.lane.Snapshot()
		require.Equal(t, term(7), s.Refused)
		require.Equal(t, 1, s.Held)
		w.crown(lead("n2", 7))
		w.lane.Observe(routed(3, lead("n2", 7)))
		w.done()
	})
}

func TestOwnProbeNeverDelaysTheEndOfItsCallersWait(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, tc := range []struct {
		name string
		cfg  buffer.Config
		wait func(ctx context.Context) (context.Context, context.CancelFunc)
		ends time.Duration
		is   func(error) bool
	}{
		{"deadline", buffer.Config{ProbeTimeout: time.Hour},
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 700*time.Millisecond)
			},
			700 * time.Millisecond, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{"age", buffer.Config{ProbeTimeout: time.Hour, MaxAge: 300 * time.Millisecond, MaxOutage: time.Hour}, context.WithCancel,
			300 * time.Millisecond, func(err error) bool { var e *buffer.AgeError; return errors.As(err, &e) }},
		{"outage", buffer.Config{ProbeTimeout: time.Hour, MaxAge: 500 * time.Millisecond, MaxOutage: 500 * time.Millisecond}, context.WithCancel,
			500 * time.Millisecond, func(err error) bool {
				var e *buffer.AgeError
				var o *buffer.OutageError
				return errors.As(err, &e) || errors.As(err, &o)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, w := newProber(t, tc.cfg)
				p.say(hang)
				start := time.Now()
				ctx, cancel := tc.wait(bg)
				defer cancel()
				w.start(ctx, "0", buffer.Request{Unit: true})
				w.wg.Wait()
				require.Equal(t, tc.ends, time.Since(start))
				err := w.err("0")
				require.True(t, tc.is(err), "%v", err)
				require.True(t, leadership.NotExecuted(err))
				require.Equal(t, int32(1), p.calls.Load())
				w.done()
			})
		})
	}
}

func TestOwnProbeIsHandedToTheNextWhenItsCallerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{ProbeTimeout: time.Hour, MaxAge: time.Minute, MaxOutage: time.Minute})
		p.say(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithCancel(bg)
		w.start(ctx, "0", buffer.Request{Unit: true})
		w.start(bg, "1", buffer.Request{Unit: true})
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, int32(1), p.calls.Load(), "one probe at a time")
		p.say(func(context.Context) error { return nil })
		start := time.Now()
		cancel()
		synctest.Wait()
		require.ErrorIs(t, w.err("0"), context.Canceled)
		require.Equal(t, int32(2), p.calls.Load())
		w.done()
		require.Zero(t, time.Since(start), "at once")
	})
}

func TestOwnProbeThatHangsIsReplacedAfterProbeTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{ProbeTimeout: 200 * time.Millisecond})
		stuck := make(chan struct{})
		p.say(func(context.Context) error { <-stuck; return nil }) // ignores its context
		w.start(bg, "0", buffer.Request{Unit: true})
		time.Sleep(150 * time.Millisecond) // it probes, and cannot watch the timer
		w.start(bg, "1", buffer.Request{Unit: true})
		w.start(bg, "2", buffer.Request{Unit: true})
		p.say(func(context.Context) error { return nil })
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, []string{"1", "2"}, w.started(), "the stuck one runs no code of ours")
		require.Equal(t, buffer.Serving, w.lane.Snapshot().State)
		close(stuck)
		w.done()
	})
}

func TestOwnProbeIsNotEvictedAndItsCallerEndsAfterClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{ProbeTimeout: time.Second, LaneHeld: 1, Overflow: buffer.EvictOldest})
		p.say(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		w.start(bg, "0", buffer.Request{Unit: true})
		time.Sleep(150 * time.Millisecond)
		require.Equal(t, int32(1), p.calls.Load())
		w.start(bg, "1", buffer.Request{Unit: true})
		var full *buffer.OverflowError
		require.ErrorAs(t, w.err("1"), &full)
		start := time.Now()
		w.b.Close()
		w.wg.Wait()
		require.ErrorIs(t, w.err("0"), leadership.ErrClosed)
		require.Equal(t, 950*time.Millisecond, time.Since(start))
		w.done()
	})
}

func TestOwnProbeEndsAnOutageThatHasReachedItsCap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{MaxAge: time.Second, MaxOutage: time.Second})
		w.start(bg, "0", buffer.Request{Unit: true})
		w.wg.Wait()
		require.Error(t, w.err("0"))
		time.Sleep(time.Second)
		w.start(bg, "1", buffer.Request{Unit: true})
		w.wg.Wait()
		var outage *buffer.OutageError
		require.ErrorAs(t, w.err("1"), &outage, "its probe was refused")
		require.Empty(t, w.tried())
		p.say(func(context.Context) error { return nil })
		time.Sleep(time.Second)
		w.start(bg, "2", buffer.Request{Unit: true})
		w.done()
		require.Equal(t, []string{"2"}, w.started())
	})
}

func TestOwnProbeThatPanicsLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{})
		p.say(func(context.Context) error { panic("boom") })
		w.wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = w.lane.Do(bg, buffer.Request{Unit: true, Bytes: 5}, nop)
		})
		synctest.Wait()
		time.Sleep(110 * time.Millisecond)
		p.say(func(context.Context) error { return nil })
		w.start(bg, "1", buffer.Request{Unit: true})
		w.done()
	})
}

func TestWhoeverProbesDoesNotWatchTheTimer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{ProbeTimeout: time.Hour, MaxAge: time.Second, MaxOutage: time.Hour})
		p.say(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		start := time.Now()
		w.start(bg, "0", buffer.Request{Unit: true})
		time.Sleep(500 * time.Millisecond) // it probes now, alone
		w.start(bg, "1", buffer.Request{Unit: true})
		w.wg.Wait()
		require.Equal(t, 1500*time.Millisecond, time.Since(start))
		var age *buffer.AgeError
		require.ErrorAs(t, w.err("0"), &age)
		require.ErrorAs(t, w.err("1"), &age)
		w.done()
	})
}

func TestOwnProbeIsNotInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, w := newProber(t, buffer.Config{Counted: true})
		w.start(bg, "0", buffer.Request{})
		time.Sleep(500 * time.Millisecond) // it has probed many times
		w.lane.Observe(holding(3, lead("n1", 1), 3))
		ended, stop := context.WithCancel(bg)
		stop()
		require.NoError(t, w.lane.Quiesced(ended, term(3)))
		w.crown(lead("n2", 3))
		w.lane.Observe(routed(4, lead("n2", 3)))
		w.done()
	})
}

func TestOwnProbeThatAnswersAboutAnOlderLeaderSaysNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, w := newProber(t, buffer.Config{})
		answer := make(chan error)
		p.say(func(context.Context) error { return <-answer })
		w.start(bg, "0", buffer.Request{Unit: true})
		time.Sleep(150 * time.Millisecond)
		w.crown(lead("n2", 2))
		w.lane.Observe(routed(3, lead("n2", 2)))
		answer <- &leadership.Refusal{Term: term(1), Until: term(9)}
		w.done()
		s := w.lane.Snapshot()
		require.Equal(t, buffer.Serving, s.State)
		require.Zero(t, s.Refused)
	})
}

// A probe that hangs may be answered long after the next was sent: its answer is
// about what was known when it was sent itself.
func TestProbeThatHungEndsNoAnnouncementThatCameAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{ProbeTimeout: 100 * time.Millisecond})
		hang := []chan struct{}{make(chan struct{}), make(chan struct{})}
		var probes atomic.Int32
		probe := func(first bool) {
			w.wg.Go(func() {
				require.NoError(t, w.lane.Do(bg, buffer.Request{}, func(_ context.Context, to leadership.Leadership, _ string) error {
					if first {
						first = false
						return &leadership.Refusal{Term: to.Term, Until: to.Term, RetryAfter: time.Millisecond}
					}
					answer := hang[min(probes.Add(1), 2)-1]
					<-answer
					return nil
				}))
			})
			synctest.Wait()
		}
		probe(true)
		time.Sleep(10 * time.Millisecond)
		require.EqualValues(t, 1, probes.Load())
		w.lane.Observe(intent(2, lead("n1", 1), 2, leadership.Holding, 50*time.Millisecond))
		probe(false)
		time.Sleep(150 * time.Millisecond)
		require.EqualValues(t, 2, probes.Load(), "the hold is over and the first probe has hung for long enough")
		close(hang[0])
		synctest.Wait()
		require.Equal(t, term(2), w.lane.Announced(), "only the second was sent after the announcement")
		close(hang[1])
		w.done()
		require.Zero(t, w.lane.Announced())
	})
}
