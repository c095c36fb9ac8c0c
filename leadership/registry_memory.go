package leadership

import (
	"context"
	"sync"
)

// MemoryRegistry is a Registry in memory, for tests and for a cluster inside
// one process. The zero value is ready to use.
type MemoryRegistry struct {
	mu      sync.Mutex // guards all below; never held while waiting
	rec     Record
	changed chan struct{} // closed and replaced on every write; nil until someone waits
	closed  bool
}

// Load implements Registry.
func (m *MemoryRegistry) Load(ctx context.Context) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Record{}, ErrClosed
	}
	return m.rec.clone(), nil
}

// Swap implements Registry.
func (m *MemoryRegistry) Swap(ctx context.Context, base uint64, next Record) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, context.Cause(ctx)
	}
	if err := next.Validate(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Record{}, ErrClosed
	}
	if m.rec.Version != base {
		return Record{}, &ConflictError{Base: base, Current: m.rec.Version}
	}
	m.rec = next.clone()
	m.rec.Version = base + 1
	m.wake()
	return m.rec.clone(), nil
}

// Wait implements Registry.
func (m *MemoryRegistry) Wait(ctx context.Context, after uint64) (Record, error) {
	for {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return Record{}, ErrClosed
		}
		if m.rec.Version > after {
			r := m.rec.clone()
			m.mu.Unlock()
			return r, nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return Record{}, context.Cause(ctx)
		case <-changed:
		}
	}
}

// Close ends every Wait; all later calls return ErrClosed.
func (m *MemoryRegistry) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	return nil
}

func (m *MemoryRegistry) wake() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}
