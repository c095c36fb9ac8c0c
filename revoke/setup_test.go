package revoke_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

var (
	t7 = leadership.Term{Num: 7, Proposer: "c1"}
	t8 = leadership.Term{Num: 8, Proposer: "c1"}
	t9 = leadership.Term{Num: 9, Proposer: "c2"}
)

// bubble runs f in a synctest bubble, which fails on a goroutine left behind.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// journal notes what happens in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// heard collects reports, with when they came.
type heard struct {
	mu    sync.Mutex
	start time.Time
	all   []leadership.Testimony
	when  []time.Duration
}

func listen() *heard { return &heard{start: time.Now()} }

func (h *heard) report(t leadership.Testimony) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.when = append(h.all, t), append(h.when, time.Since(h.start))
}

// of returns the testimonies about one node.
func (h *heard) of(id leadership.NodeID) []leadership.Testimony {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.all), func(t leadership.Testimony) bool { return t.Node != id })
}

// list returns all of them, as of now.
func (h *heard) list() []leadership.Testimony {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func (h *heard) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// node is a Promiser and StepDowner that does what its fields say. Nil fields
// do as a good node does, at once.
type node struct {
	id leadership.NodeID
	j  *journal

	promise  func(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
	drain    func(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error)
	stepDown func(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
}

func (n *node) note(s string) {
	if n.j != nil {
		n.j.add(s + " " + string(n.id))
	}
}

func (n *node) Promise(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.note("promise")
	if n.promise != nil {
		return n.promise(ctx, t)
	}
	return promised(n.id, t), nil
}

func (n *node) Drain(ctx context.Context, t leadership.Term, d time.Duration) (revoke.Drained, error) {
	n.note("drain")
	if n.drain != nil {
		return n.drain(ctx, t, d)
	}
	return revoke.Drained{}, nil
}

func (n *node) StepDown(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.note("step down")
	if n.stepDown != nil {
		return n.stepDown(ctx, t)
	}
	return leadership.Testimony{Node: n.id, Term: t, Kind: leadership.Demoted, Read: &leadership.Position{}}, nil
}

// slowReader is a node whose position takes longer than its block.
type slowReader struct {
	*node
	read func(ctx context.Context, t leadership.Term) (leadership.Testimony, error)
}

func (n *slowReader) Read(ctx context.Context, t leadership.Term) (leadership.Testimony, error) {
	n.note("read")
	return n.read(ctx, t)
}

func promised(id leadership.NodeID, t leadership.Term) leadership.Testimony {
	return leadership.Testimony{Node: id, Term: t, Kind: leadership.Promised, Read: &leadership.Position{}}
}

func hang(ctx context.Context, _ leadership.Term) (leadership.Testimony, error) {
	<-ctx.Done()
	return leadership.Testimony{}, context.Cause(ctx)
}

func stale(id leadership.NodeID, asked, has leadership.Term) error {
	return &leadership.StaleTermError{Node: id, Asked: asked, Promised: has}
}

// cluster returns n1, n2, n3 and the journal they write.
func cluster() (map[leadership.NodeID]*node, *journal) {
	j := &journal{}
	m := map[leadership.NodeID]*node{}
	for _, id := range targets {
		m[id] = &node{id: id, j: j}
	}
	return m, j
}

var targets = []leadership.NodeID{"n1", "n2", "n3"}

func promisers(m map[leadership.NodeID]*node) map[leadership.NodeID]revoke.Promiser {
	out := map[leadership.NodeID]revoke.Promiser{}
	for id, n := range m {
		out[id] = n
	}
	return out
}

func ask() revoke.Ask { return revoke.Ask{Term: t7, Targets: targets, Leader: "n1"} }

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantAs fails unless err is an E.
func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a %T", err, err, e)
	}
	return e
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

// revokerFunc is a mechanism for tests of combinators.
type revokerFunc func(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error

func (f revokerFunc) Revoke(ctx context.Context, ask revoke.Ask, report func(leadership.Testimony)) error {
	return f(ctx, ask, report)
}
