package sqlbuffer

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/tenure-go/tenure/buffer"
)

// errYield is why a unit gave its turn back. It is not seen outside.
var errYield = errors.New("sqlbuffer: the pool's connections are with statements that are held")

// take takes a connection from the pool for a unit that has its turn.
//
// A statement has a connection of the pool while it is held. If units kept
// their turns while those have them all, each would wait for the other. A unit
// therefore gives its turn back then, and takes a connection first and a turn
// after, like a statement does; it loses its place.
func (c *Connector) take(ctx context.Context, t *ticket, db *sql.DB) (*sql.Conn, error) {
	conn, err := c.fromPool(ctx, db, true)
	if err == nil {
		return conn, nil
	}
	if !errors.Is(err, errYield) {
		t.Done(buffer.NotSent(err))
		return nil, err
	}
	t.Done(buffer.NotSent(errYield))
	if conn, err = c.fromPool(ctx, db, false); err != nil {
		return nil, err
	}
	next, err := c.enter(ctx, true)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	t.Turn = next
	return conn, nil
}

// fromPool takes a connection from the pool. Only one unit at a time asks for
// one, because the pool serves those who wait in random order.
func (c *Connector) fromPool(ctx context.Context, db *sql.DB, yields bool) (*sql.Conn, error) {
	wait := ctx
	if yields && db.Stats().MaxOpenConnections > 0 {
		var stop func()
		wait, stop = c.yielding(ctx)
		defer stop()
	}
	select {
	case c.turn <- struct{}{}:
	case <-wait.Done():
		return nil, endOf(wait)
	}
	defer func() { <-c.turn }()
	conn, err := db.Conn(wait)
	if err != nil && wait.Err() != nil {
		err = endOf(wait)
	}
	return conn, err
}

// yielding returns a context that ends with errYield when the lane holds while
// a statement waits in it. stop ends the goroutine that watches.
func (c *Connector) yielding(ctx context.Context) (wait context.Context, stop func()) {
	wait, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			changed, blocked := c.lane.Changed(), c.blocked.changed()
			if !c.lane.Ready() && c.blocked.any() {
				cancel(errYield)
			}
			select {
			case <-wait.Done():
				return
			case <-changed:
			case <-blocked:
			}
		}
	}()
	return wait, func() {
		cancel(nil)
		<-done
	}
}

// enter waits for a turn with a connection of the pool in hand.
func (c *Connector) enter(ctx context.Context, unit bool) (buffer.Turn, error) {
	c.blocked.enter()
	defer c.blocked.leave()
	return c.lane.Enter(ctx, buffer.Request{Unit: unit, Bytes: c.cfg.Bytes})
}

// retry is Turn.Retry with a connection of the pool in hand.
func (c *Connector) retry(ctx context.Context, t *ticket, err error) error {
	c.blocked.enter()
	defer c.blocked.leave()
	return t.Retry(ctx, err)
}

// gauge counts those who are, or may soon be, held with a connection in hand.
type gauge struct {
	n       atomic.Int64
	watched atomic.Bool
	// mu guards ch; taken by watchers, and by who enters while there are some.
	mu sync.Mutex
	ch chan struct{}
}

// enter counts before it looks for watchers, and a watcher leaves word before
// it looks at the count: one of them sees the other.
func (g *gauge) enter() {
	g.n.Add(1)
	if !g.watched.Load() {
		return
	}
	g.mu.Lock()
	ch := g.ch
	g.ch = nil
	g.watched.Store(false)
	g.mu.Unlock()
	if ch != nil {
		close(ch)
	}
}

func (g *gauge) leave()    { g.n.Add(-1) }
func (g *gauge) any() bool { return g.n.Load() > 0 }

// changed returns a channel that is closed when somebody enters.
func (g *gauge) changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	g.watched.Store(true)
	return g.ch
}
