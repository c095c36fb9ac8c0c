package leadership

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// FileBarrier is a Barrier in one file, shared by the processes of one machine:
// see FileRegistry for what is asked of the file system. Each call reads the
// file, and Wait does so every 2 ms.
//
// No time is in the file. A FileBarrier measures for how long it has seen a lease
// stand as it is, so one that was opened a moment ago takes every lease it finds
// for new, and a router that died before it was opened is waited for like one that
// dies now.
//
// It is safe for concurrent use. The zero FileBarrier is closed.
type FileBarrier struct {
	sharedFile
	epoch time.Time

	// mu guards watch, which is what this process has seen. It is never held
	// while waiting or over IO.
	mu    sync.Mutex
	watch watch
}

// barrierMagic begins the file; the checksum of the rest follows it.
const barrierMagic = "tenure-barrier-1 "

// OpenFileBarrier returns the barrier in the file at path, which must not be that
// of a registry. The directory must exist; the file need not. It returns a
// *CorruptError when the file is there and cannot be trusted. Deleting such a
// file while no planned change is under way is safe: it holds nothing but leases.
func OpenFileBarrier(path string) (*FileBarrier, error) {
	f := &FileBarrier{epoch: time.Now()}
	if err := f.locate(path); err != nil {
		return nil, err
	}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Join implements Barrier.
func (f *FileBarrier) Join(ctx context.Context, l RouterLease) (fresh bool, err error) {
	err = f.update(ctx, func(r roll, w *watch, now time.Duration) (next roll, err error) {
		next, fresh, err = r.join(l, w, now)
		return next, err
	})
	return fresh && err == nil, err
}

// Ack implements Barrier.
func (f *FileBarrier) Ack(ctx context.Context, l RouterLease, t Term) error {
	return f.update(ctx, func(r roll, w *watch, now time.Duration) (roll, error) { return r.ack(l, t, w, now) })
}

// Leave implements Barrier.
func (f *FileBarrier) Leave(ctx context.Context, l RouterLease) error {
	return f.update(ctx, func(r roll, _ *watch, _ time.Duration) (roll, error) { return r.leave(l) })
}

// Wait implements Barrier by looking at the file every 2 ms.
func (f *FileBarrier) Wait(ctx context.Context, t Term) (RollCall, error) {
	rc := RollCall{Term: t}
	if err := t.Validate(); err != nil {
		return rc, err
	}
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		if err := f.usable(ctx); err != nil {
			return rc, rc.ended(ctx, err)
		}
		r, err := f.read()
		if err != nil {
			return rc, err
		}
		f.look(r, func(w *watch, now time.Duration) { rc, _, err = r.call(t, w, now) })
		if err != nil || len(rc.Late) == 0 {
			return rc, err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Close makes all later calls, and a Wait under way, return ErrClosed. It gives
// no lease back.
func (f *FileBarrier) Close() error {
	f.closed.Store(true)
	return nil
}

// look takes in the roll as it was just read, and judges it by what this process
// has seen of it.
func (f *FileBarrier) look(r roll, judge func(w *watch, now time.Duration)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Since(f.epoch)
	f.watch.observe(r, now)
	judge(&f.watch, now)
}

// update makes one change of the roll under the file's lock.
func (f *FileBarrier) update(ctx context.Context, step func(roll, *watch, time.Duration) (roll, error)) error {
	if err := f.usable(ctx); err != nil {
		return err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := f.read()
	if err != nil {
		return err
	}
	was, err := encodeFile(barrierMagic, r)
	if err != nil {
		return err
	}
	f.look(r, func(w *watch, now time.Duration) {
		if r, err = step(r, w, now); err == nil {
			// Seen from before it is written, so that of all processes the
			// one that renews a lease is the first to call it lapsed.
			w.observe(r, now)
		}
	})
	if err != nil {
		return err
	}
	b, err := encodeFile(barrierMagic, r)
	if err != nil || bytes.Equal(b, was) {
		return err
	}
	if err := f.replace(b); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watch = watch{} // its numbers may be given again: all is new
		return err
	}
	return nil
}

func (f *FileBarrier) read() (roll, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return roll{}, nil
	}
	if err != nil {
		return roll{}, err
	}
	var r roll
	if err := decodeFile(barrierMagic, b, &r); err != nil {
		return roll{}, f.corrupt(err)
	}
	if err := r.validate(); err != nil {
		return roll{}, f.corrupt(err)
	}
	return r, nil
}
