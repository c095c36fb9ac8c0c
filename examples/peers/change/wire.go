package change

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errReset is what a call comes to whose host died and said so.
var errReset = errors.New("change: the connection was reset")

// wire carries messages between hosts. Each takes exactly the one-way delay, in
// order, except from a host to itself. It is the same for every library.
type wire struct {
	delay time.Duration

	mu    sync.Mutex            // guards what follows; taken by senders and the carrier
	far   map[int]time.Duration // these hosts are so much further away from all others
	queue []parcel
	dead  map[int]bool
	// carried counts what was delivered, late how much later than it should
	// have been: timers are not exact, and a busy machine less so.
	carried, late time.Duration
	// gone is closed for a host one delay after it died and its connections
	// were reset.
	gone map[int]chan struct{}

	wake chan struct{}
	stop chan struct{}
	wg   sync.WaitGroup
}

// parcel is a message on its way. deliver must not block.
type parcel struct {
	at       time.Time
	from, to int
	deliver  func()
}

// newWire starts the one goroutine that carries; close ends it.
func newWire(delay time.Duration, hosts int) *wire {
	w := &wire{
		delay: delay, far: map[int]time.Duration{}, dead: map[int]bool{}, gone: map[int]chan struct{}{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	for h := range hosts {
		w.gone[h] = make(chan struct{})
	}
	w.wg.Go(w.carry)
	return w
}

func (w *wire) close() {
	close(w.stop)
	w.wg.Wait()
}

// rtt is one round trip.
func (w *wire) rtt() time.Duration { return 2 * w.delay }

// send delivers after the delay, unless the sender is dead now, or the receiver
// then.
func (w *wire) send(from, to int, deliver func()) {
	w.mu.Lock()
	if !w.dead[from] {
		d := w.delay + w.far[from] + w.far[to]
		w.push(parcel{at: time.Now().Add(d), from: from, to: to, deliver: deliver})
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// move puts a host further away from all others.
func (w *wire) move(host int, by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.far[host] = by
}

// push keeps the queue in the order of arrival. mu is held.
func (w *wire) push(p parcel) {
	i := len(w.queue)
	for i > 0 && w.queue[i-1].at.After(p.at) {
		i--
	}
	w.queue = slices.Insert(w.queue, i, p)
}

// carry delivers.
func (w *wire) carry() {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		w.mu.Lock()
		var next parcel
		due, left := false, time.Hour
		if len(w.queue) > 0 {
			next = w.queue[0]
			left = time.Until(next.at)
			if due = left <= 0; due {
				w.queue = w.queue[1:]
				due = !w.dead[next.to]
				w.carried++
				w.late -= left
				left = 0
			}
		}
		w.mu.Unlock()
		if due {
			next.deliver()
		}
		if left <= 0 {
			continue
		}
		t.Reset(left)
		select {
		case <-w.stop:
			return
		case <-w.wake:
		case <-t.C:
		}
	}
}

// kill ends a host: it sends and receives nothing any more. What it had sent
// still arrives. With announce its connections are reset: everybody hears of
// it one delay later.
func (w *wire) kill(host int, announce bool) {
	w.mu.Lock()
	w.dead[host] = true
	if announce {
		// From nowhere to nowhere: neither is dead.
		w.push(parcel{at: time.Now().Add(w.delay), from: -1, to: -1, deliver: func() { close(w.gone[host]) }})
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// lateness is by how much of the delay messages were late, on average.
func (w *wire) lateness() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return float64(w.late) / float64(max(1, w.carried)) / float64(w.delay)
}

func (w *wire) isDead(host int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead[host]
}

// call asks a host and waits for its answer, which a dead one never gives. When
// ctx ends first, or the connection is reset, the call may have been executed.
// The work at the other side is joined by wg.
func call[T any](ctx context.Context, w *wire, wg *sync.WaitGroup, from, to int, f func(context.Context) (T, error)) (T, error) {
	if from == to {
		return f(ctx)
	}
	type answer struct {
		v   T
		err error
	}
	back := make(chan answer, 1)
	// Held until the parcel was delivered or dropped would be for ever for a
	// dead host, so the work is counted when it begins.
	w.send(from, to, func() {
		wg.Go(func() {
			v, err := f(ctx)
			w.send(to, from, func() { back <- answer{v, err} })
		})
	})
	var none T
	select {
	case a := <-back:
		return a.v, a.err
	case <-w.gone[to]:
		return none, errReset
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
