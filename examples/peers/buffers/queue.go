package buffers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
)

// request is one request of a scenario: run is called when it may go.
type request func(ctx context.Context, run func() error) error

func (t *lane) request(ctx context.Context, run func() error) error {
	return t.l.Do(ctx, buffer.Request{Unit: true}, func(context.Context, leadership.Leadership, string) error { return run() })
}

func (s *shard) request(ctx context.Context, run func() error) error {
	_, err := s.wait(ctx, nil, run)
	return err
}

// order holds requests in a known order, releases them, and lets half as many
// arrive meanwhile. It counts those of the latter that started too early.
func order(h measure.Holder, do request, held int) (float64, error) {
	if err := h.Begin(); err != nil {
		return 0, err
	}
	var (
		mu    sync.Mutex
		began []int
		wg    sync.WaitGroup
		fails atomic.Int64
	)
	send := func(i int) {
		wg.Go(func() {
			err := do(background, func() error {
				mu.Lock()
				began = append(began, i)
				mu.Unlock()
				time.Sleep(service)
				return nil
			})
			if err != nil {
				fails.Add(1)
			}
		})
	}
	started := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(began)
	}
	for i := range held {
		send(i)
		if err := measure.Until(func() bool { return h.Held() > i }); err != nil {
			return 0, err
		}
	}
	if err := h.Release(); err != nil {
		return 0, err
	}
	if err := measure.Until(func() bool { return started() > 0 }); err != nil {
		return 0, err
	}
	for i := range held / 2 {
		send(held + i)
	}
	wg.Wait()
	if n := fails.Load(); n > 0 {
		return 0, fmt.Errorf("%d requests failed", n)
	}
	early, last := 0, 0
	for at, i := range began {
		if i < held {
			last = at
		}
	}
	for _, i := range began[:last] {
		if i >= held {
			early++
		}
	}
	return float64(early), h.End()
}

func orderOurs(held int) (float64, error) {
	t, err := newLane(buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1}})
	if err != nil {
		return 0, err
	}
	return order(t, t.request, held)
}

func orderTheirs(keyspace string, held int) (float64, error) {
	s := newShard(keyspace, vtConfig(2*held, 1))
	defer s.buf.Shutdown()
	return order(s, s.request, held)
}

// past holds requests whose flush takes longer than each may be held, and returns
// by how much the longest overstayed, in milliseconds.
func past(h measure.Holder, do request, held int, bound time.Duration) (float64, error) {
	if err := h.Begin(); err != nil {
		return 0, err
	}
	var longest atomic.Int64
	var wg sync.WaitGroup
	for range held {
		wg.Go(func() {
			from := time.Now()
			left := func() {
				for took := int64(time.Since(from)); ; {
					if old := longest.Load(); took <= old || longest.CompareAndSwap(old, took) {
						return
					}
				}
			}
			err := do(background, func() error {
				left()
				time.Sleep(service)
				return nil
			})
			if age := (*buffer.AgeError)(nil); errors.As(err, &age) {
				left()
			}
		})
	}
	if err := measure.Until(func() bool { return h.Held() >= held }); err != nil {
		return 0, err
	}
	if err := h.Release(); err != nil {
		return 0, err
	}
	wg.Wait()
	return max(0, float64(longest.Load()-int64(bound))/1e6), h.End()
}

func pastOurs(held int, bound time.Duration) (float64, error) {
	t, err := newLane(buffer.Config{MaxAge: bound, Flush: buffer.Flush{Start: 1, Max: 1}})
	if err != nil {
		return 0, err
	}
	return past(t, t.request, held, bound)
}

func pastTheirs(keyspace string, held int, bound time.Duration) (float64, error) {
	c := vtConfig(held, 1)
	c.Window = bound
	s := newShard(keyspace, c)
	defer s.buf.Shutdown()
	return past(s, s.request, held, bound)
}
