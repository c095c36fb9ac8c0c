package sqlbuffer_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c1"} }

func lead(node string, n uint64) leadership.Leadership {
	return leadership.Leadership{Leader: leadership.NodeID(node), Term: term(n)}
}

// world is two servers, one of which leads, a lane, and a DB that follows it.
type world struct {
	t       require.TestingT
	buf     *buffer.Buffer
	lane    *buffer.Lane
	con     *sqlbuffer.Connector
	db      *sql.DB
	n1, n2  *server
	kind    kind
	version uint64
	now     leadership.Leadership
	wg      sync.WaitGroup
}

// setup is what a test may want to be different.
type setup struct {
	buf   buffer.Config
	cfg   sqlbuffer.Config
	node  sqlbuffer.Node // all but its Connector
	kind  kind
	mute  bool // the lane knows no leader yet
	plain bool // servers refuse by a code that proves nothing
}

func classify(err error) buffer.Class {
	if errors.Is(err, errSyntax) || errors.Is(err, errReadOnly) {
		return buffer.Answered
	}
	return buffer.Unclassified
}

// kill is a Node.Abort that ends the session at the server.
func kill(_ context.Context, c driver.Conn) error {
	sessionOf(c).end()
	return nil
}

func newWorld(t require.TestingT, maxOpen int, s setup) *world {
	w := &world{t: t, kind: s.kind, now: lead("n1", 1)}
	for _, n := range []**server{&w.n1, &w.n2} {
		*n = &server{faults: map[string][]fault{}, sessions: map[*session]bool{}, half: 100 * time.Microsecond}
		if !s.plain {
			(*n).refusal = &leadership.Refusal{}
		}
	}
	w.n1.id, w.n2.id, w.n1.leads = "n1", "n2", true
	var err error
	w.buf, err = buffer.New(s.buf)
	require.NoError(t, err)
	w.lane = w.buf.Lane("db")
	if s.node.Classify == nil {
		s.node.Classify = classify
	}
	s.cfg.Nodes = func(id leadership.NodeID, addr string) (sqlbuffer.Node, error) {
		n := s.node
		switch addr {
		case "n1:1":
			n.Connector = dialer{w.n1, s.kind}
		case "n2:1":
			n.Connector = dialer{w.n2, s.kind}
		default:
			return n, fmt.Errorf("no node at %q", addr)
		}
		return n, nil
	}
	w.con, err = sqlbuffer.New(w.lane, s.cfg)
	require.NoError(t, err)
	w.db = sql.OpenDB(w.con)
	w.db.SetMaxOpenConns(maxOpen)
	if !s.mute {
		w.route("n1", 1)
	}
	return w
}

// each runs f in a bubble for each of the pool sizes that differ in how
// database/sql takes connections: it opens one at will, waits for the only one,
// or has them opened by its own goroutine. The bubble ends only when nothing
// that f started is left.
func each(t *testing.T, s setup, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	sizes(t, s, f)
}

func sizes(t *testing.T, s setup, f func(t *testing.T, w *world)) {
	t.Helper()
	for _, n := range []int{0, 1, 4} {
		t.Run(fmt.Sprintf("MaxOpenConns=%d", n), func(t *testing.T) {
			t.Parallel()
			tryWorld(t, n, s, f)
		})
	}
}

// tryWorld runs f in a bubble of its own.
func tryWorld(t *testing.T, open int, s setup, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, open, s)
		t.Cleanup(w.abandon)
		f(t, w)
		w.close()
	})
}

// abandon ends what a failed test would leave behind.
func (w *world) abandon() {
	w.buf.Close()
	w.n1.kill()
	w.n2.kill()
	_ = w.db.Close()
}

// close checks that nothing is left behind.
func (w *world) close() {
	w.wg.Wait()
	require.Zero(w.t, w.db.Stats().InUse, "a connection is still checked out")
	require.NoError(w.t, w.db.Close())
	synctest.Wait()
	require.Zero(w.t, w.n1.open(), "sessions left at n1")
	require.Zero(w.t, w.n2.open(), "sessions left at n2")
	s := w.lane.Snapshot()
	require.Zero(w.t, s.Held)
	require.Zero(w.t, s.Bytes)
}

func (w *world) observe(r leadership.Record) {
	w.version++
	r.Version, r.Mode = w.version, leadership.Full
	w.lane.Observe(r)
}

func (w *world) record() leadership.Record {
	return leadership.Record{Fence: w.now.Term, Active: w.now, Routed: w.now, Addr: string(w.now.Leader) + ":1"}
}

// route makes the lane know that node leads.
func (w *world) route(node string, n uint64) {
	w.now = lead(node, n)
	w.observe(w.record())
}

// hold announces a planned change.
func (w *world) hold(n uint64) {
	r := w.record()
	r.Fence = term(n)
	r.Intent = leadership.Intent{Term: term(n), By: "c1", Kind: leadership.KindPlanned, Phase: leadership.Holding, HoldFor: time.Minute}
	w.observe(r)
}

func (w *world) server(l leadership.Leadership) *server {
	if l.Leader == "n1" {
		return w.n1
	}
	return w.n2
}

// crown makes node lead, and the other not; nobody is told.
func (w *world) crown(node string) {
	a, b := w.n1, w.n2
	if node == "n2" {
		a, b = b, a
	}
	b.set(func() { b.leads = false })
	a.set(func() { a.leads = true; a.epoch++ })
}

// force makes node lead at term n without any drain, and tells the lane.
func (w *world) force(node string, n uint64) {
	w.crown(node)
	w.route(node, n)
}

// depose makes the other node lead at term n, by force: the old leader goes on
// as if nothing had happened, but what it completes is lost.
func (w *world) depose(n uint64) {
	old, next := w.n1, w.n2
	if w.now.Leader == "n2" {
		old, next = next, old
	}
	next.kill() // what is left of an earlier term
	old.set(func() { old.zombie = true })
	next.set(func() { next.zombie, next.leads = false, true })
	w.route(string(next.id), n)
}

// go1 runs f in a goroutine and returns when all is quiet; the function it
// returns waits for f's error.
func (w *world) go1(f func() error) (wait func() error) {
	ch := make(chan error, 1)
	w.wg.Go(func() { ch <- f() })
	synctest.Wait()
	return func() error { return <-ch }
}

func (w *world) put(ctx context.Context, id string) error {
	_, err := w.db.ExecContext(ctx, "put ?", id)
	return err
}

// honest checks an error against what the servers have.
func (w *world) honest(err error, id string) {
	times := 0
	for _, n := range []*server{w.n1, w.n2} {
		for _, a := range n.has() {
			if a == id {
				times++
			}
		}
	}
	require.LessOrEqual(w.t, times, 1, "%s was executed %d times", id, times)
	require.False(w.t, errors.Is(err, driver.ErrBadConn), "database/sql would run it again: %v", err)
	switch {
	case err == nil:
		require.Equal(w.t, 1, times, "%s is reported as done", id)
	case leadership.NotExecuted(err):
		require.Zero(w.t, times, "%s is reported as not executed: %v", id, err)
	case times == 1:
		require.ErrorIs(w.t, err, leadership.ErrUnknownOutcome, "%s was executed", id)
	}
}
