package leadership

import (
	"context"
	"sync"
	"time"
)

// MemoryBarrier is a Barrier in memory, for tests and for routers and
// coordinators of one process. The zero value is ready to use.
type MemoryBarrier struct {
	mu      sync.Mutex // guards all below; never held while waiting
	roll    roll
	watch   watch
	epoch   time.Time     // of the watch; zero until the first call
	changed chan struct{} // closed and replaced when a Wait may be over; nil until someone waits
	closed  bool
}

// enter locks the barrier for a call at now, or returns why it may not be made.
func (m *MemoryBarrier) enter(ctx context.Context) (now time.Duration, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return 0, ErrClosed
	}
	if m.epoch.IsZero() {
		m.epoch = time.Now()
	}
	return time.Since(m.epoch), nil
}

// Join implements Barrier.
func (m *MemoryBarrier) Join(ctx context.Context, l RouterLease) (fresh bool, err error) {
	now, err := m.enter(ctx)
	if err != nil {
		return false, err
	}
	defer m.mu.Unlock()
	m.roll, fresh, err = m.roll.join(l, &m.watch, now)
	m.watch.observe(m.roll, now)
	return fresh, err
}

// Ack implements Barrier.
func (m *MemoryBarrier) Ack(ctx context.Context, l RouterLease, t Term) error {
	now, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.roll, err = m.roll.ack(l, t, &m.watch, now)
	m.wake()
	return err
}

// Leave implements Barrier.
func (m *MemoryBarrier) Leave(ctx context.Context, l RouterLease) error {
	_, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.roll, err = m.roll.leave(l)
	m.wake()
	return err
}

// Wait implements Barrier.
func (m *MemoryBarrier) Wait(ctx context.Context, t Term) (RollCall, error) {
	rc := RollCall{Term: t}
	if err := t.Validate(); err != nil {
		return rc, err
	}
	for {
		now, err := m.enter(ctx)
		if err != nil {
			return rc, rc.ended(ctx, err)
		}
		var again time.Duration
		rc, again, err = m.roll.call(t, &m.watch, now)
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		if err != nil || len(rc.Late) == 0 {
			return rc, err
		}
		lapse := time.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-lapse.C:
		}
		lapse.Stop()
	}
}

// Close ends every Wait; all later calls return ErrClosed.
func (m *MemoryBarrier) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	return nil
}

func (m *MemoryBarrier) wake() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}
