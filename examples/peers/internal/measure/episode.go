package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// CPU is what this process has used so far. Other processes disturb it less than
// the time on the wall.
func CPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Until polls f, at most for a minute.
func Until(f func() bool) error {
	for end := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(end) {
			return errors.New("measure: what was waited for has not come within a minute")
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}

// Holder is something that holds requests and releases them.
type Holder interface {
	// Begin holds from now on.
	Begin() error
	// Call is one request: it returns when the request has been released and
	// done, or its context has ended.
	Call(ctx context.Context, i int) error
	// Held is how many requests wait now.
	Held() int
	// Release lets them go.
	Release() error
	// End makes ready for the next Begin.
	End() error
}

// Episode is what holding n requests cost: the process's CPU time and its heap,
// each per request.
type Episode struct {
	Hold, End float64 // ns of CPU
	Wall      float64 // ns on the wall from the release until all have ended
	Mallocs   float64
	Live      float64 // bytes of heap in use while all are held, when asked for
}

// How an episode is run.
type How struct {
	// Cancel ends it by cancelling all requests at once.
	Cancel bool
	// Live asks for Episode.Live, which takes garbage collections while all are
	// held: what the episode cost says nothing then.
	Live bool
	// Warm does not collect garbage before: what the last episode put into
	// pools is there.
	Warm bool
}

// Run holds n requests at h, and then releases or cancels them.
func Run(h Holder, n int, how How) (Episode, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := h.Begin(); err != nil {
		return Episode{}, err
	}
	var before, during, after runtime.MemStats
	if !how.Warm {
		runtime.GC()
		runtime.GC() // what pools gave up in the first
	}
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	var begun, wrong atomic.Int64
	var e Episode
	from := CPU()
	for i := range n {
		wg.Go(func() {
			begun.Add(1)
			if err := h.Call(ctx, i); (err != nil) != how.Cancel {
				wrong.Add(1)
			}
		})
	}
	if err := Until(func() bool { return int(begun.Load()) == n && h.Held() >= n }); err != nil {
		return Episode{}, fmt.Errorf("%w: %d of %d held", err, h.Held(), n)
	}
	held := CPU()
	if how.Live {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&during)
		e.Live = (float64(during.HeapAlloc) - float64(before.HeapAlloc)) / float64(n)
	}
	released := CPU()
	wall := time.Now()
	if how.Cancel {
		cancel()
	} else if err := h.Release(); err != nil {
		return Episode{}, err
	}
	wg.Wait()
	e.Wall = float64(time.Since(wall)) / float64(n)
	e.Hold, e.End = float64(held-from)/float64(n), float64(CPU()-released)/float64(n)
	runtime.ReadMemStats(&after)
	e.Mallocs = (float64(after.Mallocs) - float64(before.Mallocs)) / float64(n)
	if wrong.Load() > 0 {
		return Episode{}, fmt.Errorf("measure: %d of %d requests did not end as they should", wrong.Load(), n)
	}
	return e, h.End()
}

// Parked is the floor: each request waits at a channel of its own and for a
// context, as a held one must.
type Parked struct {
	chans []chan struct{}
	begun atomic.Int64
}

// NewParked makes room for n requests.
func NewParked(n int) *Parked {
	p := &Parked{chans: make([]chan struct{}, n)}
	for i := range p.chans {
		p.chans[i] = make(chan struct{}, 1)
	}
	return p
}

// Begin implements Holder.
func (p *Parked) Begin() error { p.begun.Store(0); return nil }

// Call implements Holder.
func (p *Parked) Call(ctx context.Context, i int) error {
	p.begun.Add(1)
	select {
	case <-p.chans[i]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Held implements Holder.
func (p *Parked) Held() int { return int(p.begun.Load()) }

// Release implements Holder.
func (p *Parked) Release() error {
	for _, c := range p.chans {
		c <- struct{}{}
	}
	return nil
}

// End implements Holder.
func (p *Parked) End() error { return nil }

// WarmMallocs is the heap objects per request of an episode that follows another
// without a garbage collection between them.
func WarmMallocs(h Holder, n int) (float64, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if _, err := Run(h, n, How{}); err != nil {
		return 0, err
	}
	e, err := Run(h, n, How{Warm: true})
	return e.Mallocs, err
}
