package change

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// errRefused proves that an operation was not executed. errUnknown says that it
// may have been.
var (
	errRefused = errors.New("change: refused")
	errUnknown = errors.New("change: outcome unknown")
)

// op is one operation of a client. It is made by a writer; the node that takes
// it first notes that.
type op struct {
	id    uint64
	began time.Time
	taken atomic.Int64 // nanoseconds since the start of the trial, plus one; 0: no log has it
	at    atomic.Int64 // the node that took it first
	// What the writer saw. Only the writer writes these, before it records it.
	refused int
	unknown bool
	done    time.Time
}

// take notes that a node's log took the operation.
func (o *op) take(node int, since time.Time) {
	if o.taken.CompareAndSwap(0, int64(time.Since(since))+1) {
		o.at.Store(int64(node))
	}
}

// beacon tells clients who leads, at once and for free: how clients find the
// leader is not what is measured, and it is the same for every library.
type beacon struct {
	mu      sync.Mutex // guards what follows; taken by nodes and writers
	leader  int
	serial  int // rises with every change
	changed chan struct{}
}

func newBeacon() *beacon { return &beacon{leader: -1, changed: make(chan struct{})} }

func (b *beacon) set(node int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leader = node
	b.serial++
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *beacon) get() (leader, serial int, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leader, b.serial, b.changed
}

// await waits until a node that satisfies want leads.
func (b *beacon) await(ctx context.Context, want func(int) bool) (int, error) {
	for {
		leader, _, changed := b.get()
		if leader >= 0 && want(leader) {
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return -1, context.Cause(ctx)
		}
	}
}

// load is writers in a closed loop, each with one operation at a time, beside
// the nodes: no delay is injected between a client and a node.
type load struct {
	began  time.Time
	beacon *beacon
	rtt    time.Duration
	submit func(ctx context.Context, o *op) error           // through a buffer; nil: to whoever the beacon shows
	direct func(ctx context.Context, node int, o *op) error // one try at one node
	nextID atomic.Uint64
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex // guards ops
	ops    []*op
}

// writersFor says how many closed loops there are: so many that a gap is seen to a
// thirtieth of a round trip where the machine can carry them.
func writersFor(delay time.Duration) int {
	if delay < 5*time.Millisecond {
		return 8
	}
	return 32
}

func (l *load) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	for i := range writersFor(l.rtt / 2) {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		l.wg.Go(func() { l.write(ctx, r) })
	}
}

// stop ends the writers and returns every operation that came to an end, or
// had not by now.
func (l *load) stop() []*op {
	l.cancel()
	l.wg.Wait()
	return l.ops
}

func (l *load) write(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		// A random pause keeps the writers out of step.
		if !sleep(ctx, time.Duration(r.Int64N(int64(l.rtt/4)+1))) {
			return
		}
		o := &op{id: l.nextID.Add(1), began: time.Now()}
		err := l.one(ctx, o)
		o.done = time.Now()
		if ctx.Err() != nil && err != nil {
			return // the trial is over
		}
		o.unknown = err != nil
		l.mu.Lock()
		l.ops = append(l.ops, o)
		l.mu.Unlock()
	}
}

// one brings an operation to its end: done, or unknown. What is refused is
// tried again as soon as another node leads, or the same one again.
func (l *load) one(ctx context.Context, o *op) error {
	if l.submit != nil {
		err := l.submit(ctx, o)
		if errors.Is(err, errRefused) {
			o.refused++ // it came through the buffer: the caller saw it
		}
		return err
	}
	for {
		leader, serial, _ := l.beacon.get()
		err := errRefused
		if leader >= 0 {
			err = l.direct(ctx, leader, o)
		}
		if !errors.Is(err, errRefused) {
			return err
		}
		o.refused++
		if err := l.later(ctx, serial); err != nil {
			return err
		}
	}
}

// later waits for news of the leader, and at most a quarter of a round trip.
func (l *load) later(ctx context.Context, serial int) error {
	_, now, changed := l.beacon.get()
	if now != serial {
		return nil
	}
	t := time.NewTimer(l.rtt / 4)
	defer t.Stop()
	select {
	case <-changed:
		return nil
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
