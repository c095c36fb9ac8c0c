package sqlbuffer

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errSilent is the cause with which the context of a driver's call ends that is
// aborted.
var errSilent = errors.New("sqlbuffer: aborted: no answer, and another leadership is known")

// watch aborts what goes on at one connection for Config.Linger after its
// leadership is known to be superseded. It costs a timer, armed at the start of
// a call and stopped at its end: what is answered before it first runs down is
// never looked at. It runs down every pace and is looked at for a moment, so
// that no goroutine waits for an answer.
type watch struct {
	b     *binding
	timer *time.Timer
	pace  time.Duration
	ticks int // of pace that make a Linger
	// open counts calls under way and open rows, during which the timer is
	// armed. Only the session's goroutine has it.
	open int
	// calls is odd while a call is under way. It never falls, so that a call
	// is told from the next.
	calls atomic.Uint64
	// aborted is set before anything is aborted, and stays: answers of the
	// connection prove nothing any more.
	aborted atomic.Bool
	ended   chan struct{} // the last tick has, after over was set

	// mu guards what follows. It is taken by the session's goroutine, by ticks,
	// and by a driver that asks a joint for its channel; never while anything
	// is called that is not ours.
	mu     sync.Mutex
	conn   driver.Conn // b's; nil while it is dialled
	seen   uint64      // calls at the last tick
	late   int         // ticks for which it has gone on under a superseded leadership
	over   bool
	stop   context.CancelFunc // ends the Node.Abort under way
	joints map[*joint]struct{}
}

func newWatch(b *binding, linger time.Duration) *watch {
	w := &watch{b: b, pace: max(linger/8, time.Millisecond), ended: make(chan struct{}, 1)}
	w.ticks = int((linger + w.pace - 1) / w.pace)
	w.timer = time.AfterFunc(time.Hour, w.tick)
	w.timer.Stop()
	return w
}

// begin and end are around each call of the driver.
func (w *watch) begin() {
	w.hold()
	w.calls.Add(1)
}

func (w *watch) end() {
	w.calls.Add(1)
	w.release()
}

// hold keeps the timer armed, also between calls, until release.
func (w *watch) hold() {
	if w.open++; w.open == 1 {
		w.timer.Reset(w.pace)
	}
}

func (w *watch) release() {
	if w.open == 0 {
		return // of rows that outlived their connection
	}
	if w.open--; w.open == 0 && !w.timer.Stop() {
		w.join()
	}
}

// join ends the tick under way, which may be in Node.Abort, and waits for it.
func (w *watch) join() {
	w.mu.Lock()
	if w.timer.Stop() { // it has ended meanwhile
		w.mu.Unlock()
		return
	}
	w.over = true
	if w.stop != nil {
		w.stop()
	}
	w.mu.Unlock()
	<-w.ended
	w.mu.Lock()
	w.over = false
	w.mu.Unlock()
}

func (w *watch) tick() {
	if w.due() {
		w.abort()
	}
	w.mu.Lock()
	over := w.over
	if !over {
		w.timer.Reset(w.pace) // the last thing that a tick does
	}
	w.mu.Unlock()
	if over {
		w.ended <- struct{}{}
	}
}

// due reports whether the same call has gone on for Linger since the leadership
// was found to be superseded, by the first tick that looked.
func (w *watch) due() bool {
	n := w.calls.Load()
	_, gone := w.b.c.superseded(w.b.to)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !gone || n%2 == 0 || n != w.seen {
		w.late = 0
	}
	w.seen = n
	if gone && n%2 == 1 {
		w.late++
	}
	return w.late > w.ticks
}

// abort makes the call under way return: by Node.Abort where there is one, since
// a driver may end the context of a statement with a request to cancel it, upon
// which a server may answer OK for what its followers never saw.
func (w *watch) abort() {
	ctx, cancel := context.WithTimeout(context.Background(), w.b.c.cfg.Budget)
	defer cancel()
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	w.aborted.Store(true)
	w.stop = cancel
	conn := w.conn
	var ends []context.CancelCauseFunc
	for j := range w.joints {
		ends = append(ends, j.inner.Load().end)
	}
	w.mu.Unlock()
	for _, end := range ends {
		end(errSilent)
	}
	if conn != nil && w.b.node.Abort != nil {
		_ = w.b.node.Abort(ctx, conn) // tried again by the next tick
	}
}

// opened says what was dialled.
func (b *binding) opened(conn driver.Conn) {
	b.conn = conn
	b.w.mu.Lock()
	b.w.conn = conn
	b.w.mu.Unlock()
}

// call runs op, a call of the driver, and aborts it when it is due. What op gets
// as its context ends with it, but for keep. j is room for a joint, if there is
// some; one is used only once, since a driver may hold on to it.
func (b *binding) call(ctx context.Context, j *joint, op func(ctx context.Context, b *binding) error) error {
	b.w.begin()
	if b.conn != nil && b.node.Abort != nil {
		defer b.w.end()
		return op(ctx, b)
	}
	if j == nil || j.w != nil {
		j = new(joint)
	}
	j.Context, j.w = ctx, b.w
	defer func() {
		if !j.kept {
			j.release()
		}
		b.w.end()
	}()
	return op(j, b)
}

// close closes the connection.
func (b *binding) close() error {
	b.w.begin()
	defer func() {
		b.w.open = 1
		b.w.end()
	}()
	return b.conn.Close()
}

// joint is the context of a driver's call: its caller's, which also ends when
// the call is aborted. Most drivers do not ask for the channel of most calls,
// so it is made when they do.
type joint struct {
	context.Context // the caller's
	w               *watch
	inner           atomic.Pointer[inner]
	kept            bool // the driver may use it after its call
	done            atomic.Bool
}

type inner struct {
	context.Context
	end context.CancelCauseFunc
}

func (j *joint) Done() <-chan struct{} {
	if in := j.inner.Load(); in != nil {
		return in.Done()
	}
	ctx, end := context.WithCancelCause(j.Context)
	in := &inner{ctx, end}
	j.w.mu.Lock()
	first := j.inner.CompareAndSwap(nil, in)
	live := !j.done.Load() && !j.w.aborted.Load()
	if first && live {
		if j.w.joints == nil {
			j.w.joints = map[*joint]struct{}{}
		}
		j.w.joints[j] = struct{}{}
	}
	j.w.mu.Unlock()
	switch {
	case !first:
		end(nil)
	case !live:
		end(errSilent)
	}
	return j.inner.Load().Done()
}

func (j *joint) Err() error {
	if in := j.inner.Load(); in != nil {
		return in.Err()
	}
	if err := j.Context.Err(); err != nil {
		return err
	}
	if j.w.aborted.Load() {
		return context.Canceled
	}
	return nil
}

// Value leads package context to the cause.
func (j *joint) Value(key any) any {
	if in := j.inner.Load(); in != nil {
		return in.Value(key)
	}
	return j.Context.Value(key)
}

// release ends the context, after the last call that it is for.
func (j *joint) release() {
	if j == nil {
		return
	}
	j.done.Store(true) // and then look: Done does it the other way round
	in := j.inner.Load()
	if in == nil {
		return
	}
	j.w.mu.Lock()
	delete(j.w.joints, j)
	j.w.mu.Unlock()
	in.end(nil)
}

// keep keeps a context that call gave, until it is released; nil for one that
// has not to be.
func keep(ctx context.Context) *joint {
	j, _ := ctx.(*joint)
	if j != nil {
		j.kept = true
	}
	return j
}
