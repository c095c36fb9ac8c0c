package lameduck

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// defaultHooks bounds the calls of EndUnit when the plan does not.
	defaultHooks = time.Second
	// hookGrace is what a call gets to return after its context has ended.
	hookGrace = 100 * time.Millisecond
	// hooksAtOnce bounds how many calls of one batch run at the same time.
	hooksAtOnce = 8
)

// hook is one call of EndUnit owed.
type hook struct {
	call func(context.Context, Info)
	info Info
}

// hooks are the calls of EndUnit of one drain: a batch when contexts are
// cancelled, one at the end. It belongs to the goroutine that drains.
type hooks struct {
	ctx     context.Context // nil before the first batch
	cancel  context.CancelFunc
	batches []*batch
}

// batch is shared with the goroutines that call. One whose call hangs touches
// only what is atomic and a channel with room for it.
type batch struct {
	hooks    []hook
	next     atomic.Int64
	gaveUp   atomic.Bool
	returned chan int
}

// start calls the hooks beside the drain. It must not be called with the tree
// locked.
func (h *hooks) start(ctx context.Context, owed []hook) {
	if len(owed) == 0 {
		return
	}
	if h.ctx == nil {
		h.ctx, h.cancel = context.WithCancel(ctx)
	}
	b := &batch{hooks: owed, returned: make(chan int, len(owed))}
	h.batches = append(h.batches, b)
	for range min(len(owed), hooksAtOnce) {
		go b.run(h.ctx)
	}
}

func (b *batch) run(ctx context.Context) {
	for !b.gaveUp.Load() {
		i := int(b.next.Add(1)) - 1
		if i >= len(b.hooks) {
			return
		}
		b.hooks[i].call(ctx, b.hooks[i].info)
		b.returned <- i
	}
}

// join waits for all calls, at most for limit and what they get to return
// after it, and names the units whose calls have not returned by then.
func (h *hooks) join(limit time.Duration) (abandoned []Info) {
	if h.ctx == nil {
		return nil
	}
	defer h.cancel()
	if limit == 0 {
		limit = defaultHooks
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	ended := h.ctx.Done()
	late := false
	for _, b := range h.batches {
		missing := make(map[int]bool, len(b.hooks))
		for i := range b.hooks {
			missing[i] = true
		}
		for len(missing) > 0 && !b.gaveUp.Load() {
			select {
			case i := <-b.returned:
				delete(missing, i)
			case <-ended:
				ended, late = nil, true
				timer.Reset(hookGrace)
			case <-timer.C:
				if late {
					h.giveUp()
				} else {
					h.cancel()
				}
			}
		}
		for i, k := range b.hooks {
			if missing[i] && !b.took(i, missing) {
				abandoned = append(abandoned, k.info)
			}
		}
	}
	return abandoned
}

func (h *hooks) giveUp() {
	for _, b := range h.batches {
		b.gaveUp.Store(true)
	}
}

// took looks once more whether call i has returned meanwhile.
func (b *batch) took(i int, missing map[int]bool) bool {
	for {
		select {
		case j := <-b.returned:
			delete(missing, j)
		default:
			return !missing[i]
		}
	}
}
