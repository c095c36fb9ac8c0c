package load

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// ready is what a worker says when it writes.
const ready = "ready\n"

// Main runs a worker when this process is one, and returns its exit code and
// true. Else it returns false at once. Call it first thing in main, or in
// TestMain. The worker ends when its standard input does.
func Main(open func(Spec) (Engine, error)) (code int, worker bool) {
	spec, ok, err := specFromEnv()
	if !ok {
		return 0, false
	}
	if err == nil {
		err = work(spec, open, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// worker is the state of one worker process.
type worker struct {
	spec    Spec
	engine  Engine
	journal *journal
	buf     *buffer.Buffer
	lane    *buffer.Lane
	db      *sql.DB
	stop    chan struct{}
}

// work writes until stdin ends. What it started has ended when it returns.
func work(spec Spec, open func(Spec) (Engine, error), stdin io.Reader, stdout io.Writer) (err error) {
	keep := func(f func() error) { err = errors.Join(err, f()) }
	engine, err := open(spec)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if engine.Close != nil {
		defer keep(engine.Close)
	}
	if engine.Registry == nil && engine.Connector == nil {
		reg, err := leadership.OpenFileRegistry(spec.Registry)
		if err != nil {
			return err
		}
		defer keep(reg.Close)
		engine.Registry = reg
	}
	if engine.Barrier == nil && engine.Connector == nil && spec.Barrier != "" {
		b, err := leadership.OpenFileBarrier(spec.Barrier)
		if err != nil {
			return err
		}
		defer keep(b.Close)
		engine.Barrier = b
	}
	w := &worker{spec: spec, engine: engine, stop: make(chan struct{})}
	if w.journal, err = openJournal(spec.Dir, spec.Number); err != nil {
		return err
	}
	defer keep(w.journal.f.Close)
	if err := w.open(); err != nil {
		return err
	}
	if w.buf != nil {
		defer w.buf.Close()
	}
	defer keep(w.db.Close)
	return w.run(stdin, stdout)
}

func (w *worker) open() (err error) {
	if c := w.engine.Connector; c != nil {
		w.pool(dialing{c})
		return nil
	}
	w.buf, err = buffer.New(buffer.Config{
		Counted: w.engine.Barrier != nil, Probe: w.engine.Probe,
		MaxAge: w.spec.MaxAge, MaxOutage: w.spec.MaxOutage,
	})
	if err != nil {
		return err
	}
	w.lane = w.buf.Lane(w.spec.Cluster)
	c, err := sqlbuffer.New(w.lane, sqlbuffer.Config{Nodes: w.engine.Nodes, Trust: w.engine.Trust, Linger: w.spec.Linger})
	if err != nil {
		w.buf.Close()
		return err
	}
	w.pool(c)
	return nil
}

func (w *worker) pool(c driver.Connector) {
	w.db = sql.OpenDB(c)
	w.db.SetMaxOpenConns(w.spec.Conns)
	w.db.SetMaxIdleConns(w.spec.Conns)
}

// run joins the barrier, follows the registry and writes, until stdin ends.
func (w *worker) run(stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	failed := make(chan error, 2)
	beside := func(f func() error) {
		following.Go(func() {
			if err := f(); ctx.Err() == nil {
				// The writers go on, and find out what that means for them.
				failed <- errors.Join(err, w.journal.note(whatFailed, 0, "", err))
			}
		})
	}
	if w.engine.Barrier != nil {
		joined := make(chan struct{})
		var once sync.Once
		router := buffer.Router{
			ID: leadership.RouterID(fmt.Sprintf("load-%d", w.spec.Number)), TTL: w.spec.RouterTTL,
			Suspended: func(err error) {
				if err == nil {
					once.Do(func() { close(joined) })
				}
			},
		}
		beside(func() error { return w.buf.Join(ctx, w.engine.Barrier, w.engine.Registry, router, w.lane) })
		select {
		case <-joined:
		case err := <-failed:
			return err
		}
	}
	if w.buf != nil {
		beside(func() error { return w.buf.Follow(ctx, w.engine.Registry, w.lane) })
	}

	var writing sync.WaitGroup
	broken := make(chan error, w.spec.Writers)
	for i := range w.spec.Writers {
		writing.Go(func() { broken <- w.write(i) })
	}
	_, err := io.WriteString(stdout, ready)
	if err == nil {
		_, err = io.Copy(io.Discard, stdin)
	}
	close(w.stop)
	writing.Wait()
	close(broken)
	for e := range broken {
		err = errors.Join(err, e)
	}
	cancel()
	following.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return err
}

// afterFailure is the least pause after an attempt that failed.
const afterFailure = 10 * time.Millisecond

// write is one writer. It returns an error when it cannot note what it does,
// and then it does no more.
func (w *worker) write(writer int) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(1); n < perWriter; n++ {
		select {
		case <-w.stop:
			return nil
		case <-timer.C:
		}
		id := id(w.spec.Number, writer, n)
		if err := w.journal.note(whatStart, id, "", nil); err != nil {
			return err
		}
		err := w.insert(id)
		out := outcomeOf(err)
		if err := w.journal.note(string(out), id, w.class(err), err); err != nil {
			return err
		}
		pause := w.spec.Pause
		if out != Acked {
			pause = max(pause, afterFailure)
		}
		timer.Reset(pause)
	}
	return nil
}

// insert is not cut short by the end of the load: an attempt that was begun is
// seen to its end.
func (w *worker) insert(id int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.spec.Patience)
	defer cancel()
	if w.engine.Connector != nil {
		return plainTx(ctx, w.db, w.spec.Insert, id)
	}
	if !w.spec.InTx {
		_, err := w.db.ExecContext(ctx, w.spec.Insert, id)
		return err
	}
	return sqlbuffer.InTx(ctx, w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, w.spec.Insert, id)
		return err
	})
}

// outcomeOf reads an error: only proof counts as not executed.
func outcomeOf(err error) Outcome {
	var plain *plainError
	switch {
	case err == nil:
		return Acked
	case errors.As(err, &plain):
		return plain.outcome()
	case errors.Is(err, leadership.ErrUnknownOutcome):
		return Unknown
	case leadership.NotExecuted(err):
		return NotExecuted
	}
	return Other
}

func (w *worker) class(err error) string {
	if err == nil {
		return ""
	}
	if w.engine.Class != nil {
		if c := w.engine.Class(err); c != "" {
			return c
		}
	}
	var plain *plainError
	if errors.As(err, &plain) {
		return plain.class()
	}
	return fmt.Sprintf("%T", err)
}
