package buffers

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tenure-go/tenure/buffer"

	"github.com/tenure-go/tenure/examples/peers/internal/measure"
	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// overflow sends ten times what there is room for. Those that gave way have been
// told, and have yet to tell their clients: that is when goroutines are counted.
func overflow(o report.Options, ks *keyspaces) ([]report.Row, error) {
	room := 1_000
	if o.Quick {
		room = 200
	}
	t, err := newLane(buffer.Config{MaxHeld: room, MaxAge: week, MaxOutage: week, Overflow: buffer.EvictOldest})
	if err != nil {
		return nil, err
	}
	s := newShard(ks.next(), vtConfig(room-1, 64))
	defer s.buf.Shutdown()
	var extra, cpu [2]measure.Timing
	var floor measure.Timing
	idle := measure.NewParked(9 * room)
	for range o.Rounds {
		e, err := measure.Run(idle, 9*room, measure.How{Warm: true})
		if err != nil {
			return nil, err
		}
		floor = append(floor, e.Hold+e.End)
		for i, f := range []func() (float64, float64, error){
			func() (float64, float64, error) { return spill(t, room, ours(t)) },
			func() (float64, float64, error) { return spill(s, room, theirs(s)) },
		} {
			more, cost, err := f()
			if err != nil {
				return nil, err
			}
			extra[i], cpu[i] = append(extra[i], more), append(cpu[i], cost)
		}
	}
	goroutines := report.Row{
		Group: group, Name: fmt.Sprintf("overflow, %d arrivals for %d places: goroutines beyond the callers", 10*room, room),
		Unit: "goroutines", Allocs: -1, Ours: extra[0].Median(),
		Theirs: []report.Theirs{{Name: vtgate, Value: extra[1].Median(), Allocs: -1}},
		Ratio:  report.Over(extra[0].Median(), extra[1].Median()),
		Bar:    report.Bar{Text: "0", Want: true},
	}
	goroutines.Met = goroutines.Ours <= 0
	evict := held(fmt.Sprintf("arrival that displaces the oldest of %d", room), "us CPU", cpu[0], cpu[1], floor, 1e-3, 0.3)
	return []report.Row{goroutines, evict}, nil
}

// waiter lets one request through the buffer, and calls refused when it gave way.
type waiter func(refused func())

func ours(t *lane) waiter {
	return func(refused func()) {
		if err := t.l.Do(context.Background(), buffer.Request{Unit: true}, nop); err != nil {
			refused()
		}
	}
}

func theirs(s *shard) waiter {
	return func(refused func()) {
		done, err := s.buf.WaitForFailoverEnd(context.Background(), s.keyspace, s.name, nil, nil)
		if err != nil {
			refused()
		}
		if done != nil {
			done()
		}
	}
}

// spill fills h, and then sends nine times as many.
func spill(h measure.Holder, room int, wait waiter) (extra, cpu float64, err error) {
	if err := h.Begin(); err != nil {
		return 0, 0, err
	}
	base := runtime.NumGoroutine()
	told := make(chan struct{})
	var wg sync.WaitGroup
	var refused atomic.Int64
	send := func(n int) {
		for range n {
			wg.Go(func() {
				wait(func() {
					refused.Add(1)
					<-told
				})
			})
		}
	}
	// vtgate's first place is held by the request that found the change out.
	send(room)
	if err := measure.Until(func() bool { return h.Held() >= room-1 }); err != nil {
		return 0, 0, err
	}
	from := measure.CPU()
	send(9 * room)
	err = measure.Until(func() bool { return int(refused.Load()) >= 9*room })
	cpu = float64(measure.CPU()-from) / float64(9*room)
	extra = float64(runtime.NumGoroutine() - base - 10*room)
	close(told)
	if e := h.Release(); err == nil {
		err = e
	}
	wg.Wait()
	if e := h.End(); err == nil {
		err = e
	}
	return extra, cpu, err
}
