package main

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-go/tenure/internal/measure"
	"github.com/tenure-go/tenure/leadership"
)

const (
	// perKey is how many clients share keys: few enough that a history of a
	// key is checked in a moment.
	perKey = 4
	// keysPerGroup is how many keys such a group of clients has.
	keysPerGroup = 2
	// think is the mean pause of a client between its requests.
	think = 15 * time.Millisecond
	// patience bounds a request of a client, holding included.
	patience = maxAge + 2*attemptTimeout
)

// The outcomes of a request: not executed is proven, or it is unknown.
const (
	done    = measure.Done
	refused = measure.Refused
	unknown = measure.Unknown
)

// op is one request of one client. Times count from the start of the show.
type op struct {
	client    int
	key       string
	write     bool
	value     string // what was written, or read
	index     uint64 // the place in the log of a write
	call, ret time.Duration
	outcome   measure.Outcome
	err       error
}

// load is the closed-loop clients. Each has its own history; what is shared is
// counters.
type load struct {
	epoch     time.Time
	stopping  chan struct{}
	stopOnce  sync.Once
	wg        sync.WaitGroup
	histories [][]op // one per client, its own until stop has joined it
	ended     time.Duration

	inFlight []atomic.Int64 // per client: when its request was called, 0 for none
	counts   [3]atomic.Int64
	buckets  [64]atomic.Int64 // answered requests by bits of their microseconds, in halves
}

// startLoad starts the clients. They end with stop; ctx ends requests too.
func startLoad(ctx context.Context, r *router, clients int, epoch time.Time) *load {
	l := &load{
		epoch: epoch, stopping: make(chan struct{}),
		histories: make([][]op, clients), inFlight: make([]atomic.Int64, clients),
	}
	for id := range clients {
		l.wg.Go(func() { l.client(ctx, r, id) })
	}
	return l
}

// stop lets each client finish its request, joins them and returns what they
// did, in order of clients and within them of time.
func (l *load) stop() []op {
	l.stopOnce.Do(func() { close(l.stopping) })
	l.wg.Wait()
	l.ended = time.Since(l.epoch)
	var all []op
	for _, h := range l.histories {
		all = append(all, h...)
	}
	return all
}

func (l *load) client(ctx context.Context, r *router, id int) {
	rnd := rand.New(rand.NewPCG(uint64(id), 1))
	timer := time.NewTimer(time.Duration(rnd.Int64N(int64(think))))
	defer timer.Stop()
	for n := 1; ; n++ {
		select {
		case <-timer.C:
		case <-l.stopping:
			return
		case <-ctx.Done():
			return
		}
		o := op{client: id, key: fmt.Sprintf("g%d-k%d", id/perKey, rnd.IntN(keysPerGroup)), write: rnd.IntN(2) == 0}
		if o.write {
			o.value = fmt.Sprintf("c%d-%d", id, n)
		}
		l.do(ctx, r, &o)
		l.histories[id] = append(l.histories[id], o)
		timer.Reset(think/2 + time.Duration(rnd.Int64N(int64(think))))
	}
}

// do sends one request and notes how it went.
func (l *load) do(ctx context.Context, r *router, o *op) {
	o.call = time.Since(l.epoch)
	l.inFlight[o.client].Store(int64(o.call))
	try, cancel := context.WithTimeout(ctx, patience)
	if o.write {
		o.index, o.err = r.put(try, o.key, o.value)
	} else {
		o.value, o.err = r.get(try, o.key)
	}
	cancel()
	o.ret = time.Since(l.epoch)
	l.inFlight[o.client].Store(0)
	o.outcome = outcomeOf(o.err)
	l.counts[o.outcome].Add(1)
	if o.outcome == done {
		l.buckets[bucket(o.ret-o.call)].Add(1)
	}
}

// outcomeOf reads an error: only proof counts as "not executed".
func outcomeOf(err error) measure.Outcome {
	switch {
	case err == nil:
		return done
	case leadership.NotExecuted(err) && !errors.Is(err, leadership.ErrUnknownOutcome):
		return refused
	}
	return unknown
}

// settled reports whether no request is under way that began before t.
func (l *load) settled(t time.Duration) bool {
	for i := range l.inFlight {
		if at := l.inFlight[i].Load(); at > 0 && time.Duration(at) < t {
			return false
		}
	}
	return true
}

// bucket numbers latencies so that two neighbours differ by about 1.4.
func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 1))
	n := bits.Len64(us) // us is in [2^(n-1), 2^n)
	b := 2 * (n - 1)
	if us >= 3<<max(n-2, 0) && n > 1 {
		b++
	}
	return min(b, 63)
}

// bucketTop is the upper end of a bucket.
func bucketTop(b int) time.Duration {
	us := uint64(1) << (b/2 + 1)
	if b%2 == 0 {
		us = 3 << max(b/2-1, 0)
	}
	return time.Duration(us) * time.Microsecond
}

// pulse is the state of the counters at a moment.
type pulse struct {
	counts  [3]int64
	buckets [64]int64
}

func (l *load) pulse() (p pulse) {
	for i := range p.counts {
		p.counts[i] = l.counts[i].Load()
	}
	for i := range p.buckets {
		p.buckets[i] = l.buckets[i].Load()
	}
	return p
}

// p99 is an upper bound of the 99th percentile of what was answered since.
func (p pulse) p99(since pulse) time.Duration {
	var total int64
	for i := range p.buckets {
		total += p.buckets[i] - since.buckets[i]
	}
	left := total / 100
	for i := len(p.buckets) - 1; i >= 0; i-- {
		if left -= p.buckets[i] - since.buckets[i]; left < 0 {
			return bucketTop(i)
		}
	}
	return 0
}
