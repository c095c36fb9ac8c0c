package reparenttest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// router is a process of clients that send through a lane of the real buffer,
// which follows the registry from afar.
type router struct {
	w    *world
	p    *stepsim.Proc
	b    *buffer.Buffer
	lane *buffer.Lane

	mu       sync.Mutex // guards what follows
	began    time.Time
	released time.Duration // the latest arrival of those that were released
}

const (
	routerAge    = 900 * time.Millisecond
	routerOutage = 1500 * time.Millisecond
)

// router starts one. Its flush goes one by one, so that the order in which
// requests are released is the order in which they are sent.
func (w *world) router(name string) (*router, error) {
	r := &router{w: w, p: w.sim.Proc(name), began: time.Now()}
	r.p.Client = true
	b, err := buffer.New(buffer.Config{
		MaxHeld: 100, MaxAge: routerAge, MaxOutage: routerOutage, ProbeTimeout: 700 * time.Millisecond,
		Flush: buffer.Flush{Start: 1, Max: 1}, Hooks: buffer.Hooks{Waited: r.waited},
	})
	if err != nil {
		return nil, err
	}
	r.b, r.lane = b, b.Lane("sim")
	w.sim.Go(func() { _ = b.Follow(r.p.Life(), remoteRegistry{r.p, w}, r.lane) })
	return r, nil
}

// waited counts holds.
func (r *router) waited(string, time.Duration, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.counts["held"]++
}

// first checks the order of those that were held from their arrival on: each is
// sent for the first time after all that came before it.
func (r *router) first(v uint64, arrived time.Duration) {
	r.mu.Lock()
	late := arrived < r.released
	last := r.released
	r.released = max(r.released, arrived)
	r.mu.Unlock()
	if late {
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		r.w.fail("FIFO", "%s sent value %d, held since %v, after one that was held since %v", r.p.Name, v, arrived, last)
	}
}

// append sends one value through the lane and classes the answer. A value is
// named by its client, so that the order in which requests of one process are
// released does not show in them.
func (r *router) append(ctx context.Context, client, k int) error {
	w := r.w
	v := uint64(r.p.Index())*100_000 + uint64(client)*1000 + uint64(k)
	done := w.appends(10_000+100*r.p.Index()+client, v, leadership.NodeID(r.p.Name))
	tries, sure := 0, true
	held, tried := time.Now(), time.Time{} // since when at the latest, and the end of the last try
	arrival := held
	err := r.lane.Do(ctx, buffer.Request{Bytes: 8}, func(ctx context.Context, to leadership.Leadership, _ string) error {
		if !sure {
			w.mu.Lock()
			w.fail("G9", "%s sent value %d again, and nobody had proven that it was not executed", r.p.Name, v)
			w.mu.Unlock()
		}
		tries++
		switch {
		case tries == 1 && time.Since(arrival) == 0, tries > 1 && time.Since(tried) == 0:
			defer func() { held = time.Now() }() // it was not held before
		case tries == 1:
			r.first(v, arrival.Sub(r.began))
		}
		defer func() { tried = time.Now() }()
		// Two tries of two requests at one moment end at different moments.
		ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond+time.Duration(client)*time.Microsecond)
		defer cancel()
		h, ok := w.hosts[to.Leader]
		if !ok {
			return buffer.NotSent(fmt.Errorf("no such node: %s", to.Leader))
		}
		_, err := stepsim.Call(ctx, r.p, h.proc, "append "+strconv.FormatUint(v, 10)+" try "+strconv.Itoa(tries), func(ctx context.Context) (struct{}, error) {
			defer w.caught(h.ID, "Append")
			return struct{}{}, h.node.Client.Append(ctx, v)
		})
		sure = err != nil && (leadership.NotExecuted(err) || isRefusedDial(err))
		switch {
		case err == nil:
			r.lane.Learn(to, "")
		case isRefusedDial(err):
			// Two that were refused at one moment would both be tried again at one,
			// and one of them be first by chance.
			_ = sleep(ctx, r.p, time.Duration(1+client)*997*time.Nanosecond)
			return buffer.NotSent(err)
		}
		return err
	})
	done(err)
	over := min(time.Since(held)-routerAge, time.Since(tried))
	var full *buffer.OverflowError
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil && tries == 0:
		w.fail("G2", "%s reports value %d as done and never sent it", r.p.Name, v)
	case over > 0 && err != nil:
		w.fail("cap", "%s held value %d for %v longer than its cap of %v: %v", r.p.Name, v, over, routerAge, err)
	case errors.As(err, &full):
		w.fail("cap", "%s found no room for value %d of few: %v", r.p.Name, v, err)
	}
	if err != nil {
		w.routed = append(w.routed, fmt.Errorf("value %d: %w", v, err))
	}
	return err
}

// clients runs n clients of one router, each at a pace of its own: requests
// that came at the very same moment would have no order. Those that are busy go on
// as soon as they are answered.
func (r *router) clients(wg *sync.WaitGroup, n, ops int, busy bool) {
	for c := range n {
		wg.Go(func() {
			for k := range ops {
				pause := time.Duration(1001*(c+1)+17*k) * time.Nanosecond
				switch {
				case !busy:
					pause += time.Duration(1+3*c) * time.Millisecond
				case k > 0:
					pause = 0
				}
				if pause > 0 && sleep(r.p.Life(), r.p, pause) != nil {
					return
				}
				_ = r.append(context.Background(), c, k+1)
			}
		})
	}
}

// painless: G7, in a run in which nothing failed but plans were carried out.
func (w *world) painless() error {
	for _, rep := range w.reports {
		if rep.Outcome != reparent.Done {
			return violation("G7", "nothing failed, and a planned change did:\n%s", rep)
		}
	}
	if len(w.routed) > 0 {
		return violation("G7", "nothing failed, and %d clients were told of errors: %v", len(w.routed), w.routed[0])
	}
	return nil
}
