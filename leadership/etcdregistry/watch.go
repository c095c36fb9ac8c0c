package etcdregistry

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch is a wake-up call, and nothing more: what changed is read by a get after it.
// So a gap, a compaction or a second delivery cannot matter. It has a stream of its
// own: watches that share one share the member that it hangs on.
type watch struct {
	c    *Client
	key  string
	opts []clientv3.OpOption

	stream clientv3.Watcher // nil when there is none
	cancel context.CancelFunc
	ch     clientv3.WatchChan
	silent bool // the last await was ended by its time, and the watch seemed well
	opened bool // once, from the present on

	// Of one that is kept between two calls:
	read  uint64      // the version that the last one returned, 0 for none: it is told of all that came after
	timer *time.Timer // closes it
}

func (c *Client) watch(key string, opts ...clientv3.OpOption) *watch {
	return &watch{c: c, key: key, opts: opts}
}

// await returns nil when the key may have changed at or after revision rev, and after
// the time given at the latest; or the cause of ctx. What it is told of changes before
// that it leaves out.
//
// The first one opens the watch and returns, since the key may have changed before
// that: from then on it is told of every change. A watch that begins in the past is
// told by etcd in rounds of 100 ms until it has caught up, and any key that was
// written since rev, by anybody, makes rev the past.
func (w *watch) await(ctx context.Context, rev int64, within time.Duration) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	w.silent = false
	if !w.opened {
		w.opened = true
		w.open(ctx, 0)
		return nil
	}
	if w.stream == nil {
		w.open(ctx, rev)
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			w.silent = w.stream != nil
			return nil
		case resp, ok := <-w.ch:
			switch {
			case !ok || resp.Canceled:
				if resp.Err() == rpctypes.ErrCompacted {
					w.c.counts.compacted.Add(1)
					w.close()
					return nil
				}
				// Its member is gone, or has no leader: a get will say what is up, but
				// not at once, should that member be first to fail.
				w.close()
				return w.pause(ctx, timer)
			case len(resp.Events) > 0 && resp.Events[len(resp.Events)-1].Kv.ModRevision >= rev:
				return nil
			}
		}
	}
}

// pause keeps a watch that fails at once from being opened in a busy loop.
func (w *watch) pause(ctx context.Context, timer *time.Timer) error {
	pause := time.NewTimer(retryPause)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-pause.C:
	case <-timer.C:
	}
	return nil
}

// open returns when etcd has the watch, from rev on or, for 0, from now on; or after an
// attempt, or when ctx ends, with a channel that is closed. The watch outlives ctx.
func (w *watch) open(ctx context.Context, rev int64) {
	w.c.counts.watches.Add(1)
	w.stream = clientv3.NewWatcher(w.c.etcd)
	life, cancel := context.WithCancel(clientv3.WithRequireLeader(w.c.life))
	w.cancel = cancel
	limit, given := time.AfterFunc(w.c.cfg.Attempt, cancel), context.AfterFunc(ctx, cancel)
	w.ch = w.stream.Watch(life, w.key, append(w.opts[:len(w.opts):len(w.opts)], clientv3.WithRev(rev))...)
	limit.Stop()
	given()
}

// found is told that a get has found a change, the record of that version. The watch
// can be kept, unless it should have told of it.
func (w *watch) found(version uint64) {
	w.read = version
	if w.silent {
		w.read = 0
		w.c.counts.missed.Add(1)
	}
}

// keepWatch is for how long the watch of the record is kept for the next Wait. Who
// follows the record comes back at once.
const keepWatch = 3 * time.Second

// recordWatch returns the watch that the last Wait has left, or a new one.
func (c *Client) recordWatch(key string) *watch {
	c.mu.Lock()
	w := c.kept
	c.kept = nil
	c.mu.Unlock()
	if w == nil {
		return c.watch(key)
	}
	w.timer.Stop()
	return w
}

// keep keeps a watch for the next Wait, or closes it.
func (c *Client) keep(w *watch) {
	c.mu.Lock()
	ok := w.stream != nil && w.read != 0 && c.kept == nil && c.life.Err() == nil
	if ok {
		c.kept = w
		w.timer = time.AfterFunc(keepWatch, func() { c.letGo(w) })
	}
	c.mu.Unlock()
	if !ok {
		w.close()
	}
}

// letGo closes the watch if it is kept yet.
func (c *Client) letGo(w *watch) {
	c.mu.Lock()
	ok := w != nil && c.kept == w
	if ok {
		c.kept = nil
		c.closing.Add(1)
	}
	c.mu.Unlock()
	if ok {
		defer c.closing.Done()
		w.close()
	}
}

// close ends the watch and waits for its goroutines.
func (w *watch) close() {
	if w.stream == nil {
		return
	}
	w.cancel()
	_ = w.stream.Close() // what it says is about a stream that was given up
	w.stream, w.ch = nil, nil
}

// successor returns what replaced the value that key had at revision base, nil when
// that cannot be told: there was no value, or the history is compacted.
func (c *Client) successor(ctx context.Context, op, key string, base int64) (next *mvccpb.KeyValue, err error) {
	if base == 0 {
		return nil, nil
	}
	_, err = c.ask(ctx, op, false, func(ctx context.Context) error {
		w := &watch{c: c, key: key}
		defer w.close()
		w.open(ctx, base+1)
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case resp, ok := <-w.ch:
				switch {
				case resp.Err() == rpctypes.ErrCompacted:
					return nil
				case !ok || resp.Err() != nil:
					return cmp.Or(resp.Err(), errors.New("the watch was closed"))
				case len(resp.Events) > 0:
					next = resp.Events[0].Kv
					return nil
				}
			}
		}
	})
	return next, err
}
