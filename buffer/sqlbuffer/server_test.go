package sqlbuffer_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// errReadOnly is what a server that checks no terms answers when it does not
// lead: a code that proves nothing.
var errReadOnly = errors.New("error 1290: the server is read-only")

// errSyntax is an answer like any other.
var errSyntax = errors.New("error 1064: syntax")

// errReset is a connection that broke.
var errReset = fmt.Errorf("read: connection reset by peer: %w", io.ErrUnexpectedEOF)

// fault replaces what a server does with one call. apply is what the call would
// have done.
type fault func(ctx context.Context, c *session, apply func() error) error

// server is a fake database server. Its statements are "put ?", which adds to
// what is applied, "putget ?", which does and returns a row, "get", which
// returns three rows, and "bad".
type server struct {
	id leadership.NodeID

	mu       sync.Mutex
	leads    bool                // takes new work
	epoch    int                 // counts its leaderships: sessions of an older one are refused
	refusal  *leadership.Refusal // what it answers else; nil: errReadOnly
	down     bool                // cannot be dialled
	half     time.Duration       // there, and back
	faults   map[string][]fault  // by verb, used up one by one
	calls    []string            // verbs as they came
	applied  []string            // committed, in order
	zombie   bool                // was replaced by force, and does not know
	lost     []string            // what it completed since
	begun    []string            // labels of contexts of BEGIN, in order
	dialled  []context.Context
	sessions map[*session]bool
	working  int // calls that are between arrival and reply, and open transactions
	peak     int // sessions at once
	sets     int // further result sets of a query
}

type session struct {
	n     *server
	gone  chan struct{} // closed when the server ended it
	once  sync.Once
	tx    bool
	todo  []string
	epoch int
}

type labelKey struct{}

func (n *server) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// fail makes the next calls of verb end as the faults say.
func (n *server) fail(verb string, f ...fault) {
	n.set(func() { n.faults[verb] = append(n.faults[verb], f...) })
}

func (n *server) count(verb string) (k int) {
	n.set(func() {
		for _, c := range n.calls {
			if c == verb {
				k++
			}
		}
	})
	return k
}

func (n *server) has() (a []string) {
	n.set(func() { a = slices.Clone(n.applied) })
	return a
}

func (n *server) dials() (k int) {
	n.set(func() { k = len(n.dialled) })
	return k
}

func (n *server) open() (k int) {
	n.set(func() { k = len(n.sessions) })
	return k
}

// kill ends all sessions, as a crash does.
func (n *server) kill() {
	var all []*session
	n.set(func() {
		for s := range n.sessions {
			all = append(all, s)
		}
	})
	for _, s := range all {
		s.end()
	}
}

func (n *server) dial(ctx context.Context) (*session, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, ctx)
	down, d, epoch := n.down, n.half, n.epoch
	n.mu.Unlock()
	if err := pause(ctx, nil, 2*d); err != nil {
		return nil, err
	}
	if down {
		return nil, errors.New("connection refused")
	}
	if f := n.next("dial"); f != nil {
		if err := f(ctx, nil, func() error { return nil }); err != nil {
			return nil, err
		}
	}
	s := &session{n: n, gone: make(chan struct{}), epoch: epoch}
	n.set(func() {
		n.sessions[s] = true
		n.peak = max(n.peak, len(n.sessions))
	})
	return s, nil
}

func (n *server) next(verb string) (f fault) {
	n.set(func() {
		if fs := n.faults[verb]; len(fs) > 0 {
			f, n.faults[verb] = fs[0], fs[1:]
		}
	})
	return f
}

// end rolls back and closes.
func (s *session) end() {
	s.once.Do(func() {
		close(s.gone)
		s.n.set(func() {
			delete(s.n.sessions, s)
			if s.tx {
				s.tx, s.todo = false, nil
				s.n.working--
			}
		})
	})
}

func (s *session) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

func pause(ctx context.Context, gone chan struct{}, d time.Duration) error {
	if d == 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-gone:
		return errReset
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is one round trip: half of it there, the work, half of it back.
func (s *session) call(ctx context.Context, verb string, apply func() error) error {
	n := s.n
	if s.ended() {
		return driver.ErrBadConn // nothing was sent
	}
	var d time.Duration
	n.set(func() {
		n.calls = append(n.calls, verb)
		d = n.half
		n.working++
	})
	defer n.set(func() { n.working-- })
	err := pause(ctx, s.gone, d)
	if err == nil {
		if f := n.next(verb); f != nil {
			err = f(ctx, s, apply)
		} else {
			err = apply()
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		s.end()
	}
	if perr := pause(ctx, s.gone, d); err == nil && perr != nil {
		return perr // it was done all the same
	}
	return err
}

// takes is the server's gate: new work needs a leader, and what a transaction
// goes on with does not.
func (s *session) takes() error {
	n := s.n
	if s.tx || n.leads && (s.epoch == n.epoch || n.refusal == nil) {
		return nil
	}
	if n.refusal != nil {
		return n.refusal
	}
	return errReadOnly
}

// put does the work of a statement.
func (s *session) put(ids ...string) error {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.ended() {
		return errReset // rolled back already
	}
	if err := s.takes(); err != nil {
		return err
	}
	if s.tx {
		s.todo = append(s.todo, ids...)
	} else {
		n.complete(ids)
	}
	return nil
}

func (n *server) complete(ids []string) {
	if n.zombie {
		n.lost = append(n.lost, ids...)
	} else {
		n.applied = append(n.applied, ids...)
	}
}

func (s *session) begin(ctx context.Context) error {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.ended() {
		return errReset
	}
	if err := s.takes(); err != nil {
		return err
	}
	if l, ok := ctx.Value(labelKey{}).(string); ok {
		n.begun = append(n.begun, l)
	}
	s.tx = true
	n.working++
	return nil
}

func (s *session) finish(commit bool) error {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if !s.tx {
		return errors.New("no transaction")
	}
	if commit {
		n.complete(s.todo)
	}
	s.tx, s.todo = false, nil
	n.working--
	return nil
}

// Faults.

// with answers err and does nothing.
func with(err error) fault {
	return func(context.Context, *session, func() error) error { return err }
}

// after does the work and answers err.
func after(err error) fault {
	return func(_ context.Context, _ *session, apply func() error) error {
		_ = apply()
		return err
	}
}

// hang never answers by itself; it does the work first, or not.
func hang(work bool) fault {
	return func(ctx context.Context, s *session, apply func() error) error {
		if work {
			_ = apply()
		}
		select {
		case <-s.gone:
			return errReset
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// slow does the work, and answers after d.
func slow(d time.Duration) fault {
	return func(ctx context.Context, s *session, apply func() error) error {
		err := apply()
		if perr := pause(ctx, s.gone, d); perr != nil {
			return perr
		}
		return err
	}
}
