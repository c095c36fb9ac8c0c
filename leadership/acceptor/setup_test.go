package acceptor_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// fault is what happens to a Save.
type fault int

const (
	none fault = iota
	failBefore
	failAfter
	crashBefore // as failBefore, and the store is dead until it is revived
	crashAfter
)

var errDisk = errors.New("disk: injected")

// memStore is a disk of one record that can fail, and that watches the rule
// that a promise on it never falls.
type memStore struct {
	mu    sync.Mutex
	rec   acceptor.State
	has   bool
	saves int
	next  fault
	dead  bool
	fell  string

	// during runs inside Save, before anything is written.
	during func(next acceptor.State)
}

func (m *memStore) Load(context.Context) (acceptor.State, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec, m.has, nil
}

func (m *memStore) Save(_ context.Context, s acceptor.State) error {
	m.mu.Lock()
	f, dead, during := m.next, m.dead, m.during
	m.next = none
	m.mu.Unlock()
	if during != nil {
		during(s)
	}
	if dead || f == failBefore || f == crashBefore {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.dead = m.dead || f == crashBefore
		return errDisk
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.has && s.Promised.Less(m.rec.Promised) {
		m.fell = m.rec.Promised.String() + " to " + s.Promised.String()
	}
	m.rec, m.has = s, true
	m.saves++
	m.dead = f == crashAfter
	if f != none {
		return errDisk
	}
	return nil
}

func (m *memStore) disk() acceptor.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as fails the test unless err is an E, and returns it.
func as[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want %T", err, err, e)
	}
	return e
}

// newNode returns the acceptor of n1 on its first boot.
func newNode(t testing.TB, s acceptor.Store) *acceptor.Acceptor {
	t.Helper()
	a, err := acceptor.Create(context.Background(), s, "n1", "d1")
	must(t, err)
	return a
}

// newLeader returns n1 as the leader of a term.
func newLeader(t testing.TB, s acceptor.Store, n uint64) *acceptor.Acceptor {
	t.Helper()
	ctx := context.Background()
	a := newNode(t, s)
	must(t, a.Install(ctx, lead("n1", n), func(context.Context) error { return nil }))
	must(t, a.Grant(ctx, term(n), yes))
	return a
}

func reopen(t testing.TB, s acceptor.Store) *acceptor.Acceptor {
	t.Helper()
	a, err := acceptor.Open(context.Background(), s, "n1", "d1", acceptor.Options{})
	must(t, err)
	return a
}

func yes() bool { return true }

// at returns a read of position n.c1@log:index.
func at(n, index uint64) acceptor.ReadFunc {
	return func(context.Context) (acceptor.Reading, error) {
		return acceptor.Reading{Position: pos(n, index)}, nil
	}
}

func pos(n, index uint64) leadership.Position {
	return leadership.Position{Term: term(n), Point: leadership.LogPoint{Index: index}}
}
